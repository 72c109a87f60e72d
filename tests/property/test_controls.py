"""The controls are what their definitions say, and hold no more weights than they use."""

import importlib
import math

import numpy as np
import pytest
import torch

from implementations.families.controls import VARIANTS
from implementations.on_torch.controls import ConvolutionMixing
from implementations.on_torch.decoding import live_tensors
from implementations.on_torch.layer import build_layer
from implementations.on_torch.weights import export_weights

BATCH, WIDTH, HEADS, HEAD_WIDTH = 2, 11, 3, 5
ROWS = {row.name: row for row in VARIANTS}
CASES = [("none", {}), ("uniform", {}), *(("convolution", {"kernel": kernel}) for kernel in (1, 2, 4, 5))]
every = pytest.mark.parametrize(("name", "options"), CASES, ids=lambda value: str(value))
both = pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])


def loaded(target: str):
    module, name = target.split(":")
    return getattr(importlib.import_module(module), name)


def layer_of(name: str, options: dict[str, int], *, causal: bool) -> torch.nn.Module:
    layer = build_layer(
        loaded(ROWS[name].targets["torch"]),
        width=WIDTH,
        heads=HEADS,
        causal=causal,
        max_length=31,
        options=options,
        head_width=HEAD_WIDTH,
    ).double()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.normal_(0.0, 0.5, generator=generator)
    return layer


def tokens(length: int, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(BATCH, length, WIDTH, dtype=torch.float64, generator=generator)


def padding_of(length: int, kind: str) -> torch.Tensor | None:
    if kind == "none":
        return None
    real = torch.rand(BATCH, length, generator=torch.Generator().manual_seed(length)) < 0.6
    real[0, : length // 3] = False  # the first causal queries see nothing
    if kind == "all of one":
        real[1] = False
    return real


def defined(name: str, layer: torch.nn.Module, query, context=None, padding=None, causal=False):
    arrays = [None if part is None else part.numpy() for part in (query, context, padding)]
    return loaded(ROWS[name].definition)(
        arrays[0],
        context=arrays[1],
        padding=arrays[2],
        causal=causal,
        weights=export_weights(layer),
        heads=HEADS,
        options={},
    )


@every
@both
@pytest.mark.parametrize("length", [1, 2, 13])
@pytest.mark.parametrize("kind", ["none", "gaps", "all of one"])
def test_a_layer_is_its_definition(name, options, causal, length, kind) -> None:
    layer, padding = layer_of(name, options, causal=causal), padding_of(length, kind)
    with torch.no_grad():
        got = layer(tokens(length), padding=padding).numpy()
    expected = defined(name, layer, tokens(length), padding=padding, causal=causal)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["none", "gaps"])
def test_the_mean_of_a_context_is_its_definition(kind) -> None:
    layer, padding = layer_of("uniform", {}, causal=False), padding_of(17, kind)
    with torch.no_grad():
        got = layer(tokens(13), tokens(17, 3), padding).numpy()
    expected = defined("uniform", layer, tokens(13), tokens(17, 3), padding)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)


@every
@both
def test_a_token_reaches_as_far_as_claimed_and_no_farther(name, options, causal) -> None:
    layer, changed = layer_of(name, options, causal=causal), tokens(13)
    changed[:, 6] += 1
    with torch.no_grad():
        moved = (layer(tokens(13)) - layer(changed)).abs().amax(dim=(0, 2)) > 1e-9
    reach = ROWS[name].reach
    # Token 6 stands later than the queries before it, and earlier than those after it.
    for later, places in ((True, range(6, -1, -1)), (False, range(6, 13))):
        seen = max(abs(place - 6) for place in places if moved[place])
        expected = 6 if reach == "all" else eval(reach, {"causal": causal, "later": later} | options)
        assert (causal and later) or seen == expected
    assert not causal or not moved[:6].any()


@every
def test_step_by_step_and_after_a_prompt_is_the_whole(name, options) -> None:
    layer = layer_of(name, options, causal=True)
    with torch.no_grad():
        whole = layer(tokens(13))
        for prompt in (0, 1, 7):
            state, answers = layer.initial_state(BATCH), []
            if prompt:
                answer, state = layer.prefill(tokens(13)[:, :prompt])
                answers.append(answer)
            for place in range(prompt, 13):
                answer, state = layer.step(tokens(13)[:, place : place + 1], state)
                answers.append(answer)
            torch.testing.assert_close(torch.cat(answers, dim=1), whole)


@every
@pytest.mark.parametrize("length", [1, 257])
def test_the_state_is_as_large_as_claimed_down_to_the_bytes_kept_alive(name, options, length) -> None:
    layer = layer_of(name, options, causal=True)
    with torch.no_grad():
        _, state = layer.prefill(tokens(length)[:1])
        for place in range(2):
            _, state = layer.step(tokens(2)[:1, place : place + 1], state)
    names = {"heads": HEADS, "head_width": HEAD_WIDTH, "n": length} | options
    claimed = eval(ROWS[name].state, names)
    assert sum(tensor.numel() for tensor in live_tensors(state)) == claimed
    kept = sum(tensor.untyped_storage().nbytes() for tensor in live_tensors(state))
    assert kept == 8 * claimed, "a view would keep more alive than it shows"


@every
@both
def test_gradients_are_those_of_finite_differences(name, options, causal) -> None:
    layer, padding = layer_of(name, options, causal=causal), padding_of(7, "all of one")
    query = tokens(7).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x, *_: layer(x, padding=padding), (query, *layer.parameters()), fast_mode=True
    )


@every
def test_every_weight_is_used_and_none_is_left_over(name, options) -> None:
    layer, inner = layer_of(name, options, causal=True), HEADS * HEAD_WIDTH
    layer(tokens(13)).square().sum().backward()
    weights = list(layer.parameters())
    assert all(weight.grad is not None and weight.grad.abs().max() > 0 for weight in weights)
    expected = 2 * WIDTH * inner + inner + WIDTH + options.get("kernel", 0) * inner
    assert sum(weight.numel() for weight in weights) == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@every
@both
def test_extremes_stay_finite(name, options, causal, dtype) -> None:
    layer = layer_of(name, options, causal=causal).to(dtype)
    for scale in (0.0, 1.0, 1e4):
        query = (tokens(13) * scale).to(dtype).requires_grad_()
        answer = layer(query, padding=padding_of(13, "all of one"))
        answer.sum().backward()
        assert answer.dtype == dtype
        assert answer.isfinite().all()
        assert query.grad is not None
        assert query.grad.isfinite().all()


def test_a_long_running_mean_keeps_its_digits_in_half_precision() -> None:
    """A sum in bfloat16 would stand still at 256 times its terms."""
    layer = layer_of("uniform", {}, causal=True).bfloat16()
    token = tokens(1).bfloat16()
    with torch.no_grad():
        first, state = layer.step(token, layer.initial_state(BATCH))
        for _ in range(600):
            last, state = layer.step(token, state)
    torch.testing.assert_close(last, first, rtol=0.02, atol=0.02)


def test_taps_start_as_wide_as_documented() -> None:
    taps = ConvolutionMixing(600, 5, kernel=4).taps
    assert taps.abs().max().item() == pytest.approx(1 / math.sqrt(4), rel=0.01)
    assert taps.var().item() == pytest.approx(1 / 12, rel=0.1)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="kernel must be at least 1 token, got 0"):
        ConvolutionMixing(15, 3, kernel=0)
    for name in ("none", "convolution"):
        with pytest.raises(ValueError, match="Mixing needs as many keys as queries, got 7 queries"):
            layer_of(name, {}, causal=False)(tokens(7), tokens(5))
    with pytest.raises(ValueError, match="causal attention needs as many keys as queries"):
        layer_of("uniform", {}, causal=True)(tokens(7), tokens(5))
    kind = loaded(ROWS["uniform"].targets["torch"])
    with pytest.raises(NotImplementedError, match="no queries and keys to take the norm of"):
        kind(15, 3, qk_norm=True)
    with pytest.raises(NotImplementedError, match="takes no rotary positions"):
        kind(15, 3, positions="rotary")
