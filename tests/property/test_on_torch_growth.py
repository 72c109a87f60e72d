"""Variants of linear cost hold no tensor that grows with the square of the length, forward or backward."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

LENGTH = 1021


class LargestTensor(TorchDispatchMode):
    """Watches every operation and remembers the most entries that any of its outputs had."""

    entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self.entries = max(self.entries, leaf.numel())
        return out


def largest(layer: torch.nn.Module, length: int, padded: bool) -> int:
    tokens = torch.randn(1, length, 7, dtype=torch.float64, requires_grad=True)
    padding = torch.rand(1, length) < 0.7 if padded else None
    # Written out, so that the scores inside the fused kernel are seen as well.
    with LargestTensor() as seen, sdpa_kernel(SDPBackend.MATH):
        layer(tokens, padding=padding).sum().backward()
    return seen.entries


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(
    ("name", "causal"),
    [(name, causal) for name in ("sliding_window", "linear", "performer") for causal in (False, True)]
    + [("linformer", False)],
)
def test_memory_grows_with_the_length_only(torch_layer, name, causal, padded) -> None:
    once, twice = (
        largest(torch_layer(name, causal=causal, max_length=length), length, padded)
        for length in (LENGTH, 2 * LENGTH)
    )
    assert once < LENGTH * LENGTH
    assert twice < 2.2 * once


def test_the_watch_sees_the_scores_of_the_reference(torch_layer) -> None:
    layer = torch_layer("softmax", causal=False, max_length=LENGTH)
    assert largest(layer, LENGTH, padded=False) == 3 * LENGTH * LENGTH


@pytest.mark.parametrize("causal", [False, True])
def test_fused_attention_builds_no_scores_with_padding(torch_layer, causal) -> None:
    layer = torch_layer("sdpa", causal=causal, max_length=LENGTH)
    with LargestTensor() as seen:
        layer(torch.randn(1, LENGTH, 7, dtype=torch.float64), padding=torch.rand(1, LENGTH) < 0.7)
    assert seen.entries < LENGTH * LENGTH / 10
