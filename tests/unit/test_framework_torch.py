"""`suites.on_torch`: what every suite asks of a framework, held against values worked out by hand."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from suites.framework import open_framework
from suites.on_torch import Torch

BATCH, WIDTH, CLASSES = 11, 5, 7


class Classifier(torch.nn.Module):
    """A linear map and a dropout, so that training mode shows."""

    def __init__(self, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(width, CLASSES)
        self.frozen = torch.nn.Parameter(torch.zeros(13), requires_grad=False)
        self.dropout = torch.nn.Dropout(dropout)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.linear(tokens))


def architecture(attention: object, *, width: int, dropout: float = 0.0) -> Classifier:
    assert attention == "the attention"
    return Classifier(width, dropout)


@pytest.fixture
def framework() -> Iterator[Torch]:
    before = torch.get_num_threads()
    yield Torch(device="cpu", threads=1)
    torch.set_num_threads(before)


def made_up(framework: Torch, dtype: str = "float32") -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
    generator = np.random.default_rng(3)
    tokens, labels = generator.normal(size=(BATCH, WIDTH)), generator.integers(0, CLASSES, BATCH)
    tokens_on_device, labels_on_device = framework.arrays([tokens, labels], dtype)
    return (tokens_on_device,), labels_on_device


def test_open_framework_names_the_frameworks_it_knows_when_it_does_not_know_one() -> None:
    with pytest.raises(ValueError, match=r"'tensor'; known are torch, keras"):
        open_framework("tensor", device="cpu", threads=1)


def test_torch_runs_with_the_threads_it_was_given_and_says_its_version(framework: Torch) -> None:
    assert torch.get_num_threads() == 1
    assert framework.tool == f"torch {torch.__version__}"
    with pytest.raises(ValueError, match="at least 1 thread, got 0"):
        Torch(device="cpu", threads=0)


@pytest.mark.parametrize(
    ("device", "message"), [("gpu7", "no device 'gpu7'"), ("cuda", "sees no CUDA device")]
)
def test_torch_refuses_a_device_that_is_not_here(device: str, message: str) -> None:
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(ValueError, match=message):
        Torch(device=device, threads=1)


def test_floats_take_the_dtype_and_integers_and_booleans_keep_theirs(framework: Torch) -> None:
    arrays = framework.arrays([np.ones(2), np.ones(2, np.int32), np.ones(2, bool)], "bfloat16")
    assert [array.dtype for array in arrays] == [torch.bfloat16, torch.int64, torch.bool]
    with pytest.raises(ValueError, match="dtype 'float8'"):
        framework.arrays([np.ones(2)], "float8")
    with pytest.raises(ValueError, match="complex128"):
        framework.arrays([np.ones(2, complex)], "float32")


def test_arrays_are_copies_that_later_changes_do_not_reach(framework: Torch) -> None:
    source = np.zeros(3, np.float32)
    (copied,) = framework.arrays([source], "float32")
    source[:] = 1
    assert copied.sum() == 0


def test_forward_runs_in_evaluation_mode_even_between_training_steps(framework: Torch) -> None:
    model = framework.build(architecture, "the attention", dtype="float32", width=WIDTH, dropout=0.5)
    inputs, labels = made_up(framework)
    call = framework.forward(model, inputs)
    step = framework.train_step(model, "cross_entropy", 0.0)
    first = framework.output(call())
    step(inputs, labels)
    assert model.training
    # A learning rate of 0 changes nothing, so only an active dropout could make these differ.
    np.testing.assert_array_equal(framework.output(call()), first)
    assert not call().requires_grad


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_training_in_every_dtype_lowers_the_loss(framework: Torch, dtype: str) -> None:
    framework.seed(0)
    model = framework.build(architecture, "the attention", dtype=dtype, width=WIDTH)
    inputs, labels = made_up(framework, dtype)
    step = framework.train_step(model, "cross_entropy", 0.05)
    losses = [framework.number(step(inputs, labels)) for _ in range(23)]
    assert losses[-1] < 0.8 * losses[0]
    assert framework.output(framework.forward(model, inputs)()).dtype == (
        np.float64 if dtype == "float64" else np.float32
    )


def test_one_step_moves_every_weight_by_adams_first_step(framework: Torch) -> None:
    model = framework.build(architecture, "the attention", dtype="float64", width=WIDTH)
    inputs, labels = made_up(framework, "float64")
    before = model.linear.weight.detach().clone()
    framework.train_step(model, "cross_entropy", 0.01)(inputs, labels)
    gradient = model.linear.weight.grad
    expected = before - 0.01 * gradient / (gradient.abs() + 1e-7)
    torch.testing.assert_close(model.linear.weight.detach(), expected)


def test_losses_are_the_mean_over_everything(framework: Torch) -> None:
    model = framework.build(architecture, "the attention", dtype="float64", width=WIDTH)
    inputs, labels = made_up(framework, "float64")
    logits = framework.output(framework.forward(model, inputs)())
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    cross_entropy = -np.log(probabilities[np.arange(BATCH), labels.numpy()]).mean()
    step = framework.train_step(model, "cross_entropy", 0.0)
    assert framework.number(step(inputs, labels)) == pytest.approx(cross_entropy)
    (target,) = framework.arrays([np.full((BATCH, CLASSES), 2.0)], "float64")
    step = framework.train_step(model, "mean_squared_error", 0.0)
    assert framework.number(step(inputs, target)) == pytest.approx(((logits - 2.0) ** 2).mean())
    with pytest.raises(ValueError, match="got 'hinge'"):
        framework.train_step(model, "hinge", 0.1)  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(framework: Torch) -> None:
    def weights(seed: int) -> torch.Tensor:
        framework.seed(seed)
        model = framework.build(architecture, "the attention", dtype="float32", width=WIDTH)
        return model.linear.weight.detach()

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))


def test_seed_fixes_numpy_and_python_too(framework: Torch) -> None:
    import random

    drawn = []
    for _ in range(2):
        framework.seed(5)
        drawn.append((random.random(), np.random.random()))
    assert drawn[0] == drawn[1]


def test_parameters_are_the_trainable_ones(framework: Torch) -> None:
    model = framework.build(architecture, "the attention", dtype="float32", width=WIDTH)
    assert framework.parameters(model) == WIDTH * CLASSES + CLASSES


def test_operations_of_fused_attention_are_counted_as_if_written_out(framework: Torch) -> None:
    batch, heads, time, source, head_width = 2, 3, 11, 13, 5
    query = torch.randn(batch, heads, time, head_width)
    key = torch.randn(batch, heads, source, head_width)
    counted = framework.operations(lambda: torch.nn.functional.scaled_dot_product_attention(query, key, key))
    assert counted == 2 * 2 * batch * heads * time * source * head_width


def test_operations_of_who_insists_on_the_fused_kernel_are_counted_too(framework: Torch) -> None:
    query = torch.randn(2, 3, 11, 5, requires_grad=True)
    key = torch.randn(2, 3, 13, 5, requires_grad=True)

    def insisting() -> torch.Tensor:
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            return torch.nn.functional.scaled_dot_product_attention(query, key, key)

    products = 2 * 2 * 2 * 3 * 11 * 13 * 5
    assert framework.operations(insisting) == products
    assert framework.operations(lambda: torch.autograd.backward(insisting().sum())) == 3 * products


def test_operations_of_a_model_are_counted_in_evaluation_mode_too(framework: Torch) -> None:
    model = framework.build(architecture, "the attention", dtype="float32", width=WIDTH)
    inputs, _ = made_up(framework)
    assert framework.operations(framework.forward(model, inputs)) == 2 * BATCH * WIDTH * CLASSES


def test_operations_that_cannot_be_counted_are_none_and_not_zero(framework: Torch) -> None:
    assert framework.operations(lambda: torch.ones(3) + 1) is None


def test_matrix_product_multiplies_and_counts_two_operations_a_term(framework: Torch) -> None:
    call, operations = framework.matrix_product(17, "float64")
    assert operations == 2 * 17**3
    assert call().shape == (17, 17)
    assert framework.operations(call) == operations
