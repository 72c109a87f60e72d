"""Ours against the public packages' own implementations: one line a variant, peer and work.

``python -m reports.peers RUN…`` prints it. `ratio` is our time over theirs with its t interval over
launches, `memory` our peak over theirs; below 1 ours is the better one. A peer that failed, is
unsupported or was not measured has a line with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from bench.registry import registry
from bench.schema import Variant, Verdict
from reports import formatting
from reports.frame import Results, read_results
from reports.pairwise import ABSENT, NOT_MEASURED, Measured, Table, Work, compared, measured, missing

_WORDS = {"better": "faster", "worse": "slower", "same": "same", "undecided": "undecided"}
_HEADS = ("variant", "peer", "length", "phase", "causal", "ours / peer", "interval", "memory", "verdict")


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRatio:
    """One line: `time` and `memory` are ours over the peer's, None for what has no ratio; `reason` says why.

    `work` is None for a peer that has not been measured anywhere.
    """

    variant: str
    peer: str
    work: Work | None
    time: Verdict | None = None
    memory: Verdict | None = None
    reason: str = ""

    @property
    def word(self) -> str:
        """faster, slower, same or undecided; empty without a ratio."""
        return _WORDS[self.time.word] if self.time is not None else ""


def peer_ratios(results: Results, variants: Iterable[Variant]) -> tuple[PeerRatio, ...]:
    """Every pair of a variant and a peer of it, on every work that either was measured on."""
    seconds, peaks = measured(results, "throughput", "seconds"), measured(results, "memory", "peak_bytes")
    return tuple(
        line
        for peer in variants
        if peer.peer_of
        for framework in sorted({*peer.targets, *peer.unsupported})
        for line in _lines(results, peer, framework, seconds, peaks)
    )


def _lines(
    results: Results, peer: Variant, framework: str, seconds: Table, peaks: Table
) -> Iterator[PeerRatio]:
    ours, theirs = f"{peer.peer_of}@{framework}", f"{peer.name}@{framework}"
    works = [work for work, cells in seconds.items() if theirs in cells]
    if not works:
        # A package of one framework is no gap on the other, and a framework's own layers have one anyway.
        if framework in peer.targets or len(peer.unsupported) > 1:
            reason = f"unsupported: {peer.unsupported[framework]}" if framework in peer.unsupported else ""
            yield PeerRatio(variant=ours, peer=theirs, work=None, reason=reason or NOT_MEASURED)
        return
    for work in sorted(works, key=lambda work: (work.series, work.length, work.environment)):
        yield _line(results, (ours, theirs), work, seconds[work], peaks.get(work, {}))


def _line(
    results: Results,
    names: tuple[str, str],
    work: Work,
    seconds: Mapping[str, Measured],
    peaks: Mapping[str, Measured],
) -> PeerRatio:
    ours, theirs = names
    pair = seconds.get(ours, ABSENT), seconds.get(theirs, ABSENT)
    of_memory = peaks.get(ours, ABSENT), peaks.get(theirs, ABSENT)
    reason = missing(*pair)
    return PeerRatio(
        variant=ours,
        peer=theirs,
        work=work,
        time=None if reason else compared(results, *pair),
        memory=None if missing(*of_memory) else compared(results, *of_memory),
        reason=reason,
    )


def peers_table(runs: Sequence[Path], variants: Iterable[Variant] | None = None) -> str:
    """The table as aligned text; `variants` are the registry's unless given. Ends with what is slower."""
    rows = registry().variants.values() if variants is None else variants
    lines = peer_ratios(read_results(runs), rows)
    table = [_HEADS, *map(_shown, lines)]
    widths = [max(len(row[place]) for row in table) for place in range(len(_HEADS))]
    text = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in table]
    return "\n".join(line.rstrip() for line in (*text, "", summary(lines))) + "\n"


def _shown(line: PeerRatio) -> tuple[str, ...]:
    work = line.work
    place = ("", "", "") if work is None else (formatting.length(work.length), work.phase, _yes(work.causal))
    if line.time is None:
        figures = ("", "", _memory(line), line.reason)
    else:
        figures = (*in_words(line.time), _memory(line), line.word)
    return (line.variant, line.peer, *place, *figures)


def in_words(ratio: Verdict) -> tuple[str, str]:
    """A ratio and its interval: "0.50×", "0.48 to 0.52"."""
    return formatting.with_bounds(ratio.ratio, ratio.low, ratio.high, "ratio")


def _memory(line: PeerRatio) -> str:
    return NOT_MEASURED if line.memory is None else formatting.quantity(line.memory.ratio, "ratio")


def _yes(true: bool) -> str:
    return "yes" if true else "no"


def summary(lines: Sequence[PeerRatio]) -> str:
    """How many lines stand where, and each slower one by name: what is left to do."""
    words = [line.word or "without a ratio" for line in lines]
    counts = [f"{words.count(word)} {word}" for word in dict.fromkeys(words)]
    slower = [line for line in lines if line.word == "slower" and line.work is not None]
    named = [f"{line.variant} than {line.peer} on {line.work.subject}" for line in slower if line.work]
    return "; ".join(filter(None, (", ".join(counts), "slower: " + ", ".join(named) if named else "")))


def main(runs: Annotated[list[Path], typer.Argument(help="run folders", exists=True)]) -> None:
    """Print ours against the public packages, with intervals."""
    typer.echo(peers_table(runs), nl=False)


if __name__ == "__main__":
    typer.run(main)
