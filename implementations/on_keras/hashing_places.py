"""Where the tokens stand in hashed attention: their buckets, and each round's order of bucket and position.

A code says in one number who finds whom: a query finds a key in a round if its code is the key's or up to
`limit` more. Causal, the code is the token's place in the sorted order and `limit` is `size`; not causal,
it is the chunk of that place and `limit` is 1. Buckets lie more than `limit` apart.
"""

from jaxtyping import Bool, Float, Int
from keras import ops

from implementations.on_keras.keras_types import Tensor

NOWHERE = 2**30
"""The code of what no query finds."""


def buckets_of(
    key: Float[Tensor, "batch heads time head_width"],
    rotations: Float[Tensor, "hashes head_width directions"],
) -> Int[Tensor, "hashes batch heads time"]:
    """The signed direction, among ``2 * directions``, that each key lies nearest to, in every round."""
    rotations = ops.cast(rotations, key.dtype)[:, None, None]
    turned = ops.matmul(ops.stop_gradient(key)[None], rotations)
    return ops.cast(ops.argmax(ops.concatenate([turned, -turned], axis=-1), axis=-1), "int32")


def codes_of(
    key: Float[Tensor, "batch heads time head_width"],
    rotations: Float[Tensor, "hashes head_width directions"],
    padding: Bool[Tensor, "batch time"] | None,
    *,
    causal: bool,
    size: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Each token's code, NOWHERE if it is padded; the order of bucket and position; and that order undone.

    All three have the shape ``[hashes, batch, heads, time]``.
    """
    buckets, length = buckets_of(key, rotations), key.shape[2]
    places = ops.arange(length, dtype="int32")
    if padding is not None:
        real = padding[None, :, None]
        buckets = ops.where(real, buckets, 2 * rotations.shape[-1])  # sorted last
    ordered = ops.sort(buckets * length + places, axis=-1)
    order, ordered = ordered % length, ordered // length
    undone = ops.argsort(order, axis=-1)
    limit, step = (size, 1) if causal else (1, size)
    codes = ops.take_along_axis(places // step + (limit + 1) * ordered, undone, axis=-1)
    return codes if padding is None else ops.where(real, codes, NOWHERE), order, undone
