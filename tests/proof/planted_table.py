"""What the gate said of planted commits, held against what was planted, and the table of it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from planted_commits import Commit, Plant

FOUND_SHARE = 0.95
NAMES = {0: "0 nothing worse", 1: "1 worse", 3: "3 not measured"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A gate's answer: its cells as they stand in ``gate.json``, exit code and seconds."""

    cells: tuple[Mapping[str, Any], ...]
    exit_code: int
    seconds: float
    scatter: float | None
    failure: str

    @classmethod
    def of(cls, told: Mapping[str, Any], report: Mapping[str, Any]) -> Told:
        """From the record of the command and its JSON report."""
        return cls(
            cells=tuple(report["cells"]),
            exit_code=told["exit_code"],
            seconds=told["seconds"],
            scatter=report["scatter"],
            failure=report["failure"],
        )

    @property
    def measured(self) -> int:
        """How many cells were not known from their content alone."""
        return sum(not cell["unchanged"] for cell in self.cells)

    def words(self, word: str) -> list[Mapping[str, Any]]:
        """The cells of this word."""
        return [cell for cell in self.cells if cell["word"] == word]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A commit of the history against the one before it."""

    number: int
    commit: Commit
    baseline: str
    candidate: str
    told: Told

    @property
    def found(self) -> bool:
        """Whether the plant's own cell has the word that the plant deserves, and the exit code agrees."""
        plant = self.commit.plant
        if plant is None:
            return False
        said = any(_is_of(plant, cell) for cell in self.told.words(plant.word))
        return said and self.told.exit_code == (1 if plant.word == "worse" else 0)

    @property
    def alarms(self) -> list[Mapping[str, Any]]:
        """Cells called worse that nobody planted."""
        plant = self.commit.plant
        bad = self.told.words("worse")
        if plant is None or plant.word != "worse":
            return bad
        return [cell for cell in bad if not (_is_of(plant, cell) or _follows(plant, cell))]

    @property
    def right(self) -> bool:
        """The plant found, or nothing said; what needs no measuring not measured."""
        if self.alarms or self.told.failure:
            return False
        if self.commit.plant:
            return self.found
        return self.told.exit_code == 0 and (self.commit.code == (self.told.measured > 0))

    @property
    def judgement(self) -> str:
        """In a word or two."""
        if self.alarms:
            return f"wrong: {len(self.alarms)} false alarms"
        if self.right:
            return "right"
        if self.commit.plant is None and self.told.exit_code == 0:
            return "wrong: measured for nothing" if self.told.measured else "wrong: not measured"
        return "wrong: missed" if self.commit.plant else "wrong: could not measure"


def _is_of(plant: Plant, cell: Mapping[str, Any]) -> bool:
    return bool(cell["implementation"] == plant.implementation and cell["kind"] == plant.kind)


def _follows(plant: Plant, cell: Mapping[str, Any]) -> bool:
    """Whether the cell is worse for the plant's sake: what it costs, and the twin that no longer agrees."""
    variant = plant.implementation.partition("@")[0]
    if plant.kind == "certificate" and cell["metric"] == "twins":
        return str(cell["implementation"]).partition("@")[0] == variant
    causal = str(cell["subject"]).startswith("causal_")
    return bool(causal and cell["implementation"] == plant.implementation and cell["kind"] in plant.costs)


def plants(pairs: Sequence[Pair]) -> list[Pair]:
    """The commits that make something worse."""
    return [pair for pair in pairs if pair.commit.plant and pair.commit.plant.word == "worse"]


def passed(pairs: Sequence[Pair]) -> bool:
    """At least 95% of the plants found, each in its own commit, and no false alarm anywhere."""
    planted = plants(pairs)
    enough = sum(pair.found for pair in planted) >= FOUND_SHARE * len(planted)
    others = [pair for pair in pairs if pair not in planted]
    return enough and not any(pair.alarms for pair in pairs) and all(pair.right for pair in others)


def table(
    pairs: Sequence[Pair], sizes: Mapping[str, Sequence[Mapping[str, Any]]], asked: Sequence[str]
) -> str:
    """What was found, and a row for every commit, as Markdown."""
    planted = plants(pairs)
    found = sum(pair.found for pair in planted)
    clean = [pair for pair in pairs if pair not in planted]
    alarmed = sum(bool(pair.alarms) for pair in pairs)
    quiet = [pair for pair in clean if not pair.commit.code and pair.commit.plant is None]
    scatter = [pair.told.scatter for pair in pairs if pair.told.scatter]
    lines = [
        f"`attnbench gate {shlex.join(asked)}` on each of {len(pairs)} commits against the one before.",
        "",
        f"- Plants found, the right commit named: {found}/{len(planted)}.",
        f"- Commits with a false alarm: {alarmed}/{len(pairs)}, among {len(clean)} without a plant "
        f"{sum(bool(pair.alarms) for pair in clean)}.",
        f"- Commits that touch nothing measured: {len(quiet)}, of which "
        f"{sum(pair.told.measured == 0 for pair in quiet)} were not measured"
        + (f", at most {max(p.told.seconds for p in quiet):.0f} s each." if quiet else "."),
        f"- Seconds in all: {sum(pair.told.seconds for pair in pairs):.0f}.",
    ]
    if scatter:
        lines.append(
            "- Scatter of a launch's log ratio of the reference, whose code is the same on both sides: "
            f"{min(scatter):.2%} to {max(scatter):.2%}."
        )
    head, rule = ("| true size ", "| --- ") if sizes else ("", "")
    lines += [
        "",
        f"| # | commit | planted {head}| what the gate says first | cells measured | exit code | seconds "
        "| verdict |",
        f"| ---: | --- | --- {rule}| --- | ---: | --- | ---: | --- |",
        *(_row(pair, sizes) for pair in pairs),
    ]
    return "\n".join(lines)


def _row(pair: Pair, sizes: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    plant, told = pair.commit.plant, pair.told
    planted = plant.title if plant else ("code rewritten" if pair.commit.code else "nothing")
    cells = (
        str(pair.number),
        pair.commit.title,
        planted,
        *(["; ".join(map(_size, sizes.get(pair.candidate, ())))] if sizes else ()),
        _said(pair),
        str(told.measured),
        NAMES[told.exit_code],
        f"{told.seconds:.0f}",
        pair.judgement,
    )
    return f"| {' | '.join(cells)} |"


def _size(size: Mapping[str, Any]) -> str:
    low, high = size["low"] - 1, size["high"] - 1
    return (
        f"{size['subject']} {size['ratio'] - 1:+.1%} ({low:+.1%} to {high:+.1%}; {size['launches']} launches)"
    )


def _said(pair: Pair) -> str:
    """The cell that decides: an alarm, the plant's own, or what is not the same."""
    told, plant = pair.told, pair.commit.plant
    own = [cell for cell in told.cells if plant and _is_of(plant, cell) and not cell["unchanged"]]
    own.sort(key=lambda cell: (cell["word"] != (plant.word if plant else ""), -(abs(cell["effect"] or 0))))
    others = [cell for word in ("not_measured", "better", "undecided") for cell in told.words(word)]
    shown = [*pair.alarms, *own[:1], *(cell for cell in others if cell not in own)]
    if not shown:
        return "same everywhere" if told.measured else "nothing to measure"
    more = f"; {len(shown) - 1} more not the same" if len(shown) > 1 else ""
    return _cell(shown[0]) + more


def _cell(cell: Mapping[str, Any]) -> str:
    name = f"{cell['implementation']} {cell['subject']} {cell['metric']}: {cell['word'].replace('_', ' ')}"
    effect, low, high = cell["effect"], cell["low"], cell["high"]
    if effect is None or low is None:
        return f"{name} ({cell['reason']})".replace("\n", " ").replace("|", "/") if cell["reason"] else name
    if cell["kind"] == "score":
        return f"{name} {effect:+.3f} ({low:+.3f} to {high:+.3f})"
    return f"{name} {effect - 1:+.1%} ({low - 1:+.1%} to {high - 1:+.1%})"
