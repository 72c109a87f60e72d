"""What the attacks of one family took from each model: against the reference, on shared ground, in effort."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from reports import formatting
from reports.content import Cell, Table, columns
from reports.estimates import Figure
from reports.robustness.attacked import Attacked, AttackedTask, strongest
from reports.robustness.verdicts import AttackVerdict

_CAPTION = "The strongest conclusive attack on each; queries and size are medians over its successes."


@dataclass(frozen=True, kw_only=True)
class FamilyTable:
    """One family on one task; `figures` are by implementation, metric and subject."""

    task: AttackedTask
    family: str
    verdicts: Mapping[tuple[str, str], AttackVerdict]
    figures: Mapping[tuple[str, str, str], Figure]

    def block(self) -> Table:
        """A row an implementation that the family was tried on."""
        redrawn = any(self._redrawn(one) is not None for one in self.found.values())
        heads = ["implementation", "attack", "against reference", "right alone: it, reference"]
        heads += ["success #", "queries #", "size #", "random #", *(["over redraws #"] if redrawn else [])]
        rows = []
        for name in self.task.roles:
            one = self.found.get(name)
            if one is None:
                continue
            effort = (self._effort(one, "attack_queries"), self._effort(one, "attack_changed"))
            row = [Cell(text=name), Cell(text=one.told), *self._compared(name), self._success(one), *effort]
            row += [self._random(one), *([_figure(self._redrawn(one))] if redrawn else [])]
            rows.append(tuple(row))
        return Table(caption=_CAPTION, columns=columns(*heads), rows=tuple(rows))

    @cached_property
    def found(self) -> dict[str, Attacked]:
        """The strongest conclusive attack at the headline's budget, on each implementation that has one."""
        tried = {name: strongest(self.task.at_headline(name, self.family)) for name in self.task.roles}
        return {name: one for name, one in tried.items() if one is not None}

    def data(self) -> Iterator[dict[str, Any]]:
        """The rows as plain data."""
        for name, one in self.found.items():
            figure = self.figures[name, "robust_accuracy", one.subject]
            broken, shared = self._on_shared(one)
            yield {
                "implementation": name,
                "family": self.family,
                "attack": one.attack,
                "budget": one.budget,
                "unit": one.unit,
                "accuracy": figure.estimate,
                "low": figure.low,
                "high": figure.high,
                "level": figure.level,
                "seeds": len(one.right),
                "shared_examples": shared,
                "success_on_shared": broken / shared if shared else None,
                "queries_median": self._estimate(one, "attack_queries"),
                "changed_median": self._estimate(one, "attack_changed"),
                **_judged(self.verdicts.get((self.family, name))),
            }

    def _compared(self, name: str) -> tuple[Cell, Cell]:
        one = self.verdicts.get((self.family, name))
        if one is None:
            word = "reference" if self.task.roles[name] == "reference" else "not compared"
            return Cell(word=word), Cell(word=word)
        verdict = one.verdict
        text, interval = formatting.with_bounds(
            verdict.ratio, verdict.low, verdict.high, "fraction", signed=True
        )
        against = [f"({interval})", f"adjusted p {one.adjusted_p:.2g}"]
        if one.theirs.subject != one.mine.subject:
            against.append(f"reference: {one.theirs.told}")
        compared = Cell(word=verdict.word, text=text, notes=tuple(against), number=verdict.ratio)
        if one.pair.p is None:
            return compared, Cell(word="not counted")
        counts = f"{one.pair.only_it}, {one.pair.only_reference}"
        return compared, Cell(text=counts, notes=(f"p {one.pair.p:.2g}",))

    def _on_shared(self, one: Attacked) -> tuple[int, int]:
        """How many examples it broke of those that all models had right, and how many those are."""
        shared = self.task.right_for_all()
        broken = total = 0
        for training, right in one.right.items():
            where = shared.get(training)
            if where is not None and len(where) == len(right):
                broken, total = broken + int((right[where] == 0).sum()), total + int(where.sum())
        return broken, total

    def _success(self, one: Attacked) -> Cell:
        broken, shared = self._on_shared(one)
        if not shared:
            return Cell(word="not measured", notes=("no example that all had right",))
        return Cell(text=f"{broken / shared:.3f}", notes=(f"of {shared:,}",))

    def _estimate(self, one: Attacked, metric: str) -> float | None:
        figure = self.figures.get((one.implementation, metric, one.subject))
        return figure.estimate if figure else None

    def _effort(self, one: Attacked, metric: str) -> Cell:
        figure = self.figures.get((one.implementation, metric, one.subject))
        if figure is None or figure.estimate is None:
            return Cell(word=figure.status, notes=(figure.reason,)) if figure else Cell(word="not measured")
        if metric == "attack_queries":
            return Cell(text=f"{figure.estimate:,.0f}")
        # Text attacks are bounded by queries and change a share of the words; others have a size.
        share = one.unit == "queries"
        return Cell(text=f"{figure.estimate:.0%}" if share else f"{figure.estimate:.3g}", notes=(_of(one),))

    def _random(self, one: Attacked) -> Cell:
        tried = [other for other in self.task.of(one.implementation, self.family, ("random",)) if other.right]
        alike = [other for other in tried if other.budget == one.budget] or tried[-1:]
        if not alike:
            return Cell(word="not measured")
        return Cell(text=f"{alike[0].accuracy:.3f}", notes=(alike[0].attack.replace("_", " "),))

    def _redrawn(self, one: Attacked) -> Figure | None:
        return self.figures.get((one.implementation, "expected_accuracy", one.subject))


def _of(one: Attacked) -> str:
    return "of the words" if one.unit == "queries" else one.unit


def _figure(figure: Figure | None) -> Cell:
    if figure is None:
        return Cell(word="draws nothing")
    if figure.estimate is None:
        return Cell(word=figure.status, notes=(figure.reason,))
    return Cell(text=formatting.quantity(figure.estimate, figure.unit), source=figure)


def _judged(one: AttackVerdict | None) -> dict[str, Any]:
    """A verdict as plain data; nothing for the reference itself."""
    if one is None:
        return {}
    return {
        "reference": one.reference,
        "word": one.verdict.word,
        "difference": one.verdict.ratio,
        "difference_low": one.verdict.low,
        "difference_high": one.verdict.high,
        "margin": one.verdict.margin,
        "compared_under": [one.mine.subject, one.theirs.subject],
        "only_it": one.pair.only_it,
        "only_reference": one.pair.only_reference,
        "mcnemar_p": one.pair.p,
        "adjusted_p": one.adjusted_p,
        "reason": one.verdict.reason,
    }
