"""The causal product of queries, keys and values whose channels fade at rates of their own, in chunks.

    S_i = Diag(alpha_i) S_{i-1} + k_i v_i^T,   mixed_i = S_i^T q_i,   0 <= alpha <= 1 for each channel
    = sum over j <= i of (sum over channels of q_i k_j alpha_{j+1} … alpha_i) v_j

The products of alpha fall below any number, so that none may be divided by. A chunk is therefore put
together from pairs of neighbouring blocks of 1, 2, 4, … tokens: queries carry the decay since their block's
beginning, keys that to its end, and where two blocks meet, the right one's queries meet the left one's keys;
then each takes in the other block's whole decay. All factors are products of alpha; there is no logarithm.
Time n d (c + d), memory n d log c + n d^2 / c for chunks of c. After the secondary chunks of Yang and others
2024, arXiv:2312.06635, section 4.3, which meet in a fixed number of blocks and in log space.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from implementations.on_torch.chunk_states import carried_by_decay, chunk_for, chunked, joined

CHUNK = 64


def decayed_product(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads time head_width"],
    value: Float[Tensor, "batch heads time value_width"],
    decay: Float[Tensor, "batch heads time head_width"],
    chunk: int = CHUNK,
) -> tuple[
    Float[Tensor, "batch heads time value_width"], Float[Tensor, "batch heads head_width value_width"]
]:
    """Each token's mixture, and the state after the last; `chunk` is a power of two.

    `decay` is alpha, from 0 to 1; it is 1, beside a zero key, for a token that changes nothing.
    """
    length = value.shape[2]
    size = chunk_for(length, chunk)
    queries, keys, values, decays = (chunked(part, size) for part in (query, key, value, decay))
    mixed, entering, leaving, whole = _within_chunks(queries, keys, values, decays)
    before, after = carried_by_decay(whole.transpose(-2, -1), leaving.transpose(-2, -1) @ values)
    if length > size or size == 1:  # a single token's decays do nothing, and have a gradient of zeros
        mixed = mixed + entering @ before
    return joined(mixed, length), after


def _within_chunks(
    query: Tensor, key: Tensor, value: Tensor, decay: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of chunks ``[batch, heads, chunks, chunk, width]``: what each gives its own tokens, its queries with
    the decay since its beginning, its keys with that to its end, its whole decay ``[…, 1, head_width]``."""
    mixed = (query * key).sum(dim=-1, keepdim=True) * value
    entering, leaving, whole = query * decay, key, decay
    size = 1
    while size < query.shape[3]:
        # Unbound, because the gradient of one index taken from a tensor is a tensor as large as all.
        (left_queries, queries), (keys, right_keys), (values, _) = (
            _paired(part, size).unbind(4) for part in (entering, leaving, value)
        )
        left, right = _paired(whole, 1).unbind(4)
        _paired(mixed, size)[:, :, :, :, 1] += _scores(queries, keys) @ values
        entering = torch.stack((left_queries, queries * left), dim=4).flatten(3, 5)
        leaving = torch.stack((keys * right, right_keys), dim=4).flatten(3, 5)
        whole = (left * right).flatten(3, 4)
        size *= 2
    return mixed, entering, leaving, whole


def _paired(part: Tensor, size: int) -> Tensor:
    """A view of neighbouring blocks in pairs: ``[batch, heads, chunks, pairs, 2, size, width]``."""
    return part.view(*part.shape[:3], -1, 2, size, part.shape[-1])


def _scores(query: Tensor, key: Tensor) -> Tensor:
    if query.shape[-2] == 1:  # thousands of products of one number each are slow as matrices
        return (query * key).sum(dim=-1, keepdim=True)
    return query @ key.transpose(-2, -1)
