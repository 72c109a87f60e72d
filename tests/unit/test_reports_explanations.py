"""The explanations on a page: figures, doubts with their reason, drawings that no text can break out of."""

from __future__ import annotations

import json
import re
from typing import Any

import pandas
import pytest

from reports.content import Cell, Group, Paragraph, Plot, Table
from reports.evidence import Evidence
from reports.explanations import render
from reports.frame import COLUMNS, Results
from reports.pictures.shading import AGAINST, FOR, Panel, patches, words

HOSTILE = ("</text><script>alert(1)</script>", "$x$", "film", "&amp;", "charm\x00", "w" * 90)
SENTENCE = {
    "kind": "text", "words": HOSTILE, "label": 1, "predicted": 0, "probability": 0.75,
    "occlusion": [0.5, -0.25, 0.0, 0.1, 0.2, 0.3], "rollout": [0.1, 0.2, 0.1, 0.2, 0.1, 0.3],
}  # fmt: skip
IMAGE = {
    "kind": "image", "side": 3, "pixels": [[0.0, 0.3, 0.5, 0.7, 0.95, 1.0]] * 6, "label": 7, "predicted": 7,
    "probability": 0.99, "occlusion": [0.1 * n for n in range(9)], "rollout": None,
}  # fmt: skip


def row(metric: str, values: tuple[float, ...] = (), **more: Any) -> dict[str, Any]:
    known: dict[str, Any] = dict.fromkeys(COLUMNS, "")
    known |= {
        "run": "run",
        "suite": "interpretability",
        "metric": metric,
        "unit": "index",
        "seed": 0,
        "launch": 0,
    }
    known |= {"implementation": "softmax@torch", "subject": "sentiment", "values": values, "details": {}}
    known |= {"status": "ok" if values else "inconclusive", "environment_id": "here"}
    return known | more


def evidence_of(*rows: dict[str, Any]) -> Evidence:
    frame = pandas.DataFrame(list(rows), columns=list(COLUMNS))
    manifest = {"run": "run", "alpha": 0.01, "score_alpha": 0.05, "launches_planned": 1}
    results = Results(frame=frame, manifests=(manifest,), set_aside=0, mixed=False)
    return Evidence(results=results, comparisons=(), figures=())


def carried(told: Any, **more: Any) -> dict[str, Any]:
    return row("aopc_comprehensiveness", (0.2, 0.4), details={"importances": json.dumps(told)}, **more)


def parts(evidence: Evidence) -> tuple[Table, list[Any]]:
    _, group = render(evidence).blocks
    assert isinstance(group, Group)
    table, *drawn = group.blocks
    assert isinstance(table, Table)
    return table, [block for one in drawn if isinstance(one, Group) for block in one.blocks]


def test_without_the_suite_it_says_so() -> None:
    section = render(evidence_of())
    assert section.blocks == (Paragraph(text="No trained model was explained."),)


def test_a_figure_is_a_mean_with_its_interval_over_seeds() -> None:
    seeds = [row("naopc", (0.5 + 0.1 * seed, 0.7 + 0.1 * seed), seed=seed) for seed in range(3)]
    section = render(evidence_of(*seeds))
    table, _ = parts(evidence_of(*seeds))
    cell = table.rows[0][1]
    assert cell.text == "0.70" and cell.notes == ("(0.45 to 0.95)", "6 values") and not cell.mark
    (figure,) = section.data
    assert figure["estimate"] == pytest.approx(0.7) and figure["seeds"] == 3


def test_one_seed_is_provisional_and_a_seed_without_a_figure_is_named() -> None:
    missing = row("naopc", seed=1, reason="explains the architecture, not the model")
    table, _ = parts(evidence_of(row("naopc", (0.5, 0.6)), missing))
    assert table.rows[0][1].mark == "provisional: 1 seed; 1 seed without a figure"


def test_what_is_in_doubt_has_its_reason_and_no_number() -> None:
    reason = "explains the architecture, not the model: still 0.97"
    table, _ = parts(evidence_of(row("naopc", reason=reason), row("aopc_sufficiency", (-0.1,))))
    assert table.rows[0][1] == Cell(word="inconclusive", notes=("explains the architecture, not the model",))
    assert table.rows[0][2].text == "−0.10"
    figure, _ = render(evidence_of(row("naopc", reason=reason), row("aopc_sufficiency", (-0.1,)))).data
    assert figure["reason"] == reason


def test_a_metric_that_one_implementation_lacks_is_not_measured() -> None:
    other = row("largest_logit", (9.5,), implementation="linear@torch", unit="logit")
    table, _ = parts(evidence_of(row("naopc", (0.5,)), other))
    assert table.rows[0][2].word == "not measured" and table.rows[1][2].text == "9.5"


def test_each_implementation_gets_one_drawing_and_it_says_what_it_shows() -> None:
    rows = [carried(SENTENCE, seed=seed) for seed in (1, 0)]
    rows.append(carried(IMAGE, implementation="linear@torch"))
    _, drawn = parts(evidence_of(*rows))
    first, second = drawn
    assert isinstance(first, Plot) and isinstance(second, Plot)
    assert first.title == "softmax@torch: says class 0 (probability 0.75), is 1"
    assert "By occlusion most important: “</text><script>alert(1)</script>” 0.50" in first.description
    assert "“row 3, column 3” 0.80" in second.description


def test_doubt_stands_in_the_drawing() -> None:
    doubted = carried(SENTENCE) | {"status": "inconclusive", "values": (), "reason": "architecture"}
    _, (plot,) = parts(evidence_of(doubted))
    assert "occlusion (nats); inconclusive" in plot.svg


@pytest.mark.parametrize(
    "told",
    [
        [],
        {},
        {"kind": "text", "words": ["a"], "occlusion": [1.0, 2.0]},
        {"kind": "text", "words": ["a"], "occlusion": ["<b>"]},
        {**IMAGE, "side": 4},
        {**IMAGE, "pixels": []},
    ],
)
def test_an_example_that_does_not_fit_is_said_and_not_drawn(told: Any) -> None:
    _, (block,) = parts(evidence_of(carried(told)))
    assert block == Paragraph(text="softmax@torch: its example cannot be drawn.", warning=True)


def test_words_are_text_whatever_they_are() -> None:
    svg = words([Panel(title="<i>", importances=SENTENCE["occlusion"])], HOSTILE, name="one")
    assert "<script" not in svg and "<i>" not in svg and "\x00" not in svg
    assert "&lt;/text&gt;&lt;script&gt;" in svg and "$x$" in svg and "&amp;amp;" in svg
    assert "w" * 24 not in svg and "…" in svg


def test_shades_are_in_the_page_s_colours_and_as_deep_as_the_importance() -> None:
    panel = Panel(title="one", importances=[1.0, -0.5, 0.0])
    assert panel.shades == [(FOR, 0.75), (AGAINST, 0.375), (FOR, 0.0)]
    svg = words([panel], ["a", "b", "c"], name="one")
    assert "var(--series-1)" in svg and "var(--series-2)" in svg and not re.search(r"#0a0[bc]", svg)
    assert Panel(title="none", importances=[0.0, 0.0]).shades == [(FOR, 0.0)] * 2


def test_a_sign_that_no_font_here_has_is_no_warning() -> None:
    assert "電影" in words([Panel(title="one", importances=[1.0])], ["電影"], name="one")


def test_an_image_is_drawn_once_a_panel() -> None:
    panels = [Panel(title=title, importances=IMAGE["occlusion"]) for title in ("one", "two")]
    svg = patches(panels, IMAGE["pixels"], 3, 3, name="digit")
    assert svg.count("var(--series-1)") >= 2 * 8 and "one" in svg and "two" in svg
    assert len(svg) < 60_000
