"""Causal attention by features, in chunks: what linear attention, Performer and cosFormer share.

    out_i = sum over j <= i of (a_i . b_j) v_j / sum over j <= i of a_i . b_j

Inside a chunk of c positions the products are built and masked; what came before the chunk is one matrix
S, the sum of b_j v_j^T, and one vector z, the sum of b_j. Time n (c + f) d for f features; no step over
positions, in which the public versions lose their time on a CPU.

On a CPU the chunks are taken one after the other, so that a chunk's features, its products and S stay in
the cache: that is about twice as fast as all chunks at once. The backward pass goes through the chunks
once, from the last to the first; it keeps, beside what comes in and goes out, S and z before each chunk
(memory n (f + d) + n f d / c). Elsewhere, and under `torch.compile`, where a step costs more than what
it does, all chunks are taken at once (memory n (c + f d / c)).
"""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

CHUNK = 64
CHUNK_AT_ONCE = 128


def causal_mean(
    query_features: Float[Tensor, "batch heads time features"],
    key_features: Float[Tensor, "batch heads time features"],
    value: Float[Tensor, "batch heads time head_width"],
) -> Float[Tensor, "batch heads time head_width"]:
    """The mean of the values up to each position; zeros where the features' products sum to nothing.

    On a CPU it can be differentiated once.
    """
    if value.device.type != "cpu" or torch.compiler.is_compiling():
        return chunks_at_once(query_features, key_features, value)
    return chunk_by_chunk(query_features, key_features, value)


def smallest_normaliser(dtype: torch.dtype) -> float:
    """What a divisor is held above: below it the square in the quotient's gradient would vanish."""
    return float(torch.finfo(dtype).tiny ** 0.5)


def summing_dtype(dtype: torch.dtype) -> torch.dtype:
    """What sums over a sequence are kept in: in half precision a long sum would stop growing."""
    return torch.promote_types(dtype, torch.float32)


def chunk_by_chunk(
    query_features: Float[Tensor, "batch heads time features"],
    key_features: Float[Tensor, "batch heads time features"],
    value: Float[Tensor, "batch heads time head_width"],
    chunk: int = CHUNK,
) -> Float[Tensor, "batch heads time head_width"]:
    """`causal_mean` with one chunk after the other; `chunk` changes time and memory, not the result."""
    # One dtype for all, whatever a region of automatic mixed precision made of each.
    dtype = torch.promote_types(query_features.dtype, value.dtype)
    parts = (part.to(dtype) for part in (query_features, key_features, value))
    keep = torch.is_grad_enabled()
    mean: Tensor = _ChunkByChunk.apply(*parts, chunk, keep)  # type: ignore[no-untyped-call]  # torch has no types for it
    return mean


class _ChunkByChunk(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, chunk: int, keep: bool) -> Tensor:
        states, totals = _no_sums(key, value)
        mean, normaliser = _like_tokens(value), _like_tokens(value[..., :1]).to(states.dtype)
        rows = [part.flatten(0, 1) for part in (query, key, value)]
        before = []
        with torch.autocast(value.device.type, enabled=False):
            for place in _chunks(value.shape[2], chunk):
                a, b, v = (part[:, place].to(states.dtype) for part in rows)
                products = torch.bmm(a, b.mT).tril_()
                divisor = torch.baddbmm(products.sum(dim=-1, keepdim=True), a, totals)
                divisor.clamp_(min=smallest_normaliser(divisor.dtype))
                sums = torch.bmm(a, states).baddbmm_(products, v)
                mean[:, :, place] = sums.div_(divisor).view(mean[:, :, place].shape)
                normaliser[:, :, place] = divisor.view(normaliser[:, :, place].shape)
                if keep:
                    before += [states.clone(), totals.clone()]
                states.baddbmm_(b.mT, v)
                totals += b.sum(dim=1).unsqueeze(-1)
        ctx.save_for_backward(query, key, value, mean, normaliser, *before)
        ctx.chunk = chunk
        return mean

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, mean, normaliser, *before = ctx.saved_tensors
        # Of the numerator, and of the divisor, which is constant where it was held up.
        of_sums = gradient / normaliser
        of_divisor = (of_sums * mean).sum(dim=-1, keepdim=True).neg_()
        of_divisor.masked_fill_(normaliser <= smallest_normaliser(normaliser.dtype), 0.0)
        rows = tuple(part.flatten(0, 1) for part in (query, key, value, of_sums, of_divisor))
        found = tuple(map(torch.empty_like, (query, key, value)))
        places = list(_chunks(value.shape[2], ctx.chunk))
        behind = _no_sums(key, value)
        for place, *sums in reversed(list(zip(places, before[::2], before[1::2], strict=True))):
            parts = tuple(part[:, place].to(normaliser.dtype) for part in rows)
            for whole, part in zip(found, _gradients(parts, tuple(sums), behind), strict=True):
                whole[:, :, place] = part.view(whole[:, :, place].shape)
        return *found, None, None


def _gradients(
    parts: tuple[Tensor, ...], before: tuple[Tensor, ...], behind: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Those of a chunk's queries, keys and values; it is added to the sums over the chunks `behind` it."""
    a, b, v, of_sums, of_divisor = parts
    (states, totals), (states_behind, totals_behind) = before, behind
    of_products = torch.baddbmm(of_divisor, of_sums, v.mT).tril_()
    of_query = torch.bmm(of_products, b).baddbmm_(of_sums, states.mT).addcmul_(of_divisor, totals.mT)
    of_key = torch.bmm(of_products.mT, a).baddbmm_(v, states_behind.mT).add_(totals_behind.mT)
    products = torch.bmm(a, b.mT).tril_()
    of_value = torch.bmm(products.mT, of_sums).baddbmm_(b, states_behind)
    states_behind.baddbmm_(a.mT, of_sums)
    totals_behind += torch.bmm(a.mT, of_divisor)
    return of_query, of_key, of_value


def _chunks(length: int, chunk: int) -> Iterator[slice]:
    return (slice(first, min(first + chunk, length)) for first in range(0, length, chunk))


def _no_sums(key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """States and totals of no token, ``[rows, features, head_width]`` and ``[rows, features, 1]``."""
    rows, dtype = key.shape[:-2].numel(), summing_dtype(key.dtype)
    states = key.new_zeros(rows, key.shape[-1], value.shape[-1], dtype=dtype)
    return states, states.new_zeros(rows, key.shape[-1], 1)


def _like_tokens(heads: Tensor) -> Tensor:
    """Room for ``[batch, heads, time, width]`` that lies in memory as the layer joins it, by tokens."""
    batch, count, time, width = heads.shape
    return heads.new_empty(batch, time, count, width).transpose(1, 2)


def chunks_at_once(
    query_features: Float[Tensor, "batch heads time features"],
    key_features: Float[Tensor, "batch heads time features"],
    value: Float[Tensor, "batch heads time head_width"],
    chunk: int = CHUNK_AT_ONCE,
) -> Float[Tensor, "batch heads time head_width"]:
    """`causal_mean` with all chunks side by side; `chunk` changes time and memory, not the result."""
    length = value.shape[-2]
    chunk = min(chunk, length)
    queries, keys, values = (_chunked(part, chunk) for part in (query_features, key_features, value))
    within = (queries @ keys.mT).tril()
    numerator, normaliser = within @ values, within.sum(dim=-1, keepdim=True)
    if length > chunk:
        numerator = numerator + queries @ _before_each_chunk(keys.mT @ values)
        normaliser = normaliser + queries @ _before_each_chunk(keys.sum(dim=-2).unsqueeze(-1))
    mean = numerator / normaliser.clamp(min=smallest_normaliser(normaliser.dtype))
    return mean.flatten(2, 3)[:, :, :length]


def _chunked(part: Tensor, chunk: int) -> Tensor:
    """``[batch, heads, chunks, chunk, width]``; zeros fill the last chunk and add nothing to any sum."""
    missing = -part.shape[2] % chunk
    padded = functional.pad(part, (0, 0, 0, missing)) if missing else part
    return padded.reshape(*part.shape[:2], -1, chunk, part.shape[3])


def _before_each_chunk(sums: Tensor) -> Tensor:
    """For each chunk the sum over all chunks before it, along axis 2; zero for the first."""
    return functional.pad(sums[:, :, :-1].cumsum(dim=2), (0, 0, 0, 0, 1, 0))
