"""Sequences cut into chunks, and the states that are handed on from one chunk to the next.

    S_{m+1} = A_m S_m + N_m,   S_0 = 0,   A_m a diagonal (or a number) or a matrix for each chunk m

What recurrent variants share: all they do inside chunks is done for all chunks at once, and only this
sum over the chunks is taken in turn, n / chunk short steps, written out where the length is known and a
loop of the backend's where it is open. Zeros fill up the first chunk from the front, so that the last one
ends with the last token and the state after it is the one that decoding goes on from.
"""

import math
from collections.abc import Callable

from jaxtyping import Float
from keras import ops

from implementations.on_keras.keras_types import Tensor


def chunk_for(length: int | Tensor, longest: int) -> int:
    """The chunk for a sequence of `length` tokens: the next power of two, up to `longest`; that if open."""
    if not isinstance(length, int) or length >= longest:
        return longest
    power: int = 2 ** math.ceil(math.log2(length))
    return min(longest, power)


def chunked(
    part: Float[Tensor, "batch heads time width"], chunk: int
) -> Float[Tensor, "batch heads chunks chunk width"]:
    """The sequence in chunks, zeros before it."""
    batch, heads, length, width = ops.shape(part)
    missing = -length % chunk
    if not isinstance(missing, int) or missing:
        part = ops.concatenate([ops.zeros((batch, heads, missing, width), dtype=part.dtype), part], axis=2)
    return ops.reshape(part, (batch, heads, (length + missing) // chunk, chunk, width))


def joined(
    part: Float[Tensor, "batch heads chunks chunk width"], length: int | Tensor
) -> Float[Tensor, "batch heads time width"]:
    """The sequence of `length` tokens again, without the zeros before it."""
    batch, heads, chunks, chunk, width = ops.shape(part)
    return ops.reshape(part, (batch, heads, chunks * chunk, width))[:, :, chunks * chunk - length :]


def carried_by_decay(
    decay: Float[Tensor, "batch heads chunks rows 1"],
    added: Float[Tensor, "batch heads chunks rows columns"],
) -> tuple[Float[Tensor, "batch heads chunks rows columns"], Float[Tensor, "batch heads rows columns"]]:
    """The state before each chunk and that after the last: ``state = decay * state + added``."""
    return _carried(ops.multiply, decay, added)


def carried_by_matrix(
    transition: Float[Tensor, "batch heads chunks rows rows"],
    added: Float[Tensor, "batch heads chunks rows columns"],
) -> tuple[Float[Tensor, "batch heads chunks rows columns"], Float[Tensor, "batch heads rows columns"]]:
    """The state before each chunk and that after the last: ``state = transition @ state + added``."""
    return _carried(ops.matmul, transition, added)


def _carried(
    apply: Callable[[Tensor, Tensor], Tensor], factors: Tensor, added: Tensor
) -> tuple[Tensor, Tensor]:
    state = ops.zeros_like(added[:, :, 0])
    if not isinstance(ops.shape(added)[2], int):
        return _carried_by_scan(apply, factors, added, state)
    before = []
    for factor, addition in zip(ops.unstack(factors, axis=2), ops.unstack(added, axis=2), strict=True):
        before.append(state)
        state = apply(factor, state) + addition
    return ops.stack(before, axis=2), state


def _carried_by_scan(
    apply: Callable[[Tensor, Tensor], Tensor], factors: Tensor, added: Tensor, first: Tensor
) -> tuple[Tensor, Tensor]:
    columns = int(factors.shape[-1])

    def one(state: Tensor, both: Tensor) -> tuple[Tensor, Tensor]:
        return apply(both[..., :columns], state) + both[..., columns:], state

    # As one tensor: Keras 3.15 cannot scan over two of an open length on TensorFlow.
    in_turn = ops.moveaxis(ops.concatenate([factors, added], axis=-1), 2, 0)
    last, before = ops.scan(one, first, in_turn)
    return ops.moveaxis(before, 0, 2), last
