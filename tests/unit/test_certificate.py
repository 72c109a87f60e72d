"""Certificates catch the variant that is not what it claims, by the property it breaks, and no right one."""

from pathlib import Path

import pytest

from bench.measuring import Bench
from bench.plan import Site, make_plan
from bench.registry import registry
from bench.schema import Arm, Job, Measurement, Request, Step
from suites.certificate import measure

WRONG = Path(__file__).parent.parent / "hostile" / "wrong_claims.py"
CLAIMS = ("exact", "causal", "cross_attention")


def certificate_job() -> Job:
    request = Request(variants=("softmax",), frameworks=("torch",), suites=("certificate",), profile="smoke")
    made = make_plan(request, registry(), Site(run="run", environment_id="here", memory_bytes=8 << 30))
    return next(job for job in made.jobs if job.suite == "certificate")


def certify(
    target: str, options: dict[str, int] | None = None, claims: tuple[str, ...] = CLAIMS
) -> list[Measurement]:
    job = certificate_job()
    (planned,) = job.steps
    arm = Arm(
        implementation="subject@torch", role="candidate", target=target, options=options or {}, claims=claims
    )
    step = Step(
        key=planned.key,
        subject=planned.subject,
        arms=(arm,),
        workload=planned.workload,
        architecture=planned.architecture,
    )
    bench = Bench(job, lambda step, arm: None, lambda: None)
    bench.start(0)
    return measure(step, bench)


@pytest.mark.parametrize(
    ("kernel", "broken"),
    [
        ("sees_the_future", {"causality"}),
        ("sees_padding", {"padding"}),
        ("nan_when_all_is_padded", {"padding"}),
        ("mixes_nothing", {"mixing", "exactness"}),
        ("never_the_same_twice", {"determinism", "batch_invariance", "padding", "causality", "exactness"}),
        ("mixes_the_batch", {"batch_invariance", "exactness", "padding"}),
        ("forgets_the_scale", {"exactness"}),
        ("swaps_heads_and_time", {"mixing", "padding", "exactness"}),
    ],
)
def test_a_wrong_claim_is_caught_by_the_property_it_breaks(kernel: str, broken: set[str]) -> None:
    rows = {row.metric: row for row in certify(f"{WRONG}:{kernel}")}
    failed = {name for name, row in rows.items() if row.status == "failed"}
    assert failed <= broken and failed
    first = next(iter(broken & failed))
    assert rows[first].reason
    assert not any("bars" in row.details for row in rows.values()), "a refuted claim is marked, not barred"


@pytest.mark.parametrize(
    ("kernel", "property_"),
    [
        ("sees_the_future", "causality"),
        ("sees_padding", "padding"),
        ("nan_when_all_is_padded", "padding"),
        ("mixes_nothing", "mixing"),
        ("never_the_same_twice", "determinism"),
        ("mixes_the_batch", "batch_invariance"),
        ("forgets_the_scale", "exactness"),
        ("swaps_heads_and_time", "mixing"),
    ],
)
def test_the_named_property_is_among_the_broken_ones(kernel: str, property_: str) -> None:
    assert {row.metric: row.status for row in certify(f"{WRONG}:{kernel}")}[property_] == "failed"


def test_a_right_kernel_has_every_property() -> None:
    rows = certify(f"{WRONG}:right")
    assert {row.status for row in rows} == {"ok"}
    assert {row.metric for row in rows} >= {"causality", "padding", "exactness", "mixing", "determinism"}


@pytest.mark.parametrize("name", registry().variants)
def test_no_variant_of_ours_is_flagged(name: str) -> None:
    variant = registry().variants[name]
    claims = tuple(claim for claim in CLAIMS if getattr(variant, claim))
    rows = certify(variant.targets["torch"], dict(variant.options), claims)
    assert {row.metric: row.reason for row in rows if row.status != "ok"} == {}


def test_a_claim_that_is_not_made_is_not_held_against_a_variant() -> None:
    metrics = {row.metric for row in certify(f"{WRONG}:right", claims=())}
    assert not {"causality", "exactness"} & metrics
