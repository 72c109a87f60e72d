"""What a layer keeps between tokens while it decodes: its state, and the one that most layers share.

A state is a tuple of live tensors and plain numbers, and nothing else: its tensors' bytes are what
decoding costs in memory. Recurrent variants hold sums of a fixed size; all others hold the keys and
values so far, in storage that grows by `BLOCK` tokens, so that a token is copied once in a while and not
at every step.
"""

from typing import Any, NamedTuple, TypeAlias

from jaxtyping import Float
from torch import Tensor
from torch.utils._pytree import tree_leaves

BLOCK = 256

State: TypeAlias = Any
"""A (nested) tuple of tensors and numbers; each layer knows its own."""


class KeyValueCache(NamedTuple):
    """Keys and values so far, each ``[batch, heads, capacity, head_width]``; `length` of them are filled.

    The tensors are written in place: a state that was handed to `step` belongs to its answer.
    """

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
        length = self.length + key.shape[2]
        keys, values = (_with_room(kept, length, self.length) for kept in (self.key, self.value))
        keys[:, :, self.length : length] = key
        values[:, :, self.length : length] = value
        return KeyValueCache(keys, values, length)


def empty_cache(like: Tensor, batch: int, heads: int, key_width: int, value_width: int) -> KeyValueCache:
    """A cache without tokens, in the dtype and on the device of `like`."""
    return KeyValueCache(
        like.new_empty(batch, heads, 0, key_width), like.new_empty(batch, heads, 0, value_width), 0
    )


def _with_room(kept: Tensor, length: int, filled: int) -> Tensor:
    """Storage for at least `length` tokens, the first `filled` of `kept` in it."""
    capacity = -(-length // BLOCK) * BLOCK
    if capacity <= kept.shape[2]:
        return kept
    grown = kept.new_zeros(*kept.shape[:2], capacity, kept.shape[3])
    grown[:, :, :filled] = kept[:, :, :filled]
    return grown


def live_tensors(state: State) -> list[Tensor]:
    """The tensors that a state keeps alive, each once."""
    tensors = [leaf for leaf in tree_leaves(state) if isinstance(leaf, Tensor)]
    return list({id(tensor): tensor for tensor in tensors}.values())
