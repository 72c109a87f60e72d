"""Cross-entropy over targets some of which are not scored: the same number on both frameworks."""

import os
from typing import Any

import numpy as np
import pytest
import torch

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras

from suites import on_keras_losses, on_torch_losses
from suites.framework import NOT_SCORED

BATCH, TIME, CLASSES = 5, 7, 11


def made_up(share: float, *, time: int | None = TIME) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and targets of which about `share` are scored."""
    generator = np.random.default_rng(3)
    shape = (BATCH,) if time is None else (BATCH, time)
    targets = generator.integers(0, CLASSES, shape)
    targets[generator.random(shape) >= share] = NOT_SCORED
    return generator.normal(size=(*shape, CLASSES)), targets


def worked_out(logits: np.ndarray, targets: np.ndarray) -> float:
    """The definition, target by target."""
    logits, targets = logits.reshape(-1, CLASSES), targets.reshape(-1)
    losses = [
        np.log(np.exp(row).sum()) - row[target]
        for row, target in zip(logits, targets, strict=True)
        if target != NOT_SCORED
    ]
    return float(np.mean(losses)) if losses else 0.0


def on_torch_loss(logits: np.ndarray, targets: np.ndarray, dtype: torch.dtype = torch.float64) -> Any:
    return on_torch_losses.loss_of("cross_entropy")(torch.tensor(logits, dtype=dtype), torch.tensor(targets))


def on_keras_loss(logits: np.ndarray, targets: np.ndarray, dtype: str = "float64") -> Any:
    converted = keras.ops.cast(keras.ops.convert_to_tensor(logits), dtype)
    return on_keras_losses.loss_of("cross_entropy")(
        keras.ops.convert_to_tensor(targets, dtype="int32"), converted
    )


@pytest.mark.parametrize("share", [1.0, 0.5, 0.1, 0.0])
@pytest.mark.parametrize("time", [TIME, None])
def test_the_loss_is_the_mean_over_scored_targets_on_both_frameworks(share: float, time: int | None) -> None:
    logits, targets = made_up(share, time=time)
    expected = pytest.approx(worked_out(logits, targets), rel=1e-12)
    assert float(on_torch_loss(logits, targets)) == expected
    assert float(on_keras_loss(logits, targets)) == expected


def test_a_batch_without_a_scored_target_has_a_loss_of_zero_and_no_gradient() -> None:
    logits, targets = made_up(0.0)
    ours = torch.tensor(logits, requires_grad=True)
    loss = on_torch_losses.loss_of("cross_entropy")(ours, torch.tensor(targets))
    torch.autograd.backward(loss)
    assert float(loss.detach()) == 0.0
    assert ours.grad is not None and not ours.grad.any()
    assert float(on_keras_loss(logits, targets)) == 0.0
    assert not gradient_on_keras(logits, targets).any()


def gradient_on_keras(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    import tensorflow

    theirs = tensorflow.Variable(logits)
    with tensorflow.GradientTape() as tape:
        loss = on_keras_losses.loss_of("cross_entropy")(tensorflow.constant(targets, "int32"), theirs)
    return np.asarray(tape.gradient(loss, theirs))


def test_gradients_agree_and_are_zero_where_nothing_is_scored() -> None:
    logits, targets = made_up(0.5)
    ours = torch.tensor(logits, requires_grad=True)
    torch.autograd.backward(on_torch_losses.loss_of("cross_entropy")(ours, torch.tensor(targets)))
    assert ours.grad is not None
    theirs = gradient_on_keras(logits, targets)
    np.testing.assert_allclose(theirs, ours.grad.numpy(), rtol=1e-6, atol=1e-9)
    assert not theirs[targets == NOT_SCORED].any()
    assert theirs[targets != NOT_SCORED].all()


def test_narrow_numbers_keep_the_mean_of_many_targets() -> None:
    # A plain sum in bfloat16 stands still once it is 256 times as large as what is added.
    generator = np.random.default_rng(5)
    logits, targets = generator.normal(size=(3, 1009, CLASSES)), generator.integers(0, CLASSES, (3, 1009))
    targets[:, 1::2] = NOT_SCORED
    expected = pytest.approx(worked_out(logits, targets), rel=0.01)
    assert float(on_torch_loss(logits, targets, torch.bfloat16)) == expected
    assert float(keras.ops.cast(on_keras_loss(logits, targets, "bfloat16"), "float32")) == expected
