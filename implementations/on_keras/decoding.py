"""What a layer keeps between tokens while it decodes: its state, and the one that most layers share.

A state is a tuple of live tensors and plain numbers, and nothing else: its tensors' bytes are what
decoding costs in memory. Recurrent variants hold sums of a fixed size; all others hold the keys and
values so far, in storage that grows by `BLOCK` tokens, so that shapes, and with them a compiled graph,
stay the same for as many steps.
"""

from typing import Any, NamedTuple, TypeAlias

import keras
from jaxtyping import Float
from keras import ops

from implementations.on_keras.keras_types import Tensor

BLOCK = 256

State: TypeAlias = Any
"""A (nested) tuple of tensors and numbers; each layer knows its own."""


class KeyValueCache(NamedTuple):
    """Keys and values so far, each ``[batch, heads, capacity, head_width]``; `length` of them are filled."""

    key: Tensor
    value: Tensor
    length: int

    def filled(self) -> tuple[Tensor, Tensor]:
        """The keys and values that are there, without the room for more."""
        return self.key[:, :, : self.length], self.value[:, :, : self.length]

    def extended(
        self,
        key: Float[Tensor, "batch heads time head_width"],
        value: Float[Tensor, "batch heads time value_width"],
    ) -> "KeyValueCache":
        """The cache with these after those it holds."""
        length = self.length + int(key.shape[2])
        keys = _written(_with_room(self.key, length), key, self.length)
        values = _written(_with_room(self.value, length), value, self.length)
        return KeyValueCache(keys, values, length)


def empty_cache(dtype: str, batch: int, heads: int, key_width: int, value_width: int) -> KeyValueCache:
    """A cache without tokens."""
    key, value = (ops.zeros((batch, heads, 0, width), dtype=dtype) for width in (key_width, value_width))
    return KeyValueCache(key, value, 0)


def _with_room(kept: Tensor, length: int) -> Tensor:
    batch, heads, capacity, width = kept.shape
    wanted = -(-length // BLOCK) * BLOCK
    if wanted <= capacity:
        return kept
    room = ops.zeros((batch, heads, wanted - capacity, width), dtype=kept.dtype)
    return ops.concatenate([kept, room], axis=2)


def _written(kept: Tensor, new: Tensor, first: int) -> Tensor:
    return ops.slice_update(kept, (0, 0, first, 0), ops.cast(new, kept.dtype))


def live_tensors(state: State) -> list[Tensor]:
    """The tensors that a state keeps alive, each once."""
    tensors = [leaf for leaf in keras.tree.flatten(state) if hasattr(leaf, "shape")]
    return list({id(tensor): tensor for tensor in tensors}.values())
