"""A layer whose memory is one matrix for each head: what retention, gated linear and delta rule share.

    mixed_i = S_i^T q_i,   S_i made from S_{i-1} and token i
    out_i = W_o (swish(W_g x_i) * norm(mixed_i)) + b_o,   the norm over each head's channels

A whole sequence is mixed in chunks, a token at a time by the recurrence itself; both compute the same.
A recurrence has a direction, so there is no form in which a token sees later ones, and no context to be
asked by a sequence of another length. The norm adds nothing to zeros, so that a query without a real key
before it is answered by the output's bias alone.
"""

from typing import Any, NamedTuple

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.decoding import State
from implementations.on_keras.keras_types import Shape, Tensor
from implementations.on_keras.layer_interface import require_equal_lengths, require_padding, require_tokens
from implementations.on_keras.precision import at_least_float32
from implementations.on_keras.projected import AttentionLayer, Memory

NORM_EPSILON = 1e-5

Parts = tuple[Tensor, ...]
"""What a recurrence takes of each token, each ``[batch, heads, time, …]``: query, key, value, decay, …"""

Recent = tuple[Tensor, ...]
"""The last inputs of short convolutions, ``[batch, taps - 1, inner]`` each, where there are any."""


class RecurrentState(NamedTuple):
    """The sums of each head, ``[batch, heads, head_width, head_width]``, after `length` tokens."""

    sums: Tensor
    length: int
    recent: Recent = ()


class RecurrentLayer(AttentionLayer):
    """Gate and norm around a recurrence; a subclass gives `_parts`, `_whole`, `_next` and `_normed`.

    Raises NotImplementedError unless it is built with ``causal=True``.
    """

    takes_rotation = False

    def __init__(self, width: int, heads: int, *, causal: bool = False, **settings: Any) -> None:
        if not causal:
            raise NotImplementedError(
                f"{type(self).__name__} is recurrent in one direction and cannot see later tokens: "
                "build it with causal=True"
            )
        super().__init__(width, heads, causal=causal, **settings)
        self.gate = keras.layers.Dense(heads * self.head_width, dtype=self.dtype_policy, name="gate")

    def build(self, query_shape: Shape) -> None:
        """Make the weights; `query_shape` is ``(batch, time, width)``."""
        super().build(query_shape)
        self.gate.build(query_shape)

    def _parts(
        self, query: Tensor, source: Tensor, padding: Tensor | None, state: RecurrentState | None
    ) -> tuple[Parts, Recent]:
        """What the recurrence takes of tokens after `state` (None: the first), and their last inputs."""
        raise NotImplementedError(f"{type(self).__name__} must define _parts(query, source, padding, state)")

    def _whole(self, parts: Parts) -> tuple[Tensor, Tensor]:
        """Each token's mixture ``[batch, heads, time, head_width]``, and the sums after the last."""
        raise NotImplementedError(f"{type(self).__name__} must define _whole(parts)")

    def _next(self, parts: Parts, sums: Tensor) -> tuple[Tensor, Tensor]:
        """One token's mixture ``[batch, heads, 1, head_width]``, and the sums after it."""
        raise NotImplementedError(f"{type(self).__name__} must define _next(parts, sums)")

    def _normed(self, mixed: Tensor) -> Tensor:
        """Each head's channels brought to one size; zeros stay zeros."""
        raise NotImplementedError(f"{type(self).__name__} must define _normed(mixed)")

    def call(
        self,
        query: Float[Tensor, "batch time width"],
        context: Float[Tensor, "batch source width"] | None = None,
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """Token i of `query` sees tokens 0..i of `context`, or of itself; `padding` is True for real ones.

        Raises ValueError for a context of another length and for shapes that do not fit.
        """
        source = query if context is None else context
        require_tokens("query", query, self.width)
        require_tokens("context", source, self.width)
        if padding is not None:
            require_padding(padding, source)
        require_equal_lengths(query.shape[1], source.shape[1])
        parts, _ = self._parts(query, source, padding, None)
        mixed, _ = self._whole(parts)
        return self._answer(query, mixed)

    def remember(
        self,
        context: Float[Tensor, "batch source width"],
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Memory:
        """Raises NotImplementedError: a recurrence keeps no context to look at from outside."""
        raise NotImplementedError(
            f"{type(self).__name__} is recurrent and remembers no context: "
            "use a variant with cross_attention for it"
        )

    def initial_state(self, batch: int) -> State:
        """The sums before the first token: zeros, in float32 or wider."""
        shape = (batch, self.heads, self.head_width, self.head_width)
        return RecurrentState(ops.zeros(shape, dtype=at_least_float32(self.compute_dtype)), 0)

    def prefill(
        self, tokens: Float[Tensor, "batch time width"]
    ) -> tuple[Float[Tensor, "batch time width"], State]:
        """``call(tokens)`` and the state after the last of them, at once."""
        require_tokens("query", tokens, self.width)
        parts, recent = self._parts(tokens, tokens, None, None)
        mixed, sums = self._whole(parts)
        return self._answer(tokens, mixed), RecurrentState(sums, int(tokens.shape[1]), recent)

    def step(
        self, token: Float[Tensor, "batch 1 width"], state: State
    ) -> tuple[Float[Tensor, "batch 1 width"], State]:
        """The answer for the next token, and the state after it."""
        parts, recent = self._parts(token, token, None, state)
        mixed, sums = self._next(parts, state.sums)
        return self._answer(token, mixed), RecurrentState(sums, state.length + 1, recent)

    def exported(self) -> dict[str, Any]:
        """What weights travel by."""
        return super().exported() | {"gate": self.gate}

    def _answer(self, tokens: Tensor, mixed: Tensor) -> Tensor:
        gate = ops.silu(self.gate(tokens))
        normed = ops.cast(self._normed(mixed), gate.dtype)
        batch, _, time, _ = ops.shape(normed)
        inner = (batch, time, self.heads * self.head_width)
        return self.output_map(ops.reshape(ops.swapaxes(normed, 1, 2), inner) * gate)


def hidden(part: Tensor, padding: Tensor | None) -> Tensor:
    """`part`, ``[batch, heads, time, …]``, with zeros where no real token stands."""
    if padding is None:
        return part
    real = padding[:, None, :]
    return ops.where(real[..., None] if len(part.shape) == 4 else real, part, ops.zeros_like(part))
