"""Linear attention: a kernel feature map in place of the softmax, so that cost grows with n, not n^2.

    out_i = phi(q_i)^T S / (phi(q_i)^T z),   S = sum_j phi(k_j) v_j^T,   z = sum_j phi(k_j)
    phi(x) = elu(x) + 1

with j over all keys, or over j <= i when causal.
Cost: time n d^2 and memory n d (causal: n (d + chunk) + n d^2 / chunk), d the head width.
Paper: Katharopoulos et al., "Transformers are RNNs", https://arxiv.org/abs/2006.16236.

Departures: the causal form goes over the sequence in chunks (a masked product inside a chunk, running
sums before it) where the paper steps through positions; both compute the same sums. phi is written as
exp(x) for x <= 0, which equals elu(x) + 1 but does not round to zero for strongly negative x. There is
no 1 / sqrt(d) scaling and no epsilon in the denominator: a query that may see no key yields zeros.
"""

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.keras_types import Tensor
from implementations.on_keras.layer_interface import require_equal_lengths

CHUNK = 128


def attend(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads source head_width"],
    value: Float[Tensor, "batch heads source value_width"],
    *,
    causal: bool = False,
    padding: Bool[Tensor, "batch source"] | None = None,
    chunk: int = CHUNK,
) -> Float[Tensor, "batch heads time value_width"]:
    """Mix `value` by the similarity phi(query) . phi(key).

    `padding` is True where a real token stands. `chunk` (in tokens) trades the memory of the products
    inside a chunk against that of the running sums; it does not change the result.

    Raises ValueError when `causal` is asked for with a source whose length is not that of the query, or
    when `chunk` is below 1.
    """
    if causal:
        require_equal_lengths(query.shape[2], key.shape[2])
    query, key = _features(query), _features(key)
    if padding is not None:
        key = key * ops.cast(padding, key.dtype)[:, None, :, None]
    if causal:
        numerator, normaliser = _causal_sums(query, key, value, chunk)
    else:
        numerator = ops.matmul(query, ops.matmul(_transposed(key), value))
        normaliser = ops.matmul(query, _transposed(ops.sum(key, axis=2, keepdims=True)))
    return numerator / ops.where(normaliser > 0, normaliser, ops.ones_like(normaliser))


def _features(tensor: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    # The minimum keeps the branch that is not taken finite, and with it the gradient.
    return ops.where(tensor > 0, tensor + 1, ops.exp(ops.minimum(tensor, 0)))


def _transposed(tensor: Float[Tensor, "*batch rows columns"]) -> Float[Tensor, "*batch columns rows"]:
    return ops.swapaxes(tensor, -1, -2)


def _causal_sums(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads time head_width"],
    value: Float[Tensor, "batch heads time value_width"],
    chunk: int,
) -> tuple[Float[Tensor, "batch heads time value_width"], Float[Tensor, "batch heads time 1"]]:
    """Numerator and normaliser of every position over itself and all before it."""
    length = ops.shape(query)[2]
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1 token, got {chunk}")
    size = min(chunk, length) if isinstance(length, int) else chunk
    query, key, value = (_chunked(tensor, length, size) for tensor in (query, key, value))
    inside = ops.tril(ops.matmul(query, _transposed(key)))
    states = _before_each_chunk(ops.matmul(_transposed(key), value))
    key_sums = _before_each_chunk(ops.sum(key, axis=3, keepdims=True))
    numerator = ops.matmul(inside, value) + ops.matmul(query, states)
    normaliser = ops.sum(inside, axis=-1, keepdims=True) + ops.matmul(query, _transposed(key_sums))
    return _joined(numerator, length), _joined(normaliser, length)


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


# A statement and not a decorator: a decorator without types would hide those of the function.
keras.saving.register_keras_serializable(package="attnbench", name="linear.attend")(attend)
