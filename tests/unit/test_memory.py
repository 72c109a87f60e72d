"""The memory suite's method against truths: known patterns, kernels, and Keras's own pool."""

import sys
from pathlib import Path

import pytest

PROOF = Path(__file__).parent.parent / "proof"
sys.path.append(str(PROOF))

from known_allocations import PATTERNS  # noqa: E402
from prove import measured, peak_of  # noqa: E402

from bench.jobs import Site  # noqa: E402
from bench.plan import make_plan  # noqa: E402
from bench.registry import registry  # noqa: E402
from bench.schema import Request  # noqa: E402


@pytest.mark.parametrize("name", PATTERNS)
def test_a_known_pattern_is_reported_within_five_percent(name: str) -> None:
    assert peak_of(name) == pytest.approx(PATTERNS[name], rel=0.05)


def test_written_out_softmax_takes_many_times_the_memory_of_the_fused_kernel() -> None:
    written_out, fused = peak_of("softmax"), peak_of("sdpa")
    scores = 8 * 1024 * 1024 * 4
    assert written_out == pytest.approx(2 * scores, rel=0.1)
    assert written_out / fused > 20


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_softmax_needs_at_least_its_scores_on_either_framework(framework: str) -> None:
    request = Request(
        variants=("softmax",), frameworks=(framework,), suites=("memory",), lengths=(1024,), profile="smoke"
    )
    made = make_plan(request, registry(), Site(run="run", environment_id="here", memory_bytes=8 << 30))
    work = next(job for job in made.jobs if job.suite == "memory" and "forward" in job.id)
    (peak,) = [row for row in measured(work) if row.metric == "peak_bytes"]
    assert peak.values[0] > 8 * 1024 * 1024 * 4
