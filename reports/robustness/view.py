"""What breaks the trained models: accuracy under the strongest attack of each family, beside the clean one.

The attacks are those of the suite `robustness`, on the same test examples for every variant. An attack that a
gate calls inconclusive has no number anywhere here; it is listed with its reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from reports import formatting
from reports.content import Block, Cell, Column, Group, Items, Paragraph, Plot, Section, Table
from reports.estimates import Figure
from reports.evidence import Evidence
from reports.examples import mean
from reports.pictures.charts import Line, Point
from reports.pictures.drawing import in_plots, series
from reports.pictures.palette import colours
from reports.robustness.attacked import SUITE, AttackedTask, attacked_tasks, strongest
from reports.robustness.details import FamilyTable
from reports.robustness.tables import calibration, corruptions, plain_cell, transfer, without_number
from reports.robustness.verdicts import AttackVerdict, judge_attacks, places_of

_ONE_SEED = (
    "Provisional: one training of each was attacked. Intervals and verdicts are over its test examples, and "
    "say nothing of another seed."
)
_READING = (
    (
        "Accuracy",
        "measured, the share of all attacked test examples; one that was wrong before counts as wrong",
    ),
    (
        "Strongest attack",
        "of a family's attacks that no gate doubts, the one that leaves least accuracy: at the largest "
        "budget of queries, or at the second of the sizes tried; the curves show the others",
    ),
    (
        "Verdict",
        "against the reference of the same framework on the same examples, under what is conclusive for "
        "both: by seeds where several were attacked, else by McNemar's exact test",
    ),
    (
        "Success",
        "of the examples that all models had right, the share that the attack broke: no model gains by "
        "what it could not do anyway",
    ),
    (
        "Right alone",
        "examples that only one of the two still has right at their first seed, with McNemar's p; adjusted "
        "p is the verdict's, in the company of all cells",
    ),
    ("Random", "accuracy under random changes of the family, which an attack must beat"),
)


def render(evidence: Evidence) -> Section:
    """A group a task: the headline table, curves over budgets, and what stands behind them folded."""
    tasks = attacked_tasks(evidence.results)
    verdicts = judge_attacks(tasks, evidence.results)
    views = [
        TaskView(evidence=evidence, task=task, verdicts=places_of(verdicts, task), cells=len(verdicts))
        for task in tasks
    ]
    blocks: list[Block] = [
        Group(title=view.title, blocks=tuple(view.blocks()), opened=True) for view in views
    ]
    blocks.insert(0, Items(items=_READING) if blocks else Paragraph(text="No trained model was attacked."))
    data = [view.data() for view in views]
    return Section(name=SUITE, title="Accuracy under attack", blocks=tuple(blocks), data=data)


@dataclass(frozen=True, kw_only=True)
class TaskView:
    """One task in one environment: `verdicts` by family and implementation, of `cells` in the whole page."""

    evidence: Evidence
    task: AttackedTask
    verdicts: Mapping[tuple[str, str], AttackVerdict]
    cells: int

    @property
    def title(self) -> str:
        """The task, with its environment where the page mixes several."""
        place = f" on {self.task.environment}" if self.evidence.results.mixed else ""
        return f"{self.task.task}{place}"

    @cached_property
    def figures(self) -> dict[tuple[str, str, str], Figure]:
        """By implementation, metric and subject."""
        mine = [figure for figure in self.evidence.figures if figure.suite in (SUITE, "attack_transfer")]
        here = [figure for figure in mine if figure.environment_id == self.task.environment]
        ordered = sorted(here, key=lambda figure: figure.estimate is not None)
        return {(f.implementation, f.metric, f.subject): f for f in ordered}

    def blocks(self) -> Iterator[Block]:
        """The headline first, then everything in the order in which a reader asks for it."""
        if all(len(found) == 1 for found in self.task.clean.values()):
            yield Paragraph(text=_ONE_SEED)
        yield self._headline()
        for family in self.task.families:
            yield from self._curves(family)
        for table in self._tables():
            yield Group(title=f"{table.family}: what the attacks took", blocks=(table.block(),))
        yield from transfer(self.evidence, self.task)
        yield from corruptions(self.evidence, self.task)
        yield from calibration(self.task, self.figures)
        yield from without_number(self.evidence, self.task)

    def data(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "task": self.task.task,
            "environment": self.task.environment,
            "clean_accuracy": {name: mean(found) for name, found in self.task.clean.items()},
            "attacks": [row for table in self._tables() for row in table.data()],
            "curves": [curve for family in self.task.families for curve in self._curve_data(family)],
        }

    def _tables(self) -> list[FamilyTable]:
        return [
            FamilyTable(task=self.task, family=family, verdicts=self.verdicts, figures=self.figures)
            for family in self.task.families
        ]

    def _headline(self) -> Table:
        heads = [Column(title="implementation"), Column(title="untouched", numeric=True)]
        heads += [Column(title=f"under {family} attack") for family in self.task.families]
        rows = [
            (
                Cell(text=name),
                self._clean(name),
                *(self._under(name, family) for family in self.task.families),
            )
            for name in self.task.roles
        ]
        return Table(caption=self._caption(), columns=tuple(heads), rows=tuple(rows))

    def _caption(self) -> str:
        results = self.evidence.results
        margin = results.score_margins.get("robust_accuracy", 0.02)
        counts = sorted({len(row) for found in self.task.clean.values() for row in found.values()})
        tried = formatting.listed([f"{count:,}" for count in counts], "or")
        return (
            f"{tried} test examples, untouched and under the strongest attack of each family. “same”: the "
            f"whole interval within {margin:g}. Error rate {results.score_alpha:g} over all "
            f"{formatting.plural(self.cells, 'cell')} of this section (Benjamini and Hochberg)."
        )

    def _clean(self, name: str) -> Cell:
        figure = self.figures.get((name, "clean_accuracy", self.task.task))
        # A model that could not be attacked at all has one row, of whatever its suite's first metric is.
        return plain_cell(figure or self.figures.get((name, "robust_accuracy", self.task.task)))

    def _under(self, name: str, family: str) -> Cell:
        tried = self.task.at_headline(name, family)
        found = strongest(tried)
        if found is None:
            return Cell(word=tried[0].status, notes=("see below",)) if tried else Cell(word="not measured")
        figure = self.figures[name, "robust_accuracy", found.subject]
        text, interval = formatting.with_bounds(figure.estimate, figure.low, figure.high, figure.unit)
        verdict = self.verdicts.get((family, name))
        notes = [f"({interval})", found.told]
        if verdict is None:
            word = "reference" if self.task.roles[name] == "reference" else "not compared"
        else:
            word = verdict.verdict.word
            if verdict.mine.subject != found.subject:
                notes.append(f"compared under {verdict.mine.told}")
        return Cell(word=word, text=text, notes=tuple(notes), source=figure)

    def _curves(self, family: str) -> Iterator[Block]:
        lines = list(self._lines(family))
        parts = in_plots(lines) if lines else []
        unit = next((one.unit for one in self.task.attacked if one.family == family), "")
        for number, part in enumerate(parts, 1):
            count = f", {number} of {len(parts)}" if len(parts) > 1 else ""
            drawn = series(
                part,
                name=f"robustness {self.title} {family}{count}",
                x_title=f"budget, {unit}",
                y_title="accuracy under the strongest attack",
            )
            told = [f"{line.label} {line.points[0].y:.3f} to {line.points[-1].y:.3f}" for line in part]
            description = f"From untouched to the largest budget: {'; '.join(told)}."
            yield Plot(
                title=f"{self.title}: {family} attacks{count}",
                svg=drawn.svg,
                chart=drawn.chart,
                description=description,
            )

    def _lines(self, family: str) -> Iterator[Line]:
        palette = colours(self.evidence.variants)
        for curve in self._curve_data(family):
            name = curve["implementation"]
            variant, _, framework = name.rpartition("@")
            points = zip(curve["budgets"], curve["accuracy"], strict=True)
            if len(curve["budgets"]) > 1:
                yield Line(
                    label=name,
                    framework=framework,
                    colour=palette.get(variant),
                    points=tuple(Point(x=budget, y=accuracy) for budget, accuracy in points),
                    reference=self.task.roles[name] == "reference",
                )

    def _curve_data(self, family: str) -> Iterator[dict[str, Any]]:
        """Accuracy at each budget under the strongest conclusive attack; at budget 0, the clean one."""
        for name in self.task.roles:
            tried: Sequence[Any] = self.task.of(name, family)
            clean = mean(self.task.clean.get(name, {}))
            points = {0.0: clean} if clean is not None else {}
            for budget in sorted({one.budget for one in tried}):
                found = strongest([one for one in tried if one.budget == budget])
                if found is not None:
                    points[budget] = found.accuracy
            if tried:
                yield {
                    "family": family,
                    "implementation": name,
                    "budgets": list(points),
                    "accuracy": list(points.values()),
                }
