"""Causal attention by features, in chunks: what linear attention, Performer and cosFormer share.

    out_i = sum over j <= i of (a_i . b_j) v_j / sum over j <= i of a_i . b_j

Inside a chunk of c positions the products are built and masked; what came before the chunk is one matrix,
the sum of b_j v_j^T, summed up over the chunks. Time n (c + f) d for f features, memory n (c + f d / c),
and no step over positions.
"""

from jaxtyping import Float
from keras import ops

from implementations.on_keras.keras_types import Tensor

CHUNK = 128


def causal_mean(
    query_features: Float[Tensor, "batch heads time features"],
    key_features: Float[Tensor, "batch heads time features"],
    value: Float[Tensor, "batch heads time head_width"],
    chunk: int = CHUNK,
) -> Float[Tensor, "batch heads time head_width"]:
    """The mean of the values up to each position; zeros where the features' products sum to nothing.

    `chunk` (in tokens) trades the memory of the products inside a chunk against that of the running sums;
    it does not change the result. Raises ValueError for a chunk below 1.
    """
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1 token, got {chunk}")
    length = ops.shape(query_features)[2]
    size = min(chunk, length) if isinstance(length, int) else chunk
    query, key, value = (_chunked(part, length, size) for part in (query_features, key_features, value))
    inside = ops.tril(ops.matmul(query, transposed(key)))
    states = _before_each_chunk(ops.matmul(transposed(key), value))
    totals = _before_each_chunk(ops.sum(key, axis=3, keepdims=True))
    numerator = ops.matmul(inside, value) + ops.matmul(query, states)
    normaliser = ops.sum(inside, axis=-1, keepdims=True) + ops.matmul(query, transposed(totals))
    return quotient(_joined(numerator, length), _joined(normaliser, length))


def quotient(
    numerator: Float[Tensor, "*rows columns"], normaliser: Float[Tensor, "*rows 1"]
) -> Float[Tensor, "*rows columns"]:
    """Zeros where the normaliser is zero.

    It is held above the root of float32's smallest number: below, the square in the gradient vanishes.
    """
    return numerator / ops.maximum(normaliser, ops.cast(1.0842021724855044e-19, normaliser.dtype))


def transposed(tensor: Float[Tensor, "*batch rows columns"]) -> Float[Tensor, "*batch columns rows"]:
    """The last two axes swapped."""
    return ops.swapaxes(tensor, -1, -2)


def _chunked(
    tensor: Float[Tensor, "batch heads time columns"], length: int | Tensor, size: int
) -> Float[Tensor, "batch heads chunks size columns"]:
    """Zeros fill up the last chunk: their keys add nothing, and their rows are dropped by `_joined`."""
    batch, heads, _, columns = ops.shape(tensor)
    missing = -length % size
    if not isinstance(missing, int) or missing > 0:
        zeros = ops.zeros((batch, heads, missing, columns), dtype=tensor.dtype)
        tensor = ops.concatenate([tensor, zeros], axis=2)
    return ops.reshape(tensor, (batch, heads, (length + missing) // size, size, columns))


def _joined(
    tensor: Float[Tensor, "batch heads chunks size columns"], length: int | Tensor
) -> Float[Tensor, "batch heads time columns"]:
    batch, heads, chunks, size, columns = ops.shape(tensor)
    return ops.reshape(tensor, (batch, heads, chunks * size, columns))[:, :, :length]


def _before_each_chunk(
    sums: Float[Tensor, "batch heads chunks rows columns"],
) -> Float[Tensor, "batch heads chunks rows columns"]:
    """Running sums over the chunks before each. Shifted first: subtracting afterwards would lose digits."""
    shifted = ops.concatenate([ops.zeros_like(sums[:, :, :1]), sums[:, :, :-1]], axis=2)
    return ops.cumsum(shifted, axis=2)
