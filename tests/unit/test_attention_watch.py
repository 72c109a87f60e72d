"""Attention while training: looked at three times through its definition, a reason where it cannot be."""

from dataclasses import replace

import numpy as np
import pytest

from bench.registry import registry
from bench.schema import Arm, Step, Task
from suites.framework import open_framework
from suites.learning.attention_watch import AttentionWatch
from suites.learning.models import Blueprint
from suites.learning.training import Budget, train
from suites.tasks.data import Source, TaskData

TIME, PATCH, CLASSES, LAYERS = 6, 4, 3, 2


def watch_of(variant: str, architecture: str = "patch_classifier") -> tuple[AttentionWatch, TaskData]:
    generator = np.random.default_rng(0)
    patches = generator.normal(size=(20, TIME, PATCH)).astype(np.float32)
    labels = generator.integers(0, CLASSES, 20)
    data = TaskData(
        train_inputs=(patches,),
        train_targets=labels,
        test_inputs=(patches[:5],),
        test_targets=labels[:5],
        loss="cross_entropy",
        score="accuracy",
        source=Source(name="made up", version="1", sha256="feed", licence="none", origin="here"),
        settings={"patch_width": PATCH, "classes": CLASSES, "layers": LAYERS},
    )
    task = Task(
        name="made-up",
        title="",
        architecture=architecture,
        target="nowhere:load",
        metric="accuracy",
        width=8,
        heads=2,
        max_length=TIME,
        batch=5,
        steps=8,
        learning_rates=(0.01,),
        variant_options={"linformer": {"landmarks": 3}},
    )
    row = registry().variants[variant]
    arm = Arm(
        implementation=f"{variant}@torch",
        role="candidate",
        target=row.targets["torch"],
        options=row.options,
        claims=row.claims,
    )
    place = registry().architectures[architecture]
    step = Step(
        key="made-up",
        arms=(arm,),
        task=task,
        architecture=place.targets["torch"],
        package=place.packages["torch"],
    )
    plan = Blueprint.of(open_framework("torch", device="cpu", threads=1), step, arm, data)
    return AttentionWatch(blueprint=plan, inputs=data.test_inputs), data


def test_softmax_is_looked_at_before_halfway_and_after() -> None:
    watch, data = watch_of("softmax")
    budget = Budget(steps=8, batch=5, learning_rate=0.05, seed=0)
    train(watch.blueprint.framework, watch.blueprint.build(), data, budget, look=watch.look)
    entropy, logit = watch.rows()
    assert entropy[0] == "attention_entropy" and logit[0] == "largest_logit"
    assert entropy[3] == {"layers": "2", "moments": "0 0.5 1"}
    assert len(entropy[2]) == len(logit[2]) == 3 * LAYERS
    assert all(0 < share <= 1 for share in entropy[2])
    assert entropy[2][:LAYERS] != entropy[2][-LAYERS:], "training moves attention"


@pytest.mark.parametrize(("variant", "entropy"), [("uniform", 1.0), ("none", 0.0)])
def test_the_extremes_are_what_they_must_be(variant: str, entropy: float) -> None:
    watch, _ = watch_of(variant)
    watch.look(watch.blueprint.build(), 0.0)
    (_, reason, values, _), (_, without, _, _) = watch.rows()
    assert not reason and values == pytest.approx([entropy] * LAYERS)
    assert "of no logits" in without


def test_what_has_no_rows_says_why() -> None:
    watch, _ = watch_of("linformer")
    watch.look(watch.blueprint.build(), 0.0)
    assert {reason for _, reason, _, _ in watch.rows()} == {watch.reason}
    assert "landmarks" in watch.reason


def test_a_model_that_is_not_written_out_says_so() -> None:
    watch, _ = watch_of("softmax")
    odd = replace(watch.blueprint.data, settings={**watch.blueprint.data.settings, "positions": "sinusoidal"})
    watch = AttentionWatch(blueprint=replace(watch.blueprint, data=odd), inputs=watch.inputs)
    watch.look(watch.blueprint.build(), 0.0)
    assert "sinusoidal positions is not written out" in watch.reason
