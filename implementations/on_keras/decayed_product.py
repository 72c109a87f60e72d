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

from jaxtyping import Float
from keras import ops

from implementations.on_keras.chunk_states import carried_by_decay, chunk_for, chunked, joined
from implementations.on_keras.keras_types import Tensor

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
    length = ops.shape(value)[2]
    size = chunk_for(length, chunk)
    queries, keys, values, decays = (chunked(part, size) for part in (query, key, value, decay))
    mixed, entering, leaving, whole = _within_chunks(queries, keys, values, decays, size)
    added = ops.matmul(ops.swapaxes(leaving, -2, -1), values)
    before, after = carried_by_decay(ops.swapaxes(whole, -2, -1), added)
    # A single token's decays do nothing, and have a gradient of zeros.
    if not isinstance(length, int) or length > size or size == 1:
        mixed = mixed + ops.matmul(entering, before)
    return joined(mixed, length), after


def _within_chunks(
    query: Tensor, key: Tensor, value: Tensor, decay: Tensor, chunk: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of chunks ``[batch, heads, chunks, chunk, width]``: what each gives its own tokens, its queries with
    the decay since its beginning, its keys with that to its end, its whole decay ``[…, 1, head_width]``."""
    mixed = ops.sum(query * key, axis=-1, keepdims=True) * value
    entering, leaving, whole = query * decay, key, decay
    size = 1
    while size < chunk:
        (left_queries, queries), (keys, right_keys), (values, _), (left_mixed, right_mixed) = (
            _paired(part, size) for part in (entering, leaving, value, mixed)
        )
        left, right = _paired(whole, 1)
        mixed = _merged(left_mixed, right_mixed + ops.matmul(_scores(queries, keys), values))
        entering = _merged(left_queries, queries * left)
        leaving = _merged(keys * right, right_keys)
        whole = left[..., 0, :] * right[..., 0, :]
        size *= 2
    return mixed, entering, leaving, whole


def _paired(part: Tensor, size: int) -> list[Tensor]:
    """The left and the right ones of neighbouring blocks: ``[batch, heads, chunks, pairs, size, width]``."""
    batch, heads, chunks, chunk, width = ops.shape(part)
    pairs = ops.reshape(part, (batch, heads, chunks, chunk // (2 * size), 2, size, width))
    halves: list[Tensor] = ops.unstack(pairs, num=2, axis=4)
    return halves


def _merged(left: Tensor, right: Tensor) -> Tensor:
    batch, heads, chunks, pairs, size, width = ops.shape(left)
    return ops.reshape(ops.stack([left, right], axis=4), (batch, heads, chunks, 2 * pairs * size, width))


def _scores(query: Tensor, key: Tensor) -> Tensor:
    if int(query.shape[-2]) == 1:  # thousands of products of one number each are slow as matrices
        return ops.sum(query * key, axis=-1, keepdims=True)
    return ops.matmul(query, ops.swapaxes(key, -2, -1))
