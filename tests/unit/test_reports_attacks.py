"""The view `robustness` on made-up attacks with known answers: what has a number, and what is concluded."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench import wire
from bench.schema import Measurement
from bench.store import Record
from reports.content import Block, Cell, Group, Plot, Section, Table
from reports.evidence import gather
from reports.failures import failures
from reports.figures import render as render_figures
from reports.frame import Results, read_results
from reports.robustness.attacked import attacked_tasks, strongest
from reports.robustness.verdicts import AttackVerdict, judge_attacks
from reports.robustness.view import render

SOFTMAX, LINEAR = "softmax@torch", "linear@torch"


def row(name: str, metric: str, subject: str, values: Sequence[float] = (), **fields: Any) -> Measurement:
    known: dict[str, Any] = {
        "run": "r",
        "suite": "robustness",
        "unit": "fraction",
        "seed": 0,
        "launch": 0,
        "method": "measured",
        "tool": "made up",
        "environment_id": "e",
        "started_at": "2026-01-02T03:04:05+00:00",
        "role": "reference" if name.startswith("softmax") else "candidate",
        "details": {"task": subject.partition("/")[0]},
    }
    found = {"implementation": name, "metric": metric, "subject": subject, "values": tuple(values)}
    return Measurement(**(known | found | fields))


def attack(
    name: str,
    values: Sequence[float] = (),
    *,
    attack: str = "deepwordbug",
    kind: str = "black_box",
    family: str = "character",
    budget: float = 200,
    unit: str = "queries",
    task: str = "sentiment",
    metric: str = "robust_accuracy",
    **fields: Any,
) -> Measurement:
    told = {"attack": attack, "kind": kind, "family": family, "budget": f"{budget:g}", "unit": unit}
    subject = f"{task}/{attack}/{budget:g}"
    return row(name, metric, subject, values, details={"task": task, **told}, **fields)


def clean(name: str, values: Sequence[float], task: str = "sentiment", **fields: Any) -> Measurement:
    return row(name, "clean_accuracy", task, values, **fields)


def counts(only_it: int, only_reference: int, both: int, neither: int) -> tuple[list[float], list[float]]:
    """The candidate's and the reference's values of that many examples."""
    mine = [1.0] * only_it + [0.0] * only_reference + [1.0] * both + [0.0] * neither
    theirs = [0.0] * only_it + [1.0] * only_reference + [1.0] * both + [0.0] * neither
    return mine, theirs


def read(folder: Path, rows: Sequence[Measurement], **manifest: Any) -> Results:
    folder.mkdir(parents=True, exist_ok=True)
    known: dict[str, Any] = {
        "run": "r",
        "command": "attnbench compare",
        "profile": "quick",
        "seed": 0,
        "started_at": "2026-01-02T03:04:05+00:00",
        "finished_at": "2026-01-02T03:05:05+00:00",
        "environment": {"id": "e"},
        "request": {},
        "launches_planned": 8,
        "alpha": 0.01,
        "score_alpha": 0.05,
        "margin": 0.02,
        "score_margins": {"robust_accuracy": 0.02},
    }
    (folder / "run.json").write_bytes(wire.pretty(known | manifest))
    line = wire.encode(Record(job="j", step="s", measurements=tuple(rows)))
    (folder / "measurements.jsonl").write_bytes(line + b"\n")
    return read_results([folder])


def judged(results: Results) -> dict[str, AttackVerdict]:
    found = judge_attacks(attacked_tasks(results), results)
    return {f"{task}/{family}/{name}": one for (_, task, family, name), one in found.items()}


def tables(blocks: Sequence[Block]) -> Iterator[Table]:
    for block in blocks:
        if isinstance(block, Group):
            yield from tables(block.blocks)
        elif isinstance(block, Table):
            yield block


def table(section: Section, *heads: str) -> dict[str, dict[str, Cell]]:
    """The first table that has these headings, by row and heading."""
    for one in tables(section.blocks):
        titles = [column.title for column in one.columns]
        if set(heads) <= set(titles):
            return {cells[0].text: dict(zip(titles, cells, strict=True)) for cells in one.rows}
    raise AssertionError(f"no table with {heads}")


@pytest.mark.parametrize(
    ("pair", "word"),
    [
        (counts(40, 10, 250, 200), "better"),
        (counts(10, 40, 250, 200), "worse"),
        (counts(0, 0, 300, 200), "same"),
        (counts(0, 0, 60, 40), "undecided"),
        (counts(14, 9, 277, 200), "undecided"),
    ],
)
def test_one_attacked_seed_is_judged_by_its_examples(
    pair: tuple[list[float], list[float]], word: str, tmp_path: Path
) -> None:
    rows = [attack(LINEAR, pair[0]), attack(SOFTMAX, pair[1])]
    (one,) = judged(read(tmp_path, rows)).values()
    assert one.verdict.word == word
    assert one.pair.only_it == sum(a > b for a, b in zip(*pair, strict=True))
    assert one.verdict.ratio == pytest.approx((sum(pair[0]) - sum(pair[1])) / len(pair[0]))


def test_several_attacked_seeds_are_judged_seed_by_seed(tmp_path: Path) -> None:
    """The interval comes from the scatter of three seeds, not from three times as many examples."""
    rows = []
    for seed, lost in enumerate((10, 11, 12)):
        mine, theirs = counts(0, lost, 60, 40 - lost)
        rows += [attack(LINEAR, mine, seed=seed), attack(SOFTMAX, theirs, seed=seed)]
    (one,) = judged(read(tmp_path, rows)).values()
    assert one.seeds == 3
    assert one.verdict.word == "worse"
    assert one.verdict.ratio == pytest.approx(-0.11)
    low, high = one.verdict.low, one.verdict.high
    assert low is not None and high is not None
    assert high - low == pytest.approx(2 * 4.3027 * 0.01 / 3**0.5, rel=1e-3)


def test_an_attack_is_held_against_the_reference_only_where_it_is_conclusive_for_both(tmp_path: Path) -> None:
    weak, strong = counts(0, 0, 200, 0), counts(0, 0, 20, 180)
    doubt = "stronger than random: broke 3 of 28"
    rows = [
        attack(LINEAR, weak[0], attack="pruthi"),
        attack(SOFTMAX, weak[1], attack="pruthi"),
        attack(SOFTMAX, strong[1]),
        attack(LINEAR, status="inconclusive", reason=doubt),
        clean(LINEAR, weak[0]),
        clean(SOFTMAX, weak[1]),
    ]
    results = read(tmp_path, rows)
    (one,) = judged(results).values()
    assert (one.mine.attack, one.theirs.attack) == ("pruthi", "pruthi")
    assert one.verdict.word == "same"
    section = render(gather(results))
    headline = table(section, "untouched", "under character attack")
    assert headline[LINEAR]["under character attack"].text == "1.000"
    assert headline[SOFTMAX]["under character attack"].text == "0.100"
    reasons = table(section, "attack", "status", "reason", "implementations")
    assert reasons["deepwordbug"]["reason"].text == doubt
    assert reasons["deepwordbug"]["attack"].notes == ("at 200",)


def test_what_is_inconclusive_has_no_number_anywhere(tmp_path: Path) -> None:
    mine, theirs = counts(0, 0, 5, 2)
    rows = [
        clean(LINEAR, mine),
        clean(SOFTMAX, theirs),
        attack(SOFTMAX, theirs),
        attack(LINEAR, status="inconclusive", reason="candidates: nothing was tried"),
        attack(
            LINEAR, metric="attack_queries", status="inconclusive", reason="candidates: nothing was tried"
        ),
    ]
    results = read(tmp_path, rows)
    section = render(gather(results))
    cell = table(section, "untouched", "under character attack")[LINEAR]["under character attack"]
    assert (cell.word, cell.text) == ("inconclusive", "")
    assert [entry["implementation"] for entry in section.data[0]["attacks"]] == [SOFTMAX]
    assert failures(results.frame) == ()
    assert not [block for block in render_figures(gather(results)).blocks if isinstance(block, Group)]


def test_a_difference_that_many_cells_give_by_chance_is_undecided(tmp_path: Path) -> None:
    weak = counts(14, 4, 300, 182)
    lone = [attack(LINEAR, weak[0]), attack(SOFTMAX, weak[1])]
    assert judged(read(tmp_path / "lone", lone))[f"sentiment/character/{LINEAR}"].verdict.word == "better"
    chance = random.Random(3)
    rows = list(lone)
    for number in range(20):
        null = [float(chance.random() < 0.5) for _ in range(500)]
        rows += [attack(LINEAR, null, task=f"t{number}"), attack(SOFTMAX, null, task=f"t{number}")]
    one = judged(read(tmp_path / "many", rows))[f"sentiment/character/{LINEAR}"]
    assert one.verdict.word == "undecided"
    assert "among 21 cells" in one.verdict.reason
    assert one.adjusted_p > 0.05 > one.p


def test_random_changes_and_corruptions_are_no_attack(tmp_path: Path) -> None:
    mine, _ = counts(0, 0, 8, 3)
    none = [0.0] * 11
    rows = [
        attack(LINEAR, mine),
        attack(LINEAR, none, attack="random_characters", kind="random"),
        attack(
            LINEAR, none, attack="jpeg", kind="corruption", family="corruption", metric="corrupted_accuracy"
        ),
    ]
    (task,) = attacked_tasks(read(tmp_path, rows))
    assert task.families == ("character",)
    found = strongest(task.of(LINEAR, "character"))
    assert found is not None
    assert found.attack == "deepwordbug"


def test_success_is_counted_where_all_models_were_right(tmp_path: Path) -> None:
    rows = [
        clean(SOFTMAX, [1, 1, 1, 1, 0]),
        clean(LINEAR, [1, 1, 1, 0, 1]),
        attack(SOFTMAX, [1, 0, 0, 0, 0]),
        attack(LINEAR, [1, 1, 0, 0, 0]),
    ]
    section = render(gather(read(tmp_path, rows)))
    cells = table(section, "attack", "success", "random")
    assert (cells[SOFTMAX]["success"].text, cells[SOFTMAX]["success"].notes) == ("0.667", ("of 3",))
    assert cells[LINEAR]["success"].text == "0.333"


def test_effort_is_the_median_of_successes_and_says_when_there_was_none(tmp_path: Path) -> None:
    rows = [
        clean(SOFTMAX, [1, 1, 1]),
        attack(SOFTMAX, [0, 0, 0]),
        attack(SOFTMAX, [5, 7, 90], metric="attack_queries", unit="count"),
        attack(SOFTMAX, [0.1, 0.2, 0.9], metric="attack_changed", unit="share"),
        clean(LINEAR, [1, 1, 1]),
        attack(LINEAR, [1, 1, 1]),
        attack(LINEAR, metric="attack_queries", status="unsupported", reason="no attack succeeded"),
    ]
    cells = table(render(gather(read(tmp_path, rows))), "queries", "size")
    assert cells[SOFTMAX]["queries"].text == "7"
    assert (cells[SOFTMAX]["size"].text, cells[SOFTMAX]["size"].notes) == ("20%", ("of the words",))
    assert (cells[LINEAR]["queries"].word, cells[LINEAR]["queries"].text) == ("unsupported", "")


def test_curves_start_untouched_and_take_the_strongest_attack_at_each_budget(tmp_path: Path) -> None:
    linf: dict[str, Any] = {"family": "linf", "unit": "linf", "task": "digits"}
    rows = [
        clean(SOFTMAX, [1, 1, 1, 0], "digits"),
        attack(SOFTMAX, [1, 1, 0, 0], attack="square", budget=0.05, **linf),
        attack(SOFTMAX, [1, 0, 0, 0], attack="pgd", kind="white_box", budget=0.05, **linf),
        attack(SOFTMAX, [0, 0, 0, 0], attack="pgd", kind="white_box", budget=0.1, **linf),
    ]
    section = render(gather(read(tmp_path, rows)))
    (curve,) = section.data[0]["curves"]
    assert curve["budgets"] == [0, 0.05, 0.1]
    assert curve["accuracy"] == [0.75, 0.25, 0]
    (group,) = [block for block in section.blocks if isinstance(block, Group)]
    assert [block.title for block in group.blocks if isinstance(block, Plot)] == ["digits: linf attacks"]


def test_the_transfer_matrix_has_the_source_at_the_top(tmp_path: Path) -> None:
    def fooled(target: str, source: str, values: Sequence[float], **more: Any) -> Measurement:
        told = {"task": "sentiment", "attack": "pwws", "family": "word", "from": source}
        return row(
            target,
            "transfer_success",
            f"sentiment/pwws/from {source}",
            values,
            suite="attack_transfer",
            details=told,
            **more,
        )

    rows = [
        clean(SOFTMAX, [1, 1]),
        clean(LINEAR, [1, 1]),
        fooled(LINEAR, SOFTMAX, [1, 0, 0, 0]),
        fooled(SOFTMAX, LINEAR, (), status="unsupported", reason="no text that fooled the source"),
    ]
    cells = table(render(gather(read(tmp_path, rows))), "fooled")
    assert (cells[LINEAR][SOFTMAX].text, cells[LINEAR][SOFTMAX].notes) == ("0.25", ("of 4",))
    assert cells[SOFTMAX][LINEAR].word == "unsupported"
    assert cells[LINEAR][LINEAR].word == "not measured"


def test_corruptions_are_averaged_over_severities_and_shown_one_by_one(tmp_path: Path) -> None:
    worn: dict[str, Any] = {
        "kind": "corruption",
        "family": "corruption",
        "unit": "severity",
        "task": "digits",
        "metric": "corrupted_accuracy",
    }
    rows = [
        clean(SOFTMAX, [1, 1, 1, 1], "digits"),
        attack(SOFTMAX, [1, 1, 1, 1], attack="jpeg", budget=1, **worn),
        attack(SOFTMAX, [1, 1, 0, 0], attack="jpeg", budget=2, **worn),
        attack(SOFTMAX, [0, 0, 0, 1], attack="contrast", budget=1, **worn),
        attack(SOFTMAX, [0, 0, 0, 0], attack="contrast", budget=2, **worn),
    ]
    cells = table(render(gather(read(tmp_path, rows))), "all", "jpeg", "contrast")[SOFTMAX]
    assert [cells[head].text for head in ("all", "jpeg", "contrast")] == ["0.438", "0.750", "0.125"]
    assert cells["jpeg"].notes[0].startswith("(")


def test_a_model_that_could_not_be_attacked_says_why(tmp_path: Path) -> None:
    rows = [
        clean(SOFTMAX, [1, 1]),
        attack(SOFTMAX, [1, 0]),
        row(LINEAR, "robust_accuracy", "sentiment", status="failed", reason="no trained weights", details={}),
    ]
    results = read(tmp_path, rows)
    cells = table(render(gather(results)), "untouched", "under character attack")[LINEAR]
    assert (cells["untouched"].word, cells["untouched"].notes) == ("failed", ("no trained weights",))
    assert cells["under character attack"].word == "not measured"
    assert [failure.reason for failure in failures(results.frame)] == ["no trained weights"]


def test_without_attacks_the_view_says_so(tmp_path: Path) -> None:
    section = render(gather(read(tmp_path, [])))
    assert section.data == []
    assert "No trained model was attacked." in str(section.blocks)
