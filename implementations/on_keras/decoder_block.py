"""A decoder's block: attention to the target so far, attention to what was encoded, a feed-forward part.

    x = x + self_attention(norm(x));  x = x + cross_attention(norm(x), encoded);
    x = x + feed_forward(norm(x))

Paper: Vaswani and others 2017, arXiv:1706.03762, section 3.1. Cross-attention has no relative positions, as
source and target places are not comparable.
"""

from collections.abc import Callable
from typing import Any

from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.decoding import State
from implementations.on_keras.encoder import Block, build_attention, decoding_layer
from implementations.on_keras.keras_types import Layer, Tensor
from implementations.on_keras.norms import build_norm


class DecoderBlock(Block):
    """Self-attention, attention to what was encoded, and a feed-forward part."""

    def __init__(
        self,
        self_attention: Layer,
        cross_attention: Layer,
        width: int,
        expansion: float,
        normalisation: str = "pre",
        **keras_settings: Any,
    ) -> None:
        super().__init__(width, expansion, normalisation, **keras_settings)
        self.self_attention_norm = build_norm(normalisation)
        self.self_attention = self_attention
        self.cross_attention_norm = build_norm(normalisation)
        self.cross_attention: Any = cross_attention

    def call(
        self,
        tokens: Float[Tensor, "batch time width"],
        encoded: Float[Tensor, "batch source width"],
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """The tokens after one block; `padding` is True where a real source token stands."""
        attended = self.self_attention(self._enter(self.self_attention_norm, tokens))
        tokens = self._leave(self.self_attention_norm, tokens, attended)
        entered = self._enter(self.cross_attention_norm, tokens)
        crossed = self.cross_attention(entered, encoded, padding=padding)
        return self._feed_forward(self._leave(self.cross_attention_norm, tokens, crossed))

    @property
    def recalls(self) -> bool:
        """Whether the cross-attention keeps what it needs of a context between steps."""
        return all(hasattr(self.cross_attention, name) for name in ("remember", "recall"))

    def remember(
        self, encoded: Float[Tensor, "batch source width"], padding: Bool[Tensor, "batch source"] | None
    ) -> State:
        """The source as `step` wants it: its keys and values, or itself for a layer that keeps none."""
        return self.cross_attention.remember(encoded, padding) if self.recalls else (encoded, padding)

    def step(
        self, token: Float[Tensor, "batch 1 width"], state: State, source: State, first: int
    ) -> tuple[Float[Tensor, "batch 1 width"], State]:
        """The answer for the token at place `first`, and the self-attention's state after it."""
        entered = self._enter(self.self_attention_norm, token)
        attended, state = decoding_layer(self.self_attention).step(entered, state)
        token = self._leave(self.self_attention_norm, token, attended)
        entered = self._enter(self.cross_attention_norm, token)
        if self.recalls:
            crossed = self.cross_attention.recall(entered, source, first)
        else:
            encoded, padding = source
            crossed = self.cross_attention(entered, encoded, padding=padding)
        return self._feed_forward(self._leave(self.cross_attention_norm, token, crossed)), state


def build_decoder_blocks(
    attention: type | Callable[..., Any], *, layers: int, **settings: Any
) -> list[DecoderBlock]:
    """`layers` blocks, each with attention layers of its own.

    Raises NotImplementedError for a variant without cross-attention.
    """
    return [_build_decoder_block(attention, **settings) for _ in range(layers)]


def _build_decoder_block(
    attention: type | Callable[..., Any],
    *,
    width: int,
    max_length: int,
    expansion: float,
    positions: str,
    normalisation: str,
    **settings: Any,
) -> DecoderBlock:
    settings |= {"width": width, "max_length": max_length, "normalisation": normalisation}
    self_attention = build_attention(attention, causal=True, positions=positions, **settings)
    cross_attention = build_attention(attention, causal=False, positions="none", **settings)
    _try_to_cross(cross_attention, width, max_length)
    return DecoderBlock(self_attention, cross_attention, width, expansion, normalisation)


def _try_to_cross(layer: Layer, width: int, max_length: int) -> None:
    """Attend to a context once: nothing else tells whether a layer can."""
    query = ops.zeros((1, 1, width), dtype=layer.compute_dtype)
    try:
        layer(query, ops.repeat(query, min(2, max_length), axis=1))
    except (NotImplementedError, TypeError, ValueError) as error:
        raise NotImplementedError(
            f"the encoder-decoder needs cross-attention, which this variant does not have: {error}"
        ) from error
