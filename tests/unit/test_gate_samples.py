"""From rows of ordinary jobs to effects: memory as ratios, scores by example, energy where measured."""

import math
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from bench.gate.cells import Sample
from bench.gate.ordinary import name_of
from bench.gate.pairing import ArmPair
from bench.gate.samples import PAGE_BYTES, samples
from bench.schema import Arm, Measurement, Metric, Suite

SUITES = {
    "memory": Suite(
        name="memory",
        title="",
        metrics=(Metric(name="peak_bytes", title="", unit="B", better="lower"),),
        target="",
    ),
    "accuracy": Suite(
        name="accuracy",
        title="",
        metrics=(
            Metric(name="accuracy", title="", unit="fraction", better="higher"),
            Metric(name="perplexity", title="", unit="1", better="lower"),
        ),
        target="",
    ),
    "energy": Suite(
        name="energy",
        title="",
        metrics=(Metric(name="joules", title="", unit="J", better="lower"),),
        target="",
    ),
}


def row(suite: str, name: str, values: Sequence[float], **fields: object) -> Measurement:
    metric = SUITES[suite].metrics[0]
    told = {"method": "measured", "role": "candidate", "status": "ok", "metric": metric.name, "launch": 0}
    return Measurement(
        run="run",
        suite=suite,
        unit=metric.unit,
        implementation=f"{name}@torch",
        subject="work",
        seed=0,
        tool="x",
        environment_id="here",
        started_at="",
        values=tuple(values),
        **{**told, **fields},
    )


def pair(suite: str, name: str = "linear") -> ArmPair:
    arm = Arm(
        implementation=f"{name}@torch", role="reference" if name == "softmax" else "candidate", target=""
    )
    arms = {"baseline": arm, "candidate": arm}
    return ArmPair(
        suite=suite,
        step="work",
        subject="work",
        framework="torch",
        arms=arms,
        keys={"baseline": "a", "candidate": "b"},
    )


def sampled(
    suite: str, baseline: Sequence[Measurement], candidate: Sequence[Measurement]
) -> tuple[list[Sample], list[str]]:
    rows: dict[str, dict[tuple[str, int], tuple[Measurement, ...]]] = {"baseline": {}, "candidate": {}}
    for side, given in (("baseline", baseline), ("candidate", candidate)):
        for m in given:
            place = (f"{suite}/work/{m.implementation}", m.launch)
            rows[side][place] = (*rows[side].get(place, ()), m)
    made = pair(suite)
    assert name_of(made) == f"{suite}/work/linear@torch"
    ordinary = SimpleNamespace(pairs=[made], rows=rows, planned=lambda suite: 2)
    found, notes = samples(ordinary, SUITES, 0.02)
    return [one.sample for one in found], notes


def test_memory_is_a_ratio_a_repeat_and_later_repeats_are_fresh() -> None:
    before = [row("memory", "linear", [100.0 * (n + 1)], launch=n) for n in range(3)]
    after = [row("memory", "linear", [105.0 * (n + 1)], launch=n) for n in range(3)]
    ((sample,), _) = sampled("memory", before, after)
    assert sample.effects == pytest.approx({0: math.log(1.05), 1: math.log(1.05)})
    assert sample.fresh == pytest.approx({2: math.log(1.05)})


def test_less_than_a_page_counts_as_a_page_so_that_a_ratio_is_a_lower_bound() -> None:
    small = row("memory", "linear", [], status="below_resolution", reason="less than a page")
    ((sample,), _) = sampled("memory", [small], [row("memory", "linear", [8.0 * PAGE_BYTES])])
    assert sample.effects == pytest.approx({0: math.log(8)})


def test_scores_are_paired_by_example_and_need_a_margin() -> None:
    before = [row("accuracy", "linear", [1, 1, 0, 1]), row("accuracy", "linear", [9.0], metric="perplexity")]
    after = [row("accuracy", "linear", [1, 0, 0, 1]), row("accuracy", "linear", [8.0], metric="perplexity")]
    (found, _) = sampled("accuracy", before, after)
    assert [(s.cell.metric, s.effects) for s in found] == [("accuracy", {0: -0.25})]


def test_energy_is_the_ratio_to_the_reference_of_the_same_launch() -> None:
    before = [row("energy", "linear", [4.0]), row("energy", "softmax", [2.0], role="reference")]
    after = [row("energy", "linear", [10.0]), row("energy", "softmax", [4.0], role="reference")]
    ((sample,), notes) = sampled("energy", before, after)
    assert sample.effects == pytest.approx({0: math.log(1.25)})
    assert not notes


def test_energy_that_is_modelled_is_not_gated_and_time_stands_for_it() -> None:
    modelled = [row("energy", "linear", [4.0], method="modelled")]
    found, notes = sampled("energy", modelled, modelled)
    assert not found
    assert notes == ["energy on this machine is modelled, not measured: time stands for it"]


def test_a_failure_names_its_side_and_what_neither_side_supports_is_no_cell() -> None:
    fine, failed = (
        row("memory", "linear", [1.0]),
        row("memory", "linear", [], status="failed", reason="out of memory\nx"),
    )
    ((sample,), _) = sampled("memory", [fine], [failed])
    assert sample.failure == "candidate: failed: out of memory"
    ((silent,), _) = sampled("memory", [fine], [])
    assert silent.failure == "candidate: not measured"
    none = row("memory", "linear", [], status="unsupported", reason="no such thing")
    assert sampled("memory", [none], [none]) == ([], [])
