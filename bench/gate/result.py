"""What a gate found, as one value: what the writers of its formats work from, and its exit code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.exits import DONE, FAILED, NOT_MEASURED
from bench.gate.cells import Cell
from bench.gate.sides import SideName

GATE_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """All cells and what they rest on.

    `titles` say what the sides are, `environments` differ where interpreters do, as lines of what differs.
    `scatter` is the standard deviation of a launch's log ratio of a reference whose code did not change, from
    `scatter_launches` of them; None without any. `moved` are works whose control left 1. `notes` say what was
    not gated at all, and why.
    """

    titles: Mapping[SideName, str]
    command: str
    started_at: str
    finished_at: str
    margin: float
    launches: int
    threads: int
    cells: tuple[Cell, ...]
    scatter: float | None = None
    scatter_launches: int = 0
    environment: str = ""
    environments: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    failure: str = ""
    schema_version: int = field(default=GATE_VERSION)

    def words(self, word: str) -> tuple[Cell, ...]:
        """The cells of this word, the largest effects first."""
        return tuple(sorted((c for c in self.cells if c.word == word), key=lambda c: -_size(c)))

    @property
    def exit_code(self) -> int:
        """1: something is worse; 3: otherwise, something or everything could not be measured; 0: neither."""
        if self.words("worse"):
            return FAILED
        if self.failure or not self.cells or self.words("not_measured"):
            return NOT_MEASURED
        return DONE

    @property
    def headline(self) -> str:
        """The answer in a sentence."""
        if self.failure:
            return "Could not measure"
        count = len(self.words("worse"))
        if count:
            return f"{count} {'cell is' if count == 1 else 'cells are'} worse"
        if not self.cells:
            return "Nothing could be compared"
        missing = len(self.words("not_measured"))
        return f"Nothing is worse; {missing} could not be measured" if missing else "Nothing is worse"


def _size(cell: Cell) -> float:
    """How large a change is, for sorting; facts come before figures."""
    if cell.kind == "certificate":
        return float("inf")
    if cell.effect is None:
        return 0.0
    return abs(cell.effect if cell.kind == "score" else cell.effect - 1)
