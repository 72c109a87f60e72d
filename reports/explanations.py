"""What decided, in the eyes of occlusion and of attention rollout, and whether that may be believed.

Rows come from the suite `interpretability`: one value a test example, drawn examples as JSON text in the
details of `aopc_comprehensiveness`. A figure that its own test put in doubt stands as `inconclusive`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from bench.statistics import interval
from reports import formatting
from reports.comparisons import SETTLED_SEEDS, seed_means
from reports.content import Block, Cell, Column, Group, Paragraph, Plot, Section, Table
from reports.evidence import Evidence
from reports.failures import summary
from reports.pictures.shading import Panel, patches, words

SUITE, TITLE = "interpretability", "What decided, and whether to believe it"
CARRIER = "aopc_comprehensiveness"
METRICS = {
    "naopc": "normalised AOPC",
    "aopc_comprehensiveness": "comprehensiveness",
    "aopc_sufficiency": "sufficiency",
    "randomisation_correlation": "with weights redrawn",
    "naopc_rollout": "rollout: normalised AOPC",
    "aopc_comprehensiveness_rollout": "rollout: comprehensiveness",
    "aopc_sufficiency_rollout": "rollout: sufficiency",
    "randomisation_correlation_rollout": "rollout: with weights redrawn",
    "rollout_occlusion_correlation": "rollout against occlusion",
    "attention_entropy": "attention entropy",
    "largest_logit": "largest logit",
}
DECIMALS = {"logit": 1}
EXPLANATIONS = {
    "occlusion": "occlusion (nats)",
    "rollout": "attention rollout (shares)",
}
_NAMED = 3
_READ = (
    "Occlusion hides one word or patch at a time; rollout follows attention through the layers. Normalised "
    "AOPC says where an order of importance stands between the worst (0) and the best (1) for the same "
    "model and input; comprehensiveness (high is good) and sufficiency (low is good) are falls of "
    "probability and compare explanations of one model, not models. An explanation whose importances stay "
    "alike when all weights are redrawn explains the architecture, not the model: its scores are "
    "inconclusive."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The example that an implementation was asked to explain, as its measurement carries it."""

    implementation: str
    told: dict[str, Any]
    doubts: dict[str, str]


def render(evidence: Evidence) -> Section:
    """A table a task, and one drawn example an implementation."""
    rows = evidence.results.select(SUITE)
    blocks: list[Block] = []
    data: list[dict[str, Any]] = []
    for subject in dict.fromkeys(rows["subject"]):
        mine = rows[rows["subject"] == subject]
        table, figures = _table(evidence, mine)
        data.extend({"subject": subject, **figure} for figure in figures)
        drawn = tuple(_drawings(subject, mine))
        blocks.append(Group(title=subject, blocks=(table, *drawn), opened=True))
    if blocks:
        blocks.insert(0, Paragraph(text=_READ))
    else:
        blocks.append(Paragraph(text="No trained model was explained."))
    return Section(name="explanations", title=TITLE, blocks=tuple(blocks), data=data)


def _table(evidence: Evidence, rows: Any) -> tuple[Table, list[dict[str, Any]]]:
    metrics = [metric for metric in METRICS if metric in set(rows["metric"])]
    lines, data = [], []
    for (environment, name), mine in rows.groupby(["environment_id", "implementation"], sort=False):
        cells = []
        for metric in metrics:
            cell, figure = _cell(evidence, mine[mine["metric"] == metric])
            cells.append(cell)
            data.append({"implementation": name, "metric": metric, "environment": environment, **figure})
        note = (f"on {environment}",) if evidence.results.mixed else ()
        lines.append((Cell(text=name, notes=note), *cells))
    heads = (Column(title="implementation"), *(Column(title=METRICS[m], numeric=True) for m in metrics))
    caption = "Mean over test examples, and over seeds with their interval where there are several."
    return Table(caption=caption, columns=heads, rows=tuple(lines)), data


def _cell(evidence: Evidence, rows: Any) -> tuple[Cell, dict[str, Any]]:
    """A mean with its interval over seeds, or a status with its reason; never blank."""
    fine = rows[rows["status"] == "ok"]
    if fine.empty:
        if rows.empty:
            return Cell(word="not measured"), {"status": "not measured"}
        status, reason = str(rows.iloc[0]["status"]), str(rows.iloc[0]["reason"])
        # All of it stands among the failures.
        return Cell(word=status, notes=(summary(reason).partition(":")[0],)), {
            "status": status,
            "reason": reason,
        }
    means = list(seed_means(fine).values())
    unit, centre = str(fine.iloc[0]["unit"]), fmean(means)
    figure: dict[str, Any] = {"status": "ok", "estimate": centre, "unit": unit, "seeds": len(means)}
    figure["values"] = sum(len(values) for values in fine["values"])
    decimals = DECIMALS.get(unit, 2)
    notes: list[str] = []
    if len(means) > 1:
        _, figure["low"], figure["high"] = interval(means, 1 - evidence.results.score_alpha)
        notes.append(f"({figure['low']:.{decimals}f} to {figure['high']:.{decimals}f})")
    notes.append(formatting.plural(int(figure["values"]), "value"))
    doubtful = formatting.plural(len(rows) - len(fine), "seed") if len(fine) < len(rows) else ""
    mark = f"provisional: {formatting.plural(len(means), 'seed')}" if len(means) < SETTLED_SEEDS else ""
    mark = "; ".join(filter(None, (mark, f"{doubtful} without a figure" if doubtful else "")))
    return Cell(text=f"{centre:.{decimals}f}".replace("-", "−"), notes=tuple(notes), mark=mark), figure


def _drawings(subject: str, rows: Any) -> Iterator[Block]:
    """One plot an implementation, all of the same example; folded, because there are many."""
    plots: list[Block] = []
    for shown in _shown(rows):
        plot = _plot(subject, shown)
        plots.append(
            plot or Paragraph(text=f"{shown.implementation}: its example cannot be drawn.", warning=True)
        )
    if plots:
        yield Group(title="One test example, explained", blocks=tuple(plots))


def _shown(rows: Any) -> Iterator[Shown]:
    """The first seed's example of each implementation."""
    carriers = rows[rows["metric"] == CARRIER].sort_values("seed", kind="stable")
    for name in dict.fromkeys(rows["implementation"]):
        for row in carriers[carriers["implementation"] == name].itertuples():
            if "importances" not in row.details:
                continue
            mine = rows[(rows["implementation"] == name) & (rows["seed"] == row.seed)]
            doubts = {
                explanation: "inconclusive"
                for explanation, metric in (("occlusion", CARRIER), ("rollout", f"{CARRIER}_rollout"))
                if "inconclusive" in set(mine[mine["metric"] == metric]["status"])
            }
            yield Shown(implementation=name, told=_decoded(row.details["importances"]), doubts=doubts)
            break


def _decoded(text: str) -> dict[str, Any]:
    """What a measurement carries; nothing where it is no JSON object."""
    try:
        told = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return told if isinstance(told, dict) else {}


def _plot(subject: str, shown: Shown) -> Plot | None:
    """The drawing; None for an example whose importances do not fit its words or patches."""
    told = shown.told
    count = len(told.get("words", ())) if told.get("kind") == "text" else _patches(told)
    found = {name: told[name] for name in EXPLANATIONS if isinstance(told.get(name), list)}
    if not count or "occlusion" not in found or not all(_fits(one, count) for one in found.values()):
        return None
    panels = [
        Panel(
            title="; ".join(filter(None, (EXPLANATIONS[name], shown.doubts.get(name, "")))),
            importances=values,
        )
        for name, values in found.items()
    ]
    name = f"explanation {subject} {shown.implementation}"
    if told["kind"] == "text":
        texts = [str(word) for word in told["words"]]
        svg = words(panels, texts, name=name)
    else:
        side = int(told["side"])
        texts = [f"row {n // side + 1}, column {n % side + 1}" for n in range(count)]
        svg = patches(panels, told["pixels"], count // side, side, name=name)
    answer = f"says class {told['predicted']} (probability {told['probability']:.2f}), is {told['label']}"
    return Plot(
        title=f"{shown.implementation}: {answer}",
        svg=svg,
        description=" ".join(_said(name, values, texts) for name, values in found.items()),
    )


def _fits(importances: list[Any], count: int) -> bool:
    """Whether there is a number for each word or patch."""
    return len(importances) == count and all(isinstance(one, int | float) for one in importances)


def _patches(told: dict[str, Any]) -> int:
    """How many patches an image has; 0 where it is none."""
    if told.get("kind") != "image" or not told.get("pixels") or not told.get("side"):
        return 0
    count = len(told.get("occlusion", ()))
    return count if count % int(told["side"]) == 0 else 0


def _said(name: str, importances: Sequence[float], texts: Sequence[str]) -> str:
    """The most important words or patches, for who cannot see the shades."""
    order = sorted(range(len(texts)), key=lambda place: -importances[place])[:_NAMED]
    most = formatting.listed([f"“{texts[place]}” {importances[place]:.2f}" for place in order])
    return f"By {name} most important: {most}."
