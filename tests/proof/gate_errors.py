"""How often the gate errs, by simulation: ``python tests/proof/gate_errors.py`` prints the table as Markdown.

A night has 40 cells, 2 of which truly became slower by so much; each launch's effect scatters around the
truth by the noise given, normally or with heavy tails (Student's t with 3 degrees of freedom, scaled to the
same standard deviation). Told are the share of planted changes found, and of nights without any in which
something was called worse, for 6 launches and as many fresh ones, as in `quick`.
"""

from __future__ import annotations

import math
import random
import sys

from bench.gate.cells import Cell, Sample, confirm, flagged, screen

CELLS, PLANTED, PLANNED = 40, 2, 6
NOISES, CHANGES = (0.003, 0.006, 0.01, 0.02), (0.0, 0.02, 0.03, 0.05, 0.1)


def drawn(chance: random.Random, noise: float, *, heavy: bool) -> float:
    """One launch's error."""
    if not heavy:
        return chance.gauss(0, noise)
    normal, squares = chance.gauss(0, 1), sum(chance.gauss(0, 1) ** 2 for _ in range(3))
    return noise * normal / math.sqrt(squares / 3) / math.sqrt(3)


def night(chance: random.Random, change: float, noise: float, *, heavy: bool) -> tuple[int, bool]:
    """How many planted changes were found, and whether an unchanged cell was called worse."""
    samples = {}
    for number in range(CELLS):
        truth = math.log1p(change) if number < PLANTED else 0.0
        blank = Cell(
            kind="time",
            suite="throughput",
            metric="seconds",
            unit="s",
            implementation=str(number),
            subject="work",
            margin=0.02,
        )
        effects = [truth + drawn(chance, noise, heavy=heavy) for _ in range(2 * PLANNED)]
        sample = Sample(cell=blank, planned=PLANNED)
        sample.effects = dict(enumerate(effects[:PLANNED]))
        sample.fresh = dict(enumerate(effects[PLANNED:], PLANNED))
        samples[blank.place] = sample
    suspects = flagged(screen(list(samples.values())))
    worse = [c for c in confirm([(samples[c.place], c) for c in suspects]) if c.word == "worse"]
    planted = sum(int(c.implementation) < PLANTED for c in worse)
    return planted, len(worse) > planted


def main() -> None:
    """Print the table; the number of nights a line may be given."""
    nights = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    headings = [f"{change:.0%} found" if change else "false nights" for change in CHANGES]
    print(f"| noise a launch | tails | {' | '.join(headings)} |")
    print(f"| ---: | --- |{' ---: |' * len(CHANGES)}")
    for noise in NOISES:
        for heavy in (False, True):
            chance, told = random.Random(11), []
            for change in CHANGES:
                seen = [night(chance, change, noise, heavy=heavy) for _ in range(nights)]
                found = sum(planted for planted, _ in seen) / (PLANTED * nights)
                # Where nothing is planted, the two cells are unchanged ones too.
                false = sum(alarm or planted > 0 for planted, alarm in seen)
                told.append(f"{found:.0%}" if change else f"{false} of {nights}")
            print(f"| {noise:.1%} | {'heavy' if heavy else 'normal'} | {' | '.join(told)} |")


if __name__ == "__main__":
    main()
