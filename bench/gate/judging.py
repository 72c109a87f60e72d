"""The last words of a gate: all cells screened together, the flagged ones measured again, then judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from bench.gate.cells import Cell, Sample, confirm, flagged, screen
from bench.gate.ordinary import Ordinary, name_of
from bench.gate.pairing import TIMED, ArmPair
from bench.gate.samples import certificates, kind_of, samples
from bench.gate.timing import Times
from bench.schema import Suite

Tell = Callable[[str], None]


class Judging:
    """Screens all cells together, has the flagged ones measured again, and gives the last words."""

    def __init__(
        self,
        ordinary: Ordinary,
        times: Times,
        suites: Mapping[str, Suite],
        margin: float,
        tell: Tell,
    ) -> None:
        self._ordinary = ordinary
        self._times = times
        self._suites = suites
        self._margin = margin
        self._tell = tell
        self.notes: list[str] = []
        self.moved: dict[tuple[str, str], float] = {}

    def cells(self) -> list[Cell]:
        """Measure, and answer every cell with its last word."""
        self._ordinary.screen()
        self._scored_again()
        certified = self._certified()
        self._bar(certified)
        self._times.screen()
        screened = screen([sample for _, sample in self._samples()])
        suspects = flagged(screened)
        words = {cell.place: cell for cell in screened}
        if suspects:
            self._tell(f"{len(suspects)} of {len(screened)} cells seem changed: measured again")
            words |= {cell.place: cell for cell in self._confirmed(suspects)}
        self.moved = self._times.moved()
        words |= {cell.place: cell for cell in self._disbelieved(words)}
        return [*certified, *words.values(), *self._times.unchanged, *self._unchanged()]

    def _scored_again(self) -> None:
        """More seeds of the scores that differ: where all examples score as before, the first ones do."""
        moved = {
            name_of(pair): pair
            for pair, sample in self._samples()
            if sample.difference and any(sample.effects.values())
        }
        if moved:
            self._tell(f"scores differ in {len(moved)} places: more seeds")
            self._ordinary.more_seeds(list(moved.values()))

    def _samples(self) -> list[tuple[ArmPair, Sample]]:
        found, notes = samples(self._ordinary, self._suites, self._margin)
        self.notes = list(dict.fromkeys((*self.notes, *notes)))
        timed = [(t.pair, t.sample) for t in self._times.cells if not t.sample.unsupported]
        return [*timed, *((sampled.pair, sampled.sample) for sampled in found)]

    def _confirmed(self, suspects: list[Cell]) -> list[Cell]:
        places = {cell.place for cell in suspects}
        again = {name_of(pair): pair for pair, sample in self._samples() if sample.cell.place in places}
        self._ordinary.confirm([pair for pair in again.values() if pair.suite != TIMED])
        self._times.confirm(suspects)
        fresh = {sample.cell.place: sample for _, sample in self._samples()}
        return confirm([(fresh[cell.place], cell) for cell in suspects])

    def _certified(self) -> list[Cell]:
        """Certificates' cells; what seems to have changed must show it again in a fresh process. A proof in
        which a worker fell over says nothing beside one that came to its end."""
        first = list(certificates(self._ordinary))
        doubtful = [pair for pair, cells in first if any(map(_changed, cells))]
        again = self._proven_again(doubtful, 1)
        fallen = [pair for pair in doubtful if self._only_first_fell_over(pair)]
        told = {name_of(pair): cells for pair, cells in first} | {
            name_of(pair): again[name_of(pair)] for pair in fallen
        }
        again |= self._proven_again([pair for pair in fallen if any(map(_changed, told[name_of(pair)]))], 2)
        return [_once_more(cell, again.get(name, ())) for name, cells in told.items() for cell in cells]

    def _proven_again(self, pairs: list[ArmPair], launch: int) -> dict[str, list[Cell]]:
        """The cells of these pairs from a fresh proof, by the pair's name."""
        if pairs:
            self._ordinary.confirm(pairs, again=launch)
        names = {name_of(pair) for pair in pairs}
        fresh = certificates(self._ordinary, launch=launch) if pairs else ()
        return {name_of(pair): cells for pair, cells in fresh if name_of(pair) in names}

    def _only_first_fell_over(self, pair: ArmPair) -> bool:
        return self._ordinary.fell_over(pair, 0) and not self._ordinary.fell_over(pair, 1)

    def _bar(self, certified: list[Cell]) -> None:
        """What no longer loads, or answers nonsense, is not timed: its figure would mean nothing."""
        barring = ("loads", "dtype", "shape", "finite")
        broken = {c.implementation: c for c in certified if c.word == "worse" and c.metric in barring}
        for timed in self._times.cells:
            cell = broken.get(timed.pair.implementation)
            if cell is not None:
                timed.sample.failure = f"candidate: the certificate failed: {cell.metric}: {cell.reason}"

    def _disbelieved(self, words: Mapping[tuple[str, str, str, str], Cell]) -> list[Cell]:
        """Changes seen in launches that also saw unchanged code change."""
        found: list[Cell] = []
        for timed in self._times.cells:
            cell = words.get(timed.sample.cell.place)
            ratio = self.moved.get((timed.pair.framework, timed.pair.step))
            if ratio is not None and cell is not None and cell.word in ("worse", "better"):
                reason = (
                    f"seemed {cell.shown}, but the reference's unchanged code measured {ratio:.3f} of itself"
                )
                found.append(replace(cell, word="undecided", reason=reason))
        return found

    def _unchanged(self) -> list[Cell]:
        return [
            Cell(
                kind=kind_of(self._suites[pair.suite]),
                suite=pair.suite,
                metric=self._suites[pair.suite].metrics[0].name,
                unit=self._suites[pair.suite].metrics[0].unit,
                implementation=pair.implementation,
                subject=pair.subject,
                word="same",
                margin=self._margin,
                unchanged=True,
            )
            for pair in self._ordinary.unchanged
        ]


def _changed(cell: Cell) -> bool:
    return cell.word in ("worse", "better")


def _once_more(cell: Cell, again: Iterable[Cell]) -> Cell:
    if not _changed(cell):
        return cell
    second = next((other for other in again if other.place == cell.place), None)
    if second is not None and second.word == cell.word:
        return replace(cell, confirmed=True, evidence=2)
    reason = f"seemed {cell.shown} ({cell.reason}), which a fresh process did not show again"
    return replace(cell, word="undecided", reason=reason)
