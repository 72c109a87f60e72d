"""Decoding where a query sees the positions that a fixed pattern names."""

from jaxtyping import Float
from keras import ops

from implementations.on_keras import softmax
from implementations.on_keras.decoding import KeyValueCache
from implementations.on_keras.keras_types import Tensor
from implementations.on_keras.projected import AttentionLayer


class PatternedAttention(AttentionLayer):
    """A layer whose next token attends to the positions of `_seen_by`, which a subclass gives."""

    def _seen_by(self, position: int) -> list[int]:
        """The positions that a causal query sees."""
        raise NotImplementedError(f"{type(self).__name__} must define _seen_by(position)")

    def step(
        self, token: Float[Tensor, "batch 1 width"], state: KeyValueCache
    ) -> tuple[Float[Tensor, "batch 1 width"], KeyValueCache]:
        """The answer for the next token, and the state after it."""
        position = state.length
        key, value, _ = self._remembered(token, None, position)
        state = state.extended(key, value)
        seen = self._seen_by(position)
        keys, values = (ops.take(part, seen, axis=2) for part in (state.key, state.value))
        return self._merge(softmax.attend(self._queries(token, position), keys, values)), state
