"""Certificates catch the variant that is not what it claims, by the property it breaks, and no right one."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.jobs import Site
from bench.measuring import Bench
from bench.plan import make_plan
from bench.registry import registry
from bench.schema import Arm, Claims, Job, Measurement, Request, Step
from suites.certificate import PROPERTIES, measure

WRONG = Path(__file__).parent.parent / "hostile" / "wrong_claims.py"
WRONG_TWIN = Path(__file__).parent.parent / "hostile" / "wrong_twin.py"
SOFTMAX = "implementations.definitions.softmax:layer"

EXACT = Claims(exact=True, causal=True, cross_attention=True, definition=SOFTMAX)
RECURRENT = Claims(causal=True, causal_only=True, reach="some", time_exponent=0.0, state="width")

# Each with its claims, the property that must catch it, and whatever else it may break as well.
WRONGS: dict[str, tuple[Claims, str, set[str]]] = {
    "sees_the_future": (EXACT, "causality", {"exactness", "stepwise"}),
    "peeks_by_one_token": (EXACT, "causality", {"exactness", "stepwise"}),
    "learns_from_the_future": (EXACT, "causality", {"gradient", "padding"}),
    "sees_padding": (EXACT, "padding", {"exactness"}),
    "nan_when_all_is_padded": (EXACT, "padding", {"exactness"}),
    "mixes_nothing": (EXACT, "mixing", {"exactness", "gradient", "growth"}),
    "never_the_same_twice": (
        EXACT,
        "determinism",
        {"batch_invariance", "padding", "causality", "exactness", "mixing", "gradient", "axes"},
    ),
    "DrawnFromNowhere": (Claims(reach="0", time_exponent=1.0), "determinism", set()),
    "mixes_the_batch": (EXACT, "batch_invariance", {"exactness", "padding", "causality"}),
    "forgets_the_scale": (EXACT, "exactness", set()),
    "rounds_to_half": (EXACT, "exactness", {"gradient"}),
    "drops_the_last_block": (EXACT, "exactness", {"mixing"}),
    "swaps_heads_and_time": (EXACT, "axes", {"mixing", "padding", "exactness", "causality", "growth"}),
    "reshapes_instead_of_transposing": (
        EXACT,
        "axes",
        {"mixing", "padding", "exactness", "causality", "extremes"},
    ),
    "sees_beyond_its_window": (Claims(causal=True, reach="window - 1"), "mixing", set()),
    "learns_by_halves": (EXACT, "gradient", set()),
    "overflows": (EXACT, "extremes", set()),
    "fails_on_one_token": (EXACT, "extremes", {"exactness"}),
    "builds_all_scores": (Claims(causal=True, time_exponent=1.0), "growth", set()),
    "multiplies_all_pairs": (Claims(causal=True, time_exponent=1.0), "growth", set()),
    "never_nears_softmax": (
        Claims(causal=True, definition=SOFTMAX, converges="features"),
        "convergence",
        {"definition"},
    ),
    "ForgetsWhileDecoding": (RECURRENT, "stepwise", set()),
    "HoardsState": (RECURRENT, "state", set()),
    "NoStepAtAll": (RECURRENT, "stepwise", {"state"}),
}
OPTIONS = {"sees_beyond_its_window": {"window": 3}, "never_nears_softmax": {"features": 4}}


def certificate_job(framework: str = "torch") -> Job:
    request = Request(variants=("softmax",), frameworks=(framework,), suites=("certificate",))
    made = make_plan(request, registry(), Site(run="run", environment_id="here", memory_bytes=8 << 30))
    return next(job for job in made.jobs if job.suite == "certificate")


def certify(
    target: str,
    claims: Claims,
    options: dict[str, int] | None = None,
    *,
    framework: str = "torch",
    twin: str = "",
) -> dict[str, Measurement]:
    job = certificate_job(framework)
    (planned,) = job.steps
    arm = Arm(
        implementation=f"subject@{framework}",
        role="candidate",
        target=target,
        options=options or {},
        claims=claims,
        twin=twin,
    )
    step: Step = replace(planned, arms=(arm,))
    bench = Bench(job, lambda step, arm: None, lambda: None)
    bench.start(0)
    return {row.metric: row for row in measure(step, bench)}


@pytest.mark.parametrize("name", WRONGS)
def test_a_wrong_claim_is_caught_by_the_property_it_breaks(name: str) -> None:
    claims, broken, also = WRONGS[name]
    rows = certify(f"{WRONG}:{name}", claims, OPTIONS.get(name))
    failed = {metric: row.reason for metric, row in rows.items() if row.status == "failed"}
    assert broken in failed, failed
    assert failed.keys() <= also | {broken}, failed
    assert not any("bars" in row.details for row in rows.values()), "a refuted claim is marked, not barred"


def test_at_least_fifteen_wrong_ones_break_every_property_that_marks() -> None:
    assert len(WRONGS) >= 15
    marking = {name for name, _, bars in PROPERTIES if not bars}
    assert {broken for _, broken, _ in WRONGS.values()} == marking - {"definition", "twins"}


def test_the_smallest_counterexample_is_shown() -> None:
    reason = certify(f"{WRONG}:sees_the_future", EXACT)["causality"].reason
    assert reason.startswith("2 tokens, those from 1 on were changed, answers before it: at [")
    assert "BrokenClaimError" not in reason


def test_a_right_kernel_has_every_property_that_it_claims() -> None:
    rows = certify(f"{WRONG}:right", replace(EXACT, state="2 * heads * head_width * blocks(n)"))
    assert {name: row.reason for name, row in rows.items() if row.status != "ok"} == {}
    assert rows.keys() >= {"causality", "padding", "exactness", "mixing", "stepwise", "state", "growth"}


def test_a_right_kernel_without_the_digits_of_float64_is_not_said_to_have_wrong_gradients() -> None:
    rows = certify(f"{WRONG}:right_in_single", EXACT)
    assert {name: row.reason for name, row in rows.items() if row.status == "failed"} == {}
    assert rows["gradient"].status == "unsupported"
    assert "digits of float64" in rows["gradient"].reason


def test_a_right_kernel_without_another_form_than_the_causal_one_is_not_barred() -> None:
    rows = certify(f"{WRONG}:right_causal_only", Claims(causal=True, causal_only=True, reach="all"))
    assert {name: row.reason for name, row in rows.items() if row.status != "ok"} == {}
    assert "causality" in rows


def test_a_right_recurrence_has_every_property_that_it_claims() -> None:
    rows = certify(f"{WRONG}:RightRecurrence", RECURRENT)
    assert {name: row.reason for name, row in rows.items() if row.status != "ok"} == {}
    assert rows["state"].details["state_bytes_after_300"] == "240"


def test_a_claim_that_is_not_made_is_not_held_against_a_variant() -> None:
    rows = certify(f"{WRONG}:right", Claims(reach="some", time_exponent=0.0))
    assert not {"causality", "exactness", "definition", "stepwise", "state", "convergence"} & rows.keys()
    assert rows["growth"].details["exponent_of_operations"].startswith("1.9")


def test_a_keras_layer_that_is_not_its_twin_is_caught() -> None:
    wrong = certify(f"{WRONG_TWIN}:attend", EXACT, framework="keras", twin=f"{WRONG}:right")
    assert wrong["twins"].status == "failed"
    assert "Keras and torch" in wrong["twins"].reason
    right = certify(f"{WRONG_TWIN}:attend", EXACT, framework="keras", twin=f"{WRONG}:forgets_the_scale")
    assert right["twins"].status == "ok"
