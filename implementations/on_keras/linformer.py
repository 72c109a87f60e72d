"""Linformer: attention to k learned mixtures of the tokens instead of to the tokens.

    out = softmax(Q (E^T K)^T / sqrt(d)) (F^T V),   E and F learned, [n, k]

Time n k d, memory n d + n k. Paper: Wang and others 2020, arXiv:2006.04768, section 4; E and F are shared
by the heads of a layer, one for keys and one for values ("headwise sharing" there).

Departures: the maps are applied to the tokens and the projections to what comes out, which is the same
function since one acts on positions and the other on channels, at k instead of n projections; a sequence
shorter than `max_length` uses the first rows of the maps; padded tokens are zeroed before the maps, which
is all that can be hidden once tokens are mixed.
"""

import math
from typing import Any

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.keras_types import Shape, Tensor
from implementations.on_keras.projected import AttentionLayer, Memory
from implementations.on_keras.visibility import softmax_over_keys


@keras.saving.register_keras_serializable(package="attnbench")
class Linformer(AttentionLayer):
    """Attention to `landmarks` mixtures of at most `max_length` source tokens.

    Raises NotImplementedError when asked to be causal, ValueError without a `max_length`.
    """

    takes_rotation = False  # the landmarks stand nowhere
    own_settings = ("landmarks",)

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        landmarks: int = 256,
        causal: bool = False,
        max_length: int | None = None,
        **settings: Any,
    ) -> None:
        if causal:
            raise NotImplementedError(
                "linformer cannot be causal: each landmark mixes tokens of all positions, the future included"
            )
        if max_length is None or max_length < 1 or landmarks < 1:
            raise ValueError(
                "linformer needs max_length and landmarks of at least 1, "
                f"got max_length {max_length} and landmarks {landmarks}"
            )
        super().__init__(width, heads, max_length=max_length, **settings)
        self.landmarks = landmarks
        self.longest = max_length

    def build(self, query_shape: Shape) -> None:
        """Make the weights, the maps over positions among them."""
        super().build(query_shape)
        self.key_rows, self.value_rows = (
            self.add_weight(shape=(self.longest, self.landmarks), initializer="glorot_uniform", name=name)
            for name in ("key_rows", "value_rows")
        )

    def exported(self) -> dict[str, Any]:
        """The projections and the maps over positions, under the names that they have on torch."""
        return super().exported() | {"key_map": self.key_rows, "value_map": self.value_rows}

    def _remembered(self, tokens: Tensor, padding: Tensor | None, first: int | Tensor = 0) -> Memory:
        """The landmarks of keys and of values, each ``[batch, heads, landmarks, head_width]``."""
        self._require_room(tokens.shape[1])
        if padding is not None:
            tokens = ops.where(padding[..., None], tokens, ops.zeros_like(tokens))
        key = self._landmarks(tokens, padding, self.key_rows, self.key_map)
        if self.key_norm is not None:
            key = self.key_norm(key)
        return key, self._landmarks(tokens, padding, self.value_rows, self.value_map), padding

    def mix(
        self,
        query: Float[Tensor, "batch heads time head_width"],
        key: Float[Tensor, "batch heads landmarks head_width"],
        value: Float[Tensor, "batch heads landmarks head_width"],
        padding: Bool[Tensor, "batch source"] | None,
        *,
        causal: bool,
        bias: Float[Tensor, "1 heads time source"] | None = None,
    ) -> Float[Tensor, "batch heads time head_width"]:
        """Softmax attention to the landmarks; zeros where no token of the source is real."""
        scores = ops.matmul(query / math.sqrt(self.head_width), ops.swapaxes(key, -1, -2))
        mixed = ops.matmul(softmax_over_keys(scores), value)
        if padding is None:
            return mixed
        return ops.where(ops.any(padding, axis=1)[:, None, None, None], mixed, ops.zeros_like(mixed))

    def _landmarks(self, source: Tensor, padding: Tensor | None, rows: Tensor, projection: Any) -> Tensor:
        """The mixtures of the projected tokens."""
        rows = ops.cast(rows, source.dtype)[: ops.shape(source)[1]]
        weights = ops.swapaxes(rows, 0, 1)
        mixtures = ops.matmul(ops.matmul(weights, source), ops.cast(projection.kernel, source.dtype))
        # A landmark carries the bias of as many tokens as it mixes, each with its weight.
        share = (
            ops.sum(weights, axis=-1)[None]
            if padding is None
            else ops.matmul(ops.cast(padding, source.dtype), rows)
        )
        return self._split(mixtures + share[..., None] * ops.cast(projection.bias, source.dtype))

    def _require_room(self, length: int | None) -> None:
        """A length that a traced graph leaves open is taken to fit."""
        if length is not None and length > self.longest:
            raise ValueError(
                f"linformer's source must have at most max_length = {self.longest} tokens, got {length}; "
                "build the layer with a larger max_length"
            )
