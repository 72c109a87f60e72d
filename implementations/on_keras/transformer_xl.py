"""Transformer-XL: scores of content and of distance, so that a memory of earlier tokens keeps its place.

    s_ij = ((q_i + u) . k_j + (q_i + v) . W_R r_(i - j)) / sqrt(d);   out_i = softmax(s_i) V

r is a sinusoid of the distance, W_R a learned map, u and v learned numbers for each head. Time n^2 d,
memory n^2: the scores of distance are built once, for each query and each distance; then
those of content are added.
Paper: Dai and others 2019, arXiv:1901.02860, section 3.3 and appendix B.

Query i's score for distance i - j stands in row i, one place further left for each row: read without the
first n - 1 entries and with rows one entry shorter, the same numbers stand where key j is. Departures:
queries, keys and values have biases, as in every layer here, the map of positions has none; u and v start
at zero. Without causality distances are negative too.
"""

import math
from typing import Any, NamedTuple

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.decoding import KeyValueCache, State
from implementations.on_keras.keras_types import Shape, Tensor
from implementations.on_keras.layer_interface import require_equal_lengths, require_tokens
from implementations.on_keras.precision import at_least_float32
from implementations.on_keras.projected import AttentionLayer
from implementations.on_keras.visibility import HIDDEN_SCORE, sees_any_key, softmax_over_keys
from implementations.positions import LONGEST_WAVE


class RelativeCache(NamedTuple):
    """Keys and values so far, and the keys of the distances 0, 1, …, ``[heads, capacity, head_width]``."""

    tokens: KeyValueCache
    distances: Tensor


@keras.saving.register_keras_serializable(package="attnbench")
class TransformerXL(AttentionLayer):
    """Attention by content and distance to the tokens themselves and, through `with_memory`, to earlier ones.

    A context must be as long as the tokens: raises ValueError otherwise.
    """

    takes_rotation = False  # it has positions of its own

    def __init__(self, width: int, heads: int, **settings: Any) -> None:
        super().__init__(width, heads, **settings)
        self.position = keras.layers.Dense(
            heads * self.head_width, use_bias=False, dtype=self.dtype_policy, name="position"
        )

    def build(self, query_shape: Shape) -> None:
        """Make the weights; `query_shape` is ``(batch, time, width)``."""
        super().build(query_shape)
        self.position.build((None, self.width))
        self.content_bias, self.position_bias = (
            self.add_weight(shape=(self.heads, self.head_width), initializer="zeros", name=name)
            for name in ("content_bias", "position_bias")
        )

    def with_memory(
        self, tokens: Float[Tensor, "batch time width"], memory: Float[Tensor, "batch past width"]
    ) -> Float[Tensor, "batch time width"]:
        """The answer for tokens that follow those of `memory` and see all of them.

        The caller stops the memory's gradient if none is to reach it, as in the paper.
        """
        require_tokens("tokens", tokens, self.width)
        require_tokens("memory", memory, self.width)
        key, value, _ = self._remembered(ops.concatenate([memory, tokens], axis=1), None)
        mixed = self._by_distance(self._queries(tokens), key, value, None, causal=self.causal)
        return self._merge(mixed)

    def mix(
        self,
        query: Float[Tensor, "batch heads time head_width"],
        key: Float[Tensor, "batch heads source head_width"],
        value: Float[Tensor, "batch heads source head_width"],
        padding: Bool[Tensor, "batch source"] | None,
        *,
        causal: bool,
        bias: Float[Tensor, "1 heads time source"] | None = None,
    ) -> Float[Tensor, "batch heads time head_width"]:
        """The values weighted by content and distance."""
        length, source = query.shape[2], key.shape[2]
        if causal:
            require_equal_lengths(length, source)
        if None not in (length, source) and length != source:
            raise ValueError(
                f"transformer-xl attention needs as many keys as queries, got {length} queries and "
                f"{source} keys, between which there is no distance; earlier tokens go to with_memory"
            )
        return self._by_distance(query, key, value, padding, causal=causal)

    def _by_distance(
        self, query: Tensor, key: Tensor, value: Tensor, padding: Tensor | None, *, causal: bool
    ) -> Tensor:
        """Query i stands at place ``source - time + i``."""
        batch, heads, time, _ = ops.shape(query)
        source = ops.shape(key)[2]
        count = source + (1 if causal else time)  # one more than is needed: rows are read one entry shorter
        distances = self._position_keys(source - 1 - ops.arange(count))
        by_distance = ops.matmul(self._position_query(query), ops.swapaxes(distances, -1, -2))
        flat = ops.reshape(by_distance, (batch, heads, time * count))
        shifted = flat[:, :, time - 1 : time * count - 1]
        scores = ops.reshape(shifted, (batch, heads, time, count - 1))[..., :source]
        visible = None if padding is None else padding[:, None, None, :]
        if causal:
            earlier = ops.arange(source)[None, :] <= ops.arange(time)[:, None] + (source - time)
            visible = earlier if visible is None else ops.logical_and(earlier, visible)
        mixed = self._attend_by(query, key, value, scores, visible)
        if padding is None:
            return mixed
        return ops.where(sees_any_key(padding, causal=causal), mixed, ops.zeros_like(mixed))

    def _attend_by(
        self, query: Tensor, key: Tensor, value: Tensor, scores: Tensor, visible: Tensor | None
    ) -> Tensor:
        """Softmax attention with the `scores` of distance, ``[batch, heads, time, source]``, added."""
        query = (query + ops.cast(self.content_bias, query.dtype)[:, None]) / math.sqrt(self.head_width)
        scores = scores + ops.matmul(query, ops.swapaxes(key, -1, -2))
        if visible is not None:
            scores = ops.where(visible, scores, ops.cast(HIDDEN_SCORE, scores.dtype))
        return ops.matmul(softmax_over_keys(scores), value)

    def _position_query(self, query: Tensor) -> Tensor:
        return (query + ops.cast(self.position_bias, query.dtype)[:, None]) / math.sqrt(self.head_width)

    def _position_keys(self, distances: Tensor) -> Float[Tensor, "heads distances head_width"]:
        waves = sinusoids(distances, self.width, at_least_float32(self.compute_dtype))
        keys = self.position(ops.cast(waves, self.compute_dtype))
        shape = (ops.shape(keys)[0], self.heads, self.head_width)
        return ops.swapaxes(ops.reshape(keys, shape), 0, 1)

    def initial_state(self, batch: int) -> State:
        """What decoding starts from. Raises NotImplementedError for a layer that is not causal."""
        empty = ops.zeros((self.heads, 0, self.head_width), dtype=self.compute_dtype)
        return RelativeCache(super().initial_state(batch), empty)

    def prefill(
        self, tokens: Float[Tensor, "batch time width"]
    ) -> tuple[Float[Tensor, "batch time width"], State]:
        """``call(tokens)`` and the state after the last of them, at once."""
        state: RelativeCache = self.initial_state(int(tokens.shape[0]))
        key, value, _ = memory = self._remembered(tokens, None)
        return self._attend(self._queries(tokens), memory, causal=True), self._extended(state, key, value)

    def step(
        self, token: Float[Tensor, "batch 1 width"], state: State
    ) -> tuple[Float[Tensor, "batch 1 width"], State]:
        """The answer for the next token, and the state after it."""
        key, value, _ = self._remembered(token, None)
        state = self._extended(state, key, value)
        query = self._queries(token)
        distances = ops.swapaxes(state.distances[:, : state.tokens.length], -1, -2)
        scores = ops.flip(ops.matmul(self._position_query(query), distances), axis=-1)
        keys, values = state.tokens.filled()
        return self._merge(self._attend_by(query, keys, values, scores, None)), state

    def _extended(self, state: RelativeCache, key: Tensor, value: Tensor) -> RelativeCache:
        """With these tokens, and with the keys of all distances that fit into their storage."""
        tokens = state.tokens.extended(key, value)
        known, capacity = int(state.distances.shape[1]), int(tokens.key.shape[2])
        if known == capacity:
            return RelativeCache(tokens, state.distances)
        added = self._position_keys(ops.arange(known, capacity))
        return RelativeCache(tokens, ops.concatenate([state.distances, added], axis=1))

    def exported(self) -> dict[str, Any]:
        """What weights travel by."""
        names = ("position", "content_bias", "position_bias")
        return super().exported() | {name: getattr(self, name) for name in names}


def sinusoids(distances: Tensor, width: int, dtype: str) -> Float[Tensor, "distances width"]:
    """Sines, then cosines, of each distance at wavelengths from 2 pi to `LONGEST_WAVE` times that, in
    `dtype`, which should hold a far distance exactly."""
    waves = [LONGEST_WAVE ** (-channel / width) for channel in range(0, width, 2)]
    angles = ops.cast(distances, dtype)[:, None] * ops.convert_to_tensor(waves, dtype=dtype)
    return ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)[:, :width]
