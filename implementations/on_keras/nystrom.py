"""Nyströmformer: the softmax's matrix rebuilt from a few of its rows and columns.

    out = F pinv(A) (B V),   F = softmax(Q K~^T / sqrt(d)),  A = softmax(Q~ K~^T / sqrt(d)),
    B = softmax(Q~ K^T / sqrt(d)),   Q~ and K~ the means of Q and K over m segments

pinv(A) by Z <- Z (13 I - A Z (15 I - A Z (7 I - A Z))) / 4 from Z = A^T / (|A|_1 |A|_inf). Time n m d + m^3,
memory n (d + m) + m^2. Paper: Xiong and others 2021, arXiv:2102.03902, equations 7 to 14 and section 3.3;
with `convolution`, as in its code, a depthwise convolution of the values over time is added (section 3.4).

Departures, and why it is neither causal nor takes a context: as on torch, see there.
"""

import math
from typing import Any

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.keras_types import Shape, Tensor
from implementations.on_keras.projected import AttentionLayer, Memory
from implementations.on_keras.visibility import HIDDEN_SCORE, softmax_over_keys


@keras.saving.register_keras_serializable(package="attnbench")
class Nystrom(AttentionLayer):
    """Attention through the means of at most `landmarks` segments.

    `iterations` approach the inverse; `convolution` is the odd number of tokens, 0 for none, that the
    depthwise convolution of each head spans. Raises NotImplementedError when asked to be causal or to
    attend to a context, ValueError for numbers out of range.
    """

    own_settings = ("landmarks", "iterations", "convolution")

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        landmarks: int = 32,
        iterations: int = 6,
        convolution: int = 0,
        causal: bool = False,
        **settings: Any,
    ) -> None:
        if causal:
            raise NotImplementedError(
                "nystrom cannot be causal: a landmark is the mean of a segment, tokens to come included"
            )
        if landmarks < 1 or iterations < 1:
            raise ValueError(
                f"nystrom needs landmarks and iterations of at least 1, got {landmarks} and {iterations}"
            )
        if convolution < 0 or (convolution and convolution % 2 == 0):
            raise ValueError(f"convolution must be an odd number of tokens, or 0, got {convolution}")
        super().__init__(width, heads, **settings)
        self.landmarks = landmarks
        self.iterations = iterations
        self.convolution = convolution

    def build(self, query_shape: Shape) -> None:
        """Make the weights, those of the convolution among them."""
        super().build(query_shape)
        if self.convolution:
            bound = 1 / math.sqrt(self.convolution)
            start = keras.initializers.RandomUniform(-bound, bound)
            self.skip = self.add_weight(shape=(self.heads, self.convolution), initializer=start, name="skip")

    def exported(self) -> dict[str, Any]:
        """The maps, and the convolution's weights where there is one."""
        return super().exported() | ({"skip": self.skip} if self.convolution else {})

    def call(
        self,
        query: Float[Tensor, "batch time width"],
        context: Float[Tensor, "batch source width"] | None = None,
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """The tokens attend to themselves; `padding` is True where a real token stands.

        Raises NotImplementedError for a context, ValueError for shapes that do not fit.
        """
        if context is not None:
            raise NotImplementedError(_NO_CONTEXT)
        return self._attend(self._queries(query), super().remember(query, padding), causal=False)

    def remember(
        self,
        context: Float[Tensor, "batch source width"],
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Memory:
        """Raises NotImplementedError: there is no attention to a context."""
        raise NotImplementedError(_NO_CONTEXT)

    def mix(
        self,
        query: Float[Tensor, "batch heads time head_width"],
        key: Float[Tensor, "batch heads time head_width"],
        value: Float[Tensor, "batch heads time head_width"],
        padding: Bool[Tensor, "batch time"] | None,
        *,
        causal: bool,
        bias: Float[Tensor, "1 heads time time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_width"]:
        """F pinv(A) (B V), and the convolution of V where there is one; zeros if no token is real."""
        size = -(-ops.shape(query)[2] // self.landmarks)
        query = query / math.sqrt(self.head_width)
        shown = (query, key, value)
        real = ops.ones_like(query[:, 0, :, 0], dtype="bool") if padding is None else padding
        if padding is not None:
            shown = tuple(
                ops.where(padding[:, None, :, None], part, ops.zeros_like(part))
                for part in (query, key, value)
            )
        counts = _segment_sums(ops.cast(real, query.dtype)[:, None, :, None], size)
        seen = counts[:, 0, :, 0] > 0
        middle, middle_key = (
            _segment_sums(part, size) / ops.maximum(counts, ops.ones_like(counts)) for part in shown[:2]
        )
        inverse = pseudo_inverse(_weights(middle, middle_key, seen, seen), self.iterations)
        recalled = ops.matmul(_weights(middle, key, seen, real), value)
        mixed = ops.matmul(_weights(query, middle_key, None, seen), ops.matmul(inverse, recalled))
        return mixed + self._convolved(shown[2]) if self.convolution else mixed

    def _convolved(self, value: Tensor) -> Tensor:
        kernel = ops.cast(ops.transpose(self.skip), value.dtype)[:, None, :, None]
        by_head = ops.transpose(value, (0, 2, 3, 1))
        mixed = ops.depthwise_conv(by_head, kernel, padding="same", data_format="channels_last")
        return ops.transpose(mixed, (0, 3, 1, 2))


_NO_CONTEXT = (
    "nystrom attends to its own tokens only: through the landmarks of the queries an answer would depend "
    "on the other queries; use a variant that takes a context"
)


def _segment_sums(
    tokens: Float[Tensor, "batch heads time columns"], size: int | Tensor
) -> Float[Tensor, "batch heads segments columns"]:
    """The sum of each `size` tokens in a row."""
    batch, heads, length, columns = ops.shape(tokens)
    missing = -length % size
    if not isinstance(missing, int) or missing > 0:
        tokens = ops.concatenate(
            [tokens, ops.zeros((batch, heads, missing, columns), dtype=tokens.dtype)], axis=2
        )
    segments = ops.reshape(tokens, (batch, heads, (length + missing) // size, size, columns))
    return ops.sum(segments, axis=3)


def _weights(query: Tensor, key: Tensor, seen: Tensor | None, real: Tensor) -> Tensor:
    """Softmax over the real keys; zeros for queries that are not `seen` and where no key is real."""
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2))
    scores = ops.where(real[:, None, None, :], scores, ops.cast(HIDDEN_SCORE, scores.dtype))
    shown = (
        real[:, None, None, :]
        if seen is None
        else ops.logical_and(seen[:, None, :, None], real[:, None, None, :])
    )
    weights = softmax_over_keys(scores)
    return ops.where(shown, weights, ops.zeros_like(weights))


def pseudo_inverse(
    weights: Float[Tensor, "*batch landmarks landmarks"], iterations: int
) -> Float[Tensor, "*batch landmarks landmarks"]:
    """The Moore-Penrose inverse, approached in `iterations` steps of order three; zero for zero weights."""
    dtype = weights.dtype
    if keras.backend.standardize_dtype(dtype) in ("bfloat16", "float16"):
        weights = ops.cast(weights, "float32")
    columns, rows = (ops.max(ops.sum(weights, axis=place), axis=-1) for place in (-2, -1))
    largest = (columns * rows)[..., None, None]
    inverse = ops.swapaxes(weights, -1, -2) / ops.where(largest > 0, largest, ops.ones_like(largest))
    one = ops.eye(ops.shape(weights)[-1], dtype=weights.dtype)
    for _ in range(iterations):
        product = ops.matmul(weights, inverse)
        bracket = 15 * one - ops.matmul(product, 7 * one - product)
        inverse = 0.25 * ops.matmul(inverse, 13 * one - ops.matmul(product, bracket))
    return ops.cast(inverse, dtype)
