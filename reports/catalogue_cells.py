"""The cells of the catalogue's tables: what is known of one implementation, in words that are never blank."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.schema import Variant
from bench.statistics import fit_exponent
from reports import formatting
from reports.frame import Results
from reports.pairwise import ABSENT, NOT_MEASURED, Measured, Table, Work, compared, last_line, measured
from reports.peers import in_words

REFERENCE = "softmax"
BARE = "layer"
FRAMEWORKS = ("torch", "keras")
_FEWEST_LENGTHS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of a table: a variant on a framework, `refusal` where it cannot be there.

    A public package of one framework is not `shown` on the other, unless it is unsupported on both.
    """

    variant: Variant
    framework: str
    refusal: str = ""

    @property
    def name(self) -> str:
        return f"{self.variant.name}@{self.framework}"

    @property
    def shown(self) -> bool:
        return not self.refusal or not self.variant.targets


def rows_of(variants: Sequence[Variant], implementations: Collection[str]) -> list[Row]:
    """Every variant on every framework, then what the runs hold beside the catalogue (users' own)."""
    rows = [
        Row(variant=variant, framework=framework, refusal=_refusal(variant, framework))
        for variant in variants
        for framework in FRAMEWORKS
    ]
    known = {row.name for row in rows}
    return rows + [_unknown(name) for name in sorted(implementations) if name not in known]


def _refusal(variant: Variant, framework: str) -> str:
    if framework in variant.targets:
        return ""
    return variant.unsupported.get(framework, f"no implementation for {framework}")


def _unknown(implementation: str) -> Row:
    name, _, framework = implementation.rpartition("@")
    row = Variant(
        name=name,
        title="not in the catalogue",
        paper="",
        equation="",
        time="not declared",
        memory="not declared",
        time_exponent=0.0,
        exact=False,
        causal=True,
        cross_attention=False,
        trainable=True,
    )
    return Row(variant=row, framework=framework)


class Evidence:
    """All measurements that the page needs, read once."""

    def __init__(self, results: Results, variants: Sequence[Variant]) -> None:
        self.results = results
        self.variants = variants
        self.seconds = _plain(measured(results, "throughput", "seconds"))
        self.peaks = _plain(measured(results, "memory", "peak_bytes"))
        self.states = _plain(measured(results, "throughput", "state_bytes"))
        self.certificates = _certificates(results)

    @property
    def implementations(self) -> set[str]:
        """The names of all that was measured, certified or refused in the runs."""
        names = {name for table in (self.seconds, self.peaks) for cells in table.values() for name in cells}
        return names | set(self.certificates)

    def certificate(self, row: Row) -> str:
        """Whether all properties hold, else which do not."""
        properties = self.certificates.get(row.name)
        if not properties:
            return NOT_MEASURED
        broken = [name for name, (status, _) in properties.items() if status == "failed"]
        if broken:
            return f"fails {formatting.listed(broken)}"
        open_ones = [f"{name} {status}" for name, (status, _) in properties.items() if status != "ok"]
        held = [f"holds ({len(properties) - len(open_ones)})"] if len(open_ones) < len(properties) else []
        return ", ".join((*held, *open_ones))

    def broken(self, row: Row) -> Iterator[tuple[str, str]]:
        """Each property that failed or stayed open, with the counterexample or the reason."""
        for name, (status, reason) in self.certificates.get(row.name, {}).items():
            if status != "ok":
                yield (name if status == "failed" else f"{name} ({status})"), last_line(reason)

    def against_softmax(self, row: Row, phase: str, causal: bool) -> str:
        """Time over that of `softmax` on the same framework."""
        if row.variant.name == REFERENCE:
            return "is the reference"
        works = self._works(self.seconds, row, phase, causal)
        other = f"{REFERENCE}@{row.framework}"
        return self._longest(works, self.seconds, row.name, lambda cells: other if other in cells else "")

    def against_peers(self, row: Row, phase: str, causal: bool) -> str:
        """Time over that of the fastest public implementation of the same variant."""
        peers = [
            f"{variant.name}@{row.framework}"
            for variant in self.variants
            if variant.peer_of == row.variant.name and row.framework in variant.targets
        ]
        if not peers:
            return "is a peer" if row.variant.peer_of else "no peer"
        works = self._works(self.seconds, row, phase, causal)
        return self._longest(works, self.seconds, row.name, lambda cells: _fastest(cells, peers), "peer")

    def peak_memory(self, row: Row, causal: bool) -> str:
        """Peak of a forward pass at the longest length, and over that of `softmax` where both are known."""
        works = self._works(self.peaks, row, "forward", causal)
        if not works:
            return NOT_MEASURED
        work = works[-1]
        mine = self.peaks[work][row.name]
        if mine.typical is None:
            return mine.reason
        text = f"{formatting.quantity(mine.typical, 'B')} at {formatting.length(work.length)}"
        if row.variant.name == REFERENCE:
            return text
        other = f"{REFERENCE}@{row.framework}"
        ratio = self._longest(works, self.peaks, row.name, lambda cells: other if other in cells else "")
        return f"{text}; {ratio}"

    def marked(self, implementation: str) -> str:
        """Its name, with the properties that it lacks: they go where its figures go."""
        properties = self.certificates.get(implementation, {})
        broken = [name for name, (status, _) in properties.items() if status == "failed"]
        return f"{implementation} (fails {formatting.listed(broken)})" if broken else implementation

    def exponent(self, row: Row, causal: bool) -> str:
        """The fitted exponent of a forward pass with its interval, and the declared one."""
        works = self._works(self.seconds, row, "forward", causal)
        points = [(work.length, self.seconds[work][row.name].typical) for work in works]
        known = [(length, seconds) for length, seconds in points if seconds is not None]
        declared = f"declared {row.variant.time_exponent:g}" if row.variant.time_exponent else "none declared"
        lengths = {length for length, _ in known}
        if len(lengths) < _FEWEST_LENGTHS:
            return f"needs {_FEWEST_LENGTHS} lengths, has {len(lengths)}; {declared}"
        slope, low, high = fit_exponent([length for length, _ in known], [seconds for _, seconds in known])
        return f"{slope:.2f} ({low:.2f} to {high:.2f}); {declared}"

    def state(self, row: Row) -> str:
        """Bytes that decoding keeps for one sequence: growth a token, and all at the longest context."""
        works = [work for work in self.states if row.name in self.states[work] and work.phase == "decode"]
        works.sort(key=lambda work: work.length)
        if not works:
            return NOT_MEASURED if row.variant.state else "does not decode"
        known = [(work.length, self.states[work][row.name].typical) for work in works]
        sizes = [(length, size) for length, size in known if size is not None]
        if not sizes:
            return self.states[works[-1]][row.name].reason
        (first, least), (last, most) = sizes[0], sizes[-1]
        text = f"{formatting.quantity(most, 'B')} at {formatting.length(last)}"
        if last == first:
            return text
        return f"{formatting.quantity((most - least) / (last - first), 'B')} a token; {text}"

    def _works(self, table: Table, row: Row, phase: str, causal: bool) -> list[Work]:
        """Work of that kind on which there is a cell for the row, the longest last."""
        found = [
            work
            for work, cells in table.items()
            if (work.phase, work.causal) == (phase, causal) and row.name in cells
        ]
        return sorted(found, key=lambda work: work.length)

    def _longest(
        self,
        works: Sequence[Work],
        table: Table,
        name: str,
        choose: Callable[[Mapping[str, Measured]], str],
        what: str = REFERENCE,
    ) -> str:
        """The ratio at the longest length that holds both, with the name of a peer; without one, why not."""
        for work in reversed(works):
            cells = table[work]
            other = choose(cells)
            mine, theirs = cells[name], cells.get(other, ABSENT)
            if set(mine.medians) & set(theirs.medians):
                ratio, bounds = in_words(compared(self.results, mine, theirs))
                beside = "" if what == REFERENCE else f", {other.rpartition('@')[0]}"
                return f"{ratio} ({bounds}) at {formatting.length(work.length)}{beside}"
        if not works:
            return NOT_MEASURED
        own = table[works[-1]][name]
        return own.reason if not own.medians else f"no {what} was measured beside it"


def _fastest(cells: Mapping[str, Measured], peers: Sequence[str]) -> str:
    """The peer with the least typical time; empty where none was measured."""
    times = {peer: cells[peer].typical for peer in peers if peer in cells}
    known = {peer: time for peer, time in times.items() if time is not None}
    return min(known, key=known.__getitem__) if known else ""


def _plain(table: Table) -> Table:
    """Bare layers as the suites describe them: other dtypes, positions and norms are named in the subject."""
    return {
        work: cells
        for work, cells in table.items()
        if work.series in {f"{name}/{work.phase}" for name in (BARE, f"causal_{BARE}")}
    }


def _certificates(results: Results) -> dict[str, dict[str, tuple[str, str]]]:
    """By implementation and property: its status and reason; of several runs the worst one stands."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    rows = results.select("certificate")
    columns = (rows[name] for name in ("implementation", "metric", "status", "reason"))
    for implementation, name, status, reason in zip(*columns, strict=True):
        properties = found.setdefault(implementation, {})
        if properties.get(name, ("ok", ""))[0] in ("ok", status):
            properties[name] = (status, reason)
    return found
