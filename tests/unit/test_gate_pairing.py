"""Launches of a gate's work: what may run beside what."""

from dataclasses import replace

from engine import make_job

from bench.gate.pairing import launched


def test_a_seed_and_what_works_on_its_weights_wait_for_one_another() -> None:
    trained = replace(make_job("job", {"one": ["steady"]}), suite="accuracy", stage="")
    attacked = replace(trained, suite="robustness")
    stages = [launched(job, number, 0).stage for number in (0, 1) for job in (trained, attacked)]
    assert len(set(stages)) == 4
    assert launched(trained, 1, 0).stage == launched(replace(trained, framework="keras"), 1, 0).stage
