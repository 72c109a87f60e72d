"""What every torch variant must hold, whatever it computes: shape, causality, padding, batches, gradients.

Layers have width 7 and 3 heads of 5; lengths go past a block of the window (16) and a chunk (128).
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from implementations.catalog import VARIANTS

# The whole catalogue is held to the same by its certificates (`tests/unit/test_certificate_of_ours.py`);
# here a few of every kind are tried more deeply, in float64 and over random lengths.
TRIED = ("softmax", "sdpa", "sliding_window", "linear", "performer", "linformer")
ROWS = [row for row in VARIANTS if row.name in TRIED]
NAMES = [row.name for row in ROWS]
CAUSAL = [row.name for row in ROWS if row.causal]
CROSS = [row.name for row in ROWS if row.cross_attention]
EITHER = [(row.name, causal) for row in ROWS for causal in ((False, True) if row.causal else (False,))]
LENGTHS = st.sampled_from([1, 2, 7, 13, 31, 131, 257])
few = settings(max_examples=12, deadline=None)


def tokens(length: int, seed: int, batch: int = 2) -> Tensor:
    return torch.randn(batch, length, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def some_padding(length: int, seed: int) -> Tensor:
    """Random gaps in the first row, all padding in the second."""
    real = torch.rand(2, length, generator=torch.Generator().manual_seed(seed)) < 0.6
    real[0, seed % length] = True
    real[1] = False
    return real


def test_those_tried_are_in_the_catalogue() -> None:
    assert set(NAMES) == set(TRIED)
    assert [name for name in NAMES if name != "linformer"] == CAUSAL
    assert [name for name in NAMES if name != "sliding_window"] == CROSS


@pytest.mark.parametrize(("name", "causal"), EITHER)
@few
@given(length=LENGTHS, seed=st.integers(0, 99))
def test_output_has_the_shape_of_the_query_and_is_finite(torch_layer, name, causal, length, seed) -> None:
    out = torch_layer(name, causal=causal, max_length=length)(tokens(length, seed))
    assert out.shape == (2, length, 7)
    assert out.isfinite().all()


@pytest.mark.parametrize("name", CROSS)
@pytest.mark.parametrize(("length", "source"), [(7, 11), (131, 3), (1, 13)])
def test_context_may_have_another_length(torch_layer, name, length, source) -> None:
    layer = torch_layer(name, causal=False, max_length=source)
    query, context = tokens(length, 1), tokens(source, 2)
    out = layer(query, context)
    assert out.shape == (2, length, 7)
    reversed_queries = layer(query.flip(1), context)
    torch.testing.assert_close(reversed_queries.flip(1), out)


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize("padded", [False, True])
@few
@given(length=st.sampled_from([2, 7, 31, 131, 257]), seed=st.integers(0, 99), data=st.data())
def test_the_future_changes_nothing_before_it(torch_layer, name, padded, length, seed, data) -> None:
    layer = torch_layer(name, causal=True, max_length=length)
    padding = some_padding(length, seed) if padded else None
    cut = data.draw(st.integers(1, length - 1))
    present = tokens(length, seed).requires_grad_(True)
    out = layer(present, padding=padding)
    (gradient,) = torch.autograd.grad(out[:, :cut].square().sum(), present)
    assert gradient[:, cut:].abs().max() == 0
    changed = present.detach().clone()
    changed[:, cut:] = 9 * tokens(length, seed + 1)[:, cut:]
    torch.testing.assert_close(layer(changed, padding=padding)[:, :cut], out[:, :cut], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_without_causality_the_next_token_counts(torch_layer, name) -> None:
    layer = torch_layer(name, causal=False, max_length=13)
    before = tokens(13, 1)
    after = before.clone()
    after[:, 7] += 1
    assert (layer(after) - layer(before))[:, 6].abs().max() > 1e-3


@pytest.mark.parametrize(("name", "causal"), EITHER)
@few
@given(length=LENGTHS, seed=st.integers(0, 99))
def test_padded_tokens_change_nothing(torch_layer, name, causal, length, seed) -> None:
    layer = torch_layer(name, causal=causal, max_length=length)
    real = some_padding(length, seed)
    first = tokens(length, seed).requires_grad_(True)
    second = torch.where(real[..., None], first.detach(), 9 * tokens(length, seed + 1))
    out = layer(first, padding=real)
    torch.testing.assert_close(layer(second, padding=real)[real], out[real], rtol=0, atol=1e-12)
    (gradient,) = torch.autograd.grad(out[real].square().sum(), first)
    assert gradient.isfinite().all()
    assert (gradient[~real] == 0).all()


@pytest.mark.parametrize(("name", "causal"), EITHER)
@pytest.mark.parametrize("length", [1, 13, 131])
def test_a_row_of_padding_mixes_nothing(torch_layer, name, causal, length) -> None:
    layer = torch_layer(name, causal=causal, max_length=length)
    given_tokens = tokens(length, 3).requires_grad_(True)
    out = layer(given_tokens, padding=some_padding(length, 5))
    assert torch.equal(out[1], layer.output.bias.expand(length, 7))
    out.square().sum().backward()
    assert given_tokens.grad is not None
    assert given_tokens.grad.isfinite().all()
    assert all(weight.grad.isfinite().all() for weight in layer.parameters())


@pytest.mark.parametrize(("name", "causal"), EITHER)
@few
@given(length=LENGTHS, missing=st.integers(1, 150), seed=st.integers(0, 99))
def test_padding_at_the_end_is_a_shorter_sequence(torch_layer, name, causal, length, missing, seed) -> None:
    layer = torch_layer(name, causal=causal, max_length=length + missing)
    whole = tokens(length + missing, seed)
    real = (torch.arange(length + missing) < length).expand(2, -1)
    shorter = layer(whole[:, :length])
    torch.testing.assert_close(layer(whole, padding=real)[:, :length], shorter, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("name", "causal"), EITHER)
@pytest.mark.parametrize("length", [1, 7, 131])
def test_padding_of_real_tokens_only_is_no_padding(torch_layer, name, causal, length) -> None:
    layer = torch_layer(name, causal=causal, max_length=length)
    given_tokens = tokens(length, 1)
    all_real = torch.ones(2, length, dtype=torch.bool)
    torch.testing.assert_close(layer(given_tokens, padding=all_real), layer(given_tokens))


@pytest.mark.parametrize(("name", "causal"), EITHER)
@pytest.mark.parametrize("length", [7, 131])
def test_a_batch_is_its_rows(torch_layer, name, causal, length) -> None:
    layer = torch_layer(name, causal=causal, max_length=length)
    rows = tokens(length, 1, batch=3)
    rows[1] *= 20
    apart = torch.cat([layer(row[None]) for row in rows])
    torch.testing.assert_close(layer(rows), apart, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("name", "causal"), EITHER)
@pytest.mark.parametrize("size", [0.0, 1e2, 1e4])
@pytest.mark.parametrize("length", [1, 13, 131])
def test_extreme_tokens_stay_finite_in_float32(torch_layer, name, causal, size, length) -> None:
    layer = torch_layer(name, causal=causal, max_length=length).float()
    signs = tokens(length, 1).sign().float()
    extreme = (size * signs).requires_grad_(True)
    out = layer(extreme, padding=torch.arange(length).expand(2, -1) < max(1, length - 2))
    assert out.isfinite().all()
    out.sum().backward()
    assert extreme.grad is not None
    assert extreme.grad.isfinite().all()


@pytest.mark.parametrize(("name", "causal"), EITHER)
@pytest.mark.parametrize("length", [3, 19])
def test_gradients_are_those_of_finite_differences(torch_layer, name, causal, length) -> None:
    layer = torch_layer(name, causal=causal, max_length=length)
    real = torch.ones(2, length, dtype=torch.bool)
    real[0, 1] = False

    def loss(given_tokens: Tensor, *weights: Tensor) -> Tensor:
        return layer(given_tokens, padding=real).square().mean()

    given_tokens = tokens(length, 1).requires_grad_(True)
    assert torch.autograd.gradcheck(loss, (given_tokens, *layer.parameters()), fast_mode=True, atol=1e-6)


@pytest.mark.parametrize(("name", "causal"), [pair for pair in EITHER if pair[0] != "linformer"])
@pytest.mark.parametrize("length", [7, 131])
def test_heads_do_not_see_one_another(torch_layer, name, causal, length) -> None:
    layer = torch_layer(name, causal=causal, max_length=length)
    generator = torch.Generator().manual_seed(1)
    query, key, value, other = torch.randn(4, 2, 3, length, 5, dtype=torch.float64, generator=generator)
    changed = [torch.cat((part[:, :2], other[:, 2:]), dim=1) for part in (query, key, value)]
    difference = layer.mix(*changed, None, causal=layer.causal) - layer.mix(
        query, key, value, None, causal=layer.causal
    )
    assert difference[:, :2].abs().max() < 1e-12
    assert difference[:, 2].abs().amax(dim=(0, 2)).min() > 1e-6


@pytest.mark.parametrize("name", ["softmax", "sdpa", "linear", "performer"])
def test_keys_are_a_set(torch_layer, name) -> None:
    layer = torch_layer(name, causal=False, max_length=11)
    query, context = tokens(7, 1), tokens(11, 2)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(layer(query, context[:, order]), layer(query, context))


@pytest.mark.parametrize("name", CAUSAL)
def test_causal_attention_to_another_length_is_refused(torch_layer, name) -> None:
    with pytest.raises(ValueError, match="needs as many keys as queries, got 7 queries and 11 keys"):
        torch_layer(name, causal=True, max_length=11)(tokens(7, 1), tokens(11, 2))
