"""Exact variants: softmax attention computed in other ways, held against its definition."""

import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from implementations.definitions import softmax as definition
from implementations.on_torch import chunked, flex, sdpa
from implementations.on_torch.layer import build_layer

WIDTH, HEADS, HEAD_WIDTH = 7, 3, 5
SMALL = {"query_block": 5, "key_block": 3}
KERNELS = {"chunked": (chunked.attend, SMALL), "flex": (flex.attend, {}), "sdpa": (sdpa.attend, {})}
TRAINABLE = [name for name in KERNELS if name != "flex"]
LENGTHS = [1, 3, 5, 13, 31]


def tensors(*shape: int, seed: int = 1, count: int = 3, dtype: torch.dtype = torch.float64) -> list:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, dtype=dtype, generator=generator) for _ in range(count)]


def padding_of(source: int) -> torch.Tensor:
    """A blind sequence, one with padding in front and a hole, and one of real tokens."""
    padding = torch.ones(3, source, dtype=torch.bool)
    padding[0] = False
    padding[1, : source // 3] = False
    padding[1, source // 2] = False
    return padding


def expected(parts, padding, causal, bias=None) -> np.ndarray:
    query, key, value = (part.detach().double().numpy() for part in parts)
    scores = query @ key.swapaxes(-1, -2) / np.sqrt(query.shape[-1])
    if bias is not None:
        scores = scores + bias.double().numpy()
    visible = np.ones(scores.shape, bool)
    if causal:
        visible &= np.tri(*scores.shape[-2:], dtype=bool)
    if padding is not None:
        visible &= padding.numpy()[:, None, None]
    return definition.softmax(scores, visible) @ value


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_each_is_softmax_attention(name, length, causal, padded, biased) -> None:
    kernel, options = KERNELS[name]
    parts = tensors(3, HEADS, length, HEAD_WIDTH)
    padding = padding_of(length) if padded else None
    bias = tensors(1, HEADS, length, length, seed=2, count=1)[0] if biased else None
    out = kernel(*parts, causal=causal, padding=padding, bias=bias, **options)
    np.testing.assert_allclose(out.numpy(), expected(parts, padding, causal, bias), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize(("length", "source"), [(13, 7), (7, 13), (1, 31), (31, 1)])
@pytest.mark.parametrize("padded", [False, True])
def test_each_attends_to_a_context_of_another_length(name, length, source, padded) -> None:
    kernel, options = KERNELS[name]
    parts = [*tensors(3, HEADS, length, HEAD_WIDTH, count=1), *tensors(3, HEADS, source, HEAD_WIDTH, count=2)]
    padding = padding_of(source) if padded else None
    out = kernel(*parts, padding=padding, **options)
    np.testing.assert_allclose(out.numpy(), expected(parts, padding, False), rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="as many keys as queries"):
        kernel(*parts, causal=True, **options)


@pytest.mark.parametrize("name", TRAINABLE)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_gradients_are_finite_differences(name, causal, padded, biased) -> None:
    kernel, options = KERNELS[name]
    inputs = [part.requires_grad_() for part in tensors(3, 2, 7, 3)]
    inputs += [part.requires_grad_() for part in tensors(1, 2, 7, 7, seed=2, count=int(biased))]
    padding = padding_of(7) if padded else None

    def mixed(query, key, value, bias=None):
        return kernel(query, key, value, causal=causal, padding=padding, bias=bias, **options)

    assert torch.autograd.gradcheck(mixed, inputs, fast_mode=True)


@pytest.mark.parametrize("causal", [False, True])
def test_the_default_blocks_meet_at_their_edges(causal) -> None:
    """Several default blocks, and a group of heads that is not whole."""
    parts = [part.requires_grad_() for part in tensors(1, 7, 1031, 3)]
    padding = torch.rand(1, 1031, generator=torch.Generator().manual_seed(3)) < 0.7
    outs = [kernel(*parts, causal=causal, padding=padding) for kernel in (chunked.attend, sdpa.attend)]
    torch.testing.assert_close(*outs, rtol=0, atol=1e-12)
    of_chunked, of_sdpa = (torch.autograd.grad(out.square().sum(), parts) for out in outs)
    torch.testing.assert_close(of_chunked, of_sdpa, rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("causal", [False, True])
def test_huge_and_zero_scores_stay_finite_in_short_dtypes(name, dtype, causal) -> None:
    kernel, options = KERNELS[name]
    for size in (0.0, 1.0, 150.0):  # products up to about 1e5
        parts = [(size * part).requires_grad_() for part in tensors(3, HEADS, 13, HEAD_WIDTH, dtype=dtype)]
        out = kernel(*parts, causal=causal, padding=padding_of(13), **options)
        assert out.dtype == dtype
        assert out.isfinite().all()
        assert (out[0] == 0).all()
        if name in TRAINABLE:
            gradients = torch.autograd.grad(out.sum(), parts)
            assert all(gradient.isfinite().all() for gradient in gradients)
        if size == 1.0:
            tolerance = 1e-5 if dtype == torch.float32 else 0.05
            want = expected(parts, padding_of(13), causal)
            np.testing.assert_allclose(out.detach().double().numpy(), want, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", TRAINABLE)
@pytest.mark.parametrize("causal", [False, True])
def test_what_stands_at_hidden_keys_changes_nothing(name, causal) -> None:
    kernel, options = KERNELS[name]
    padding = padding_of(13)
    hidden = ~padding[:, None, :, None]
    query, key, value = tensors(3, HEADS, 13, HEAD_WIDTH)
    answers = []
    for filling in (0.0, 1e4):
        parts = [query, key.masked_fill(hidden, filling), value.masked_fill(hidden, filling)]
        parts = [part.requires_grad_() for part in parts]
        out = kernel(*parts, causal=causal, padding=padding, **options)
        answers.append((out.detach(), *torch.autograd.grad(out.square().sum(), parts)))
        query = query.detach()
    torch.testing.assert_close(answers[0], answers[1], rtol=0, atol=1e-12)


def layer_of(name: str, **settings) -> torch.nn.Module:
    kernel, options = KERNELS[name]
    torch.manual_seed(3)
    return build_layer(
        kernel, width=WIDTH, heads=HEADS, head_width=4, max_length=31, options=options, **settings
    ).double()


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("positions", ["none", "rotary", "alibi", "t5"])
def test_a_prompt_and_steps_are_the_whole(name, positions) -> None:
    layer = layer_of(name, causal=True, positions=positions)
    tokens = tensors(2, 19, WIDTH, count=1)[0]
    with torch.no_grad():
        whole = layer(tokens)
        answer, state = layer.prefill(tokens[:, :11])
        answers = [answer]
        for place in range(11, 19):
            answer, state = layer.step(tokens[:, place : place + 1], state)
            answers.append(answer)
    torch.testing.assert_close(torch.cat(answers, dim=1), whole, rtol=0, atol=1e-12)


class Watch(TorchDispatchMode):
    """Remembers the most entries that any result had, and counts the operations."""

    entries, operations = 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.operations += 1
        sizes = [leaf.numel() for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor)]
        self.entries = max([self.entries, *sizes])
        return out


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_chunked_builds_one_block_of_scores_forward_and_backward(causal, padded) -> None:
    def largest(length: int) -> int:
        parts = [part.requires_grad_() for part in tensors(1, 2, length, 3, dtype=torch.float32)]
        padding = torch.rand(1, length) < 0.7 if padded else None
        with Watch() as seen:
            chunked.attend(*parts, causal=causal, padding=padding).sum().backward()
        return seen.entries

    assert largest(1031) == largest(2053) == 2 * 256 * 512


def test_chunked_keeps_nothing_of_the_scores_for_the_gradient() -> None:
    parts = [part.requires_grad_() for part in tensors(1, 2, 1031, 3)]
    kept = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        chunked.attend(*parts)
    assert sum(kept) == 2 * 1031 * (4 * 3 + 1)


def test_causal_chunks_of_the_future_are_not_computed() -> None:
    def operations(causal: bool) -> int:
        with Watch() as seen:
            chunked.attend(*tensors(1, 1, 60, 3), causal=causal, query_block=5, key_block=5)
        return seen.operations

    assert operations(causal=True) < 0.7 * operations(causal=False)


def test_a_lone_query_takes_its_keys_in_few_blocks() -> None:
    query, (key, value) = tensors(1, 1, 1, 3, count=1), tensors(1, 1, 4099, 3, count=2)
    with Watch() as seen:
        out = chunked.attend(*query, key, value)
    assert seen.operations < 40
    np.testing.assert_allclose(out.numpy(), expected((*query, key, value), None, False), atol=1e-12)


def test_a_block_below_one_token_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 token, got 0 queries and 512 keys"):
        chunked.attend(*tensors(1, 1, 7, 3), query_block=0)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_sdpa_says_which_kernel_runs(causal, padded) -> None:
    parts = tensors(3, HEADS, 13, HEAD_WIDTH, dtype=torch.float32)
    settings = {"causal": causal, "padding": padding_of(13) if padded else None}
    for kind, name in ((SDPBackend.FLASH_ATTENTION, "flash"), (SDPBackend.MATH, "math")):
        with sdpa_kernel(kind), Watch() as seen:
            sdpa.attend(*parts, **settings)
            assert sdpa.backend(*parts, **settings) == name
        # Only the kernel that is written out shows its matrix of scores.
        assert (seen.entries >= 3 * HEADS * 13 * 13) == (name == "math")
    with sdpa_kernel(SDPBackend.EFFICIENT_ATTENTION), pytest.raises(RuntimeError, match="No viable backend"):
        sdpa.backend(*parts, **settings)


def test_sdpa_says_that_a_gradient_for_a_bias_needs_the_written_out_kernel() -> None:
    parts, bias = tensors(3, HEADS, 13, HEAD_WIDTH), tensors(1, HEADS, 13, 13, count=1)[0]
    assert sdpa.backend(*parts, bias=bias) == "flash"
    assert sdpa.backend(*parts, bias=bias.requires_grad_()) == "math"


def test_flex_refuses_a_gradient_on_the_cpu_and_answers_without() -> None:
    parts = [part.requires_grad_() for part in tensors(1, 2, 7, 3)]
    out = flex.attend(*parts, causal=True)
    np.testing.assert_allclose(out.detach().numpy(), expected(parts, None, True), rtol=0, atol=1e-12)
    with pytest.raises(NotImplementedError, match="FlexAttention has no backward on the CPU: train on an"):
        out.sum().backward()
    bias = torch.zeros(1, 2, 7, 7, dtype=torch.float64, requires_grad=True)
    with pytest.raises(NotImplementedError, match="FlexAttention has no backward on the CPU"):
        flex.attend(*(part.detach() for part in parts), bias=bias).sum().backward()


def test_flex_says_that_its_operations_cannot_be_watched_on_the_cpu() -> None:
    with Watch(), pytest.raises(NotImplementedError, match="cannot run on the CPU under a dispatch mode"):
        flex.attend(*tensors(1, 2, 7, 3))


def test_flex_lets_no_advice_of_torch_through() -> None:
    """In a fresh process, since torch gives it once."""
    program = (
        "import torch; from implementations.on_torch import flex; "
        "parts = torch.randn(3, 1, 2, 7, 3); print(flex.attend(*parts, causal=True).shape)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "without torch.compile" not in done.stderr


COMPILED = """
import torch
from implementations.on_torch import flex, sdpa

parts = torch.randn(3, 2, 3, 131, 16, generator=torch.Generator().manual_seed(1))
padding = torch.rand(2, 131, generator=torch.Generator().manual_seed(2)) < 0.7
padding[0] = False
with torch.no_grad():
    out = torch.compile(flex.attend, fullgraph=True, dynamic=False)(*parts, causal=True, padding=padding)
torch.testing.assert_close(out, sdpa.attend(*parts, causal=True, padding=padding))
"""


@pytest.mark.slow
def test_flex_compiles_into_one_graph_with_a_model() -> None:
    """In a fresh process, since functions whose shapes are checked cannot be compiled."""
    done = subprocess.run(
        [sys.executable, "-c", COMPILED], capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_chunked_may_be_asked_from_several_threads_at_once() -> None:
    """Each call has its own storage."""
    parts = tensors(1, 2, 301, 3)
    alone, found = chunked.attend(*parts, **SMALL), []
    threads = [threading.Thread(target=lambda: found.append(chunked.attend(*parts, **SMALL))) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert all(torch.equal(one, alone) for one in found)
