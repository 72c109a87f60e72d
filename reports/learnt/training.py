"""How the trainings went: loss curves, the grid of learning rates, and what shook them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

import numpy as np

from bench.registry import registry
from reports import formatting
from reports.content import Block, Cell, Column, Group, Paragraph, Plot, Section, Table, columns
from reports.directions import is_control
from reports.evidence import Evidence
from reports.pictures.charts import Line, Point
from reports.pictures.drawing import in_plots, series
from reports.pictures.palette import colours

_SHOWN = 25
"""Points of a curve: a batch's loss scatters, so neighbours are averaged."""
_NORMS = ("gradient_norm_p50", "gradient_norm_p95", "gradient_norm_max")


def render(evidence: Evidence) -> Section:
    """A group a task: curves, the grid with what was chosen, gradient norms folded."""
    rows = evidence.results.select("accuracy")
    rows = rows[rows["role"] != "baseline"]
    blocks: list[Block] = []
    data: dict[str, Any] = {}
    for (environment, subject), mine in rows.groupby(["environment_id", "subject"], sort=False):
        trained = _trained(mine)
        if not any(one.rates or one.curve for one in trained):
            continue
        title = f"{subject} on {environment}" if evidence.results.mixed else str(subject)
        told = (
            *_plots(evidence, title, trained),
            _grid(str(subject), trained),
            *_norms(trained),
            *_attention(trained),
        )
        blocks.append(Group(title=title, blocks=told, opened=True))
        data[title] = [one.data() for one in trained]
    if not blocks:
        blocks.append(Paragraph(text="No training was measured."))
    return Section(name="training", title="How training went", blocks=tuple(blocks), data=data)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """All that one implementation's rows on one task say of its training; `rows` by metric."""

    implementation: str
    role: str
    rows: Mapping[str, Any]

    def _values(self, metric: str) -> list[tuple[tuple[float, ...], Mapping[str, str]]]:
        rows = self.rows.get(metric)
        if rows is None:
            return []
        fine = rows[rows["status"] == "ok"]
        return list(zip(fine["values"], fine["details"], strict=True))

    def scalars(self, metric: str) -> list[float]:
        """One value a seed."""
        return [values[0] for values, _ in self._values(metric)]

    @cached_property
    def grid(self) -> dict[str, str]:
        """The text that names each rate of the grid, with the reason where it came to no score."""
        details = [told for metric in ("diverged", "validation") for _, told in self._values(metric)]
        found: dict[str, str] = {}
        for told in details:
            for rate in told.get("grid", "").split():
                reason = re.search(
                    rf"(?:^|; ){re.escape(rate)}: (.*?)(?=; [\d.e+-]+: |$)",
                    told.get("diverged", ""),
                    re.DOTALL,
                )
                found[rate] = reason.group(1) if reason else found.get(rate, "")
        return found

    @cached_property
    def rates(self) -> dict[str, float]:
        """The validation score of each rate that has one."""
        return {
            rate: score
            for values, told in self._values("validation")
            for rate, score in zip(told.get("scored", "").split(), values, strict=False)
        }

    @property
    def chosen(self) -> list[str]:
        """The rate that was chosen, or those that several runs chose."""
        return [f"{rate:g}" for rate in sorted(set(self.scalars("learning_rate")))]

    @cached_property
    def norms(self) -> dict[str, tuple[float, float, float]]:
        """Median, 95th percentile and maximum of each part's gradient norm: means over seeds, and their
        largest."""
        found: dict[str, list[list[float]]] = {}
        for place, metric in enumerate(_NORMS):
            for values, told in self._values(metric):
                for part, value in zip(told.get("parts", "").split(), values, strict=False):
                    found.setdefault(part, [[], [], []])[place].append(value)
        whole = {part: norms for part, norms in found.items() if all(norms)}
        return {part: (fmean(n[0]), fmean(n[1]), max(n[2])) for part, n in whole.items()}

    def attention(self, metric: str) -> np.ndarray | None:
        """``[moments, layers]``, means over seeds; None where there is nothing to see."""
        found = self._values(metric)
        seen = [np.reshape(values, (-1, int(told["layers"]))) for values, told in found]
        # A training that went on after a kill lacks the moments before.
        whole = [one for one in seen if one.shape == max((s.shape for s in seen), default=())]
        return np.mean(whole, axis=0) if whole else None

    @cached_property
    def curve(self) -> tuple[tuple[float, float], ...]:
        """Steps and losses, averaged over seeds and over neighbours."""
        found = self._values("loss_curve")
        length = min((len(values) for values, _ in found), default=0)
        if not length:
            return ()
        every = int(found[0][1].get("every", "1"))
        losses = np.mean([values[:length] for values, _ in found], axis=0)
        steps = every * np.arange(1, length + 1)
        cuts = np.arange(0, length, -(-length // _SHOWN))
        sizes = np.diff([*cuts, length])
        return tuple(
            (float(step), float(loss))
            for step, loss in zip(
                np.add.reduceat(steps, cuts) / sizes, np.add.reduceat(losses, cuts) / sizes, strict=True
            )
        )

    def data(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "implementation": self.implementation,
            "learning_rate": [float(rate) for rate in self.chosen],
            "validation": self.rates,
            "diverged": {rate: reason for rate, reason in self.grid.items() if reason},
            "diverged_share": self.scalars("diverged"),
            "loss_spikes": self.scalars("loss_spikes"),
            "gradient_norms": {part: list(norms) for part, norms in self.norms.items()},
            "loss_curve": [list(point) for point in self.curve],
        }


def _trained(rows: Any) -> list[Trained]:
    roles = dict(zip(rows["implementation"], rows["role"], strict=True))
    order = sorted(roles, key=lambda name: (roles[name] != "reference", is_control(name.rpartition("@")[0])))
    found: dict[str, dict[str, Any]] = {name: {} for name in order}
    for (name, metric), mine in rows.groupby(["implementation", "metric"], sort=False):
        found[name][metric] = mine
    return [Trained(implementation=name, role=roles[name], rows=mine) for name, mine in found.items()]


def _plots(evidence: Evidence, title: str, trained: Sequence[Trained]) -> Iterator[Block]:
    palette = colours(evidence.variants)
    lines = [
        Line(
            label=one.implementation,
            framework=one.implementation.rpartition("@")[2],
            colour=palette.get(one.implementation.rpartition("@")[0]),
            points=tuple(Point(x=step, y=loss) for step, loss in one.curve),
            reference=one.role == "reference",
        )
        for one in trained
        if one.curve
    ]
    parts = in_plots(lines) if lines else []
    for number, part in enumerate(parts, 1):
        count = f", {number} of {len(parts)}" if len(parts) > 1 else ""
        drawn = series(
            part, name=f"training {title}{count}", x_title="training step", y_title="training loss"
        )
        ends = [f"{line.label} {formatting.quantity(line.points[-1].y, 'loss')}" for line in part]
        description = f"Loss over the last steps, averaged over seeds: {'; '.join(ends)}."
        yield Plot(
            title=f"{title}: training loss{count}", svg=drawn.svg, chart=drawn.chart, description=description
        )


def _grid(subject: str, trained: Sequence[Trained]) -> Table:
    rates = sorted({rate for one in trained for rate in one.grid}, key=float)
    task = registry().tasks.get(subject)
    score = f"{task.metric.replace('_', ' ')} on validation" if task else "score on validation"
    heads = [Column(title="implementation"), Column(title="chosen rate", numeric=True)]
    heads += [Column(title=f"at {rate}", numeric=True) for rate in rates]
    names = ("of the grid diverged", "leaps of the loss", "training time")
    heads += [Column(title=name, numeric=True) for name in names]
    rows = tuple(
        (
            Cell(text=one.implementation),
            Cell(text=", ".join(one.chosen)) if one.chosen else Cell(word=_why(one)),
            *(_at(one, rate) for rate in rates),
            _share(one.scalars("diverged")),
            _mean(one.scalars("loss_spikes"), "count"),
            _mean(one.scalars("training_seconds"), "s"),
        )
        for one in trained
    )
    caption = (
        f"Each rate of the grid by its {score}, at the first seed; the other seeds train at the chosen one. "
        "Leaps: how often a loss is more than twice the median of the fifty steps before, mean over seeds. "
        "Time: of all steps beside other work, not a timing."
    )
    return Table(caption=caption, columns=tuple(heads), rows=rows)


def _why(one: Trained) -> str:
    """The status of what has no rate: it failed, or it was not tried."""
    rows = one.rows.get("learning_rate")
    return "not measured" if rows is None or rows.empty else str(rows["status"].iloc[-1])


def _at(one: Trained, rate: str) -> Cell:
    if rate in one.rates:
        mark = ("chosen",) if rate in one.chosen else ()
        return Cell(text=formatting.quantity(one.rates[rate], "score"), notes=mark, number=one.rates[rate])
    if one.grid.get(rate):
        return Cell(word="diverged", notes=(one.grid[rate],))
    return Cell(word="not measured")


def _share(found: Sequence[float]) -> Cell:
    return Cell(text=f"{fmean(found):.0%}", number=fmean(found)) if found else Cell(word="not measured")


def _mean(found: Sequence[float], unit: str) -> Cell:
    if not found:
        return Cell(word="not measured")
    return Cell(text=formatting.quantity(fmean(found), unit), number=fmean(found))


def _norms(trained: Sequence[Trained]) -> Iterator[Block]:
    parts = list(dict.fromkeys(part for one in trained for part in one.norms))
    if not parts:
        return
    rows = tuple(
        (Cell(text=one.implementation), *(_norm(one.norms.get(part)) for part in parts))
        for one in trained
        if one.norms
    )
    heads = (Column(title="implementation"), *(Column(title=part, numeric=True) for part in parts))
    caption = "Norm of each part's gradient over all steps: median, then the 95th percentile and the largest."
    table = Table(caption=caption, columns=heads, rows=rows)
    yield Group(title="Gradient norms of each part", blocks=(table,))


def _attention(trained: Sequence[Trained]) -> Iterator[Block]:
    """Entropy and largest logit of each layer, where attention has rows."""
    rows = []
    for one in trained:
        seen = [one.attention(metric) for metric in ("attention_entropy", "largest_logit")]
        if any(values is not None for values in seen):
            rows.append((Cell(text=one.implementation), *map(_course, seen)))
    if rows:
        caption = (
            "Layer by layer on a few validation examples: before training, halfway, at its end. Entropy is a"
            " share of the largest possible; where it falls towards 0, attention has collapsed."
        )
        heads = columns("implementation", "attention entropy #", "largest logit #")
        table = Table(caption=caption, columns=heads, rows=tuple(rows))
        yield Group(title="Attention while training", blocks=(table,))


def _course(values: np.ndarray | None) -> Cell:
    if values is None:
        return Cell(word="unsupported")
    layers = (" → ".join(f"{value:.3g}" for value in course) for course in values.T)
    return Cell(text=next(layers), notes=tuple(layers))


def _norm(norms: tuple[float, float, float] | None) -> Cell:
    if norms is None:
        return Cell(word="not measured")
    return Cell(text=f"{norms[0]:.3g}", notes=(f"p95 {norms[1]:.3g}", f"max {norms[2]:.3g}"))
