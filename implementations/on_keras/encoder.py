"""A Transformer encoder around any attention, and the blocks of all other models.

    x = x + attention(norm(x));   x = x + contract(gelu(expand(norm(x))));   a norm after the last block

Pre-norm unless `normalisation` says otherwise, see `norms`. The norms' epsilon is 1e-5 and the GELU the
exact one (with the error function, not tanh), as in the torch twin. There is no dropout, so training and
evaluation run the same code.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.absolute_positions import build_positions
from implementations.on_keras.decoding import State
from implementations.on_keras.keras_types import Layer, Model, Tensor
from implementations.on_keras.layer import build_layer, symbolic_tokens
from implementations.on_keras.norms import EPSILON, build_final_norm, build_norm

__all__ = ["EPSILON", "Block", "Encoder", "EncoderBlock", "TokenEncoder", "build_blocks", "build_encoder"]


def decoding_layer(attention: Any) -> Any:
    """The layer as one that decodes; raises NotImplementedError for one that does not."""
    missing = [name for name in ("initial_state", "prefill", "step") if not hasattr(attention, name)]
    if missing or not getattr(attention, "decodes", True):
        reason = f"it has no {', '.join(missing)}" if missing else "its `decodes` is False"
        raise NotImplementedError(f"{type(attention).__name__} does not decode token by token: {reason}")
    return attention


class Block(Layer):
    """What every block shares: parts with a norm of their own each, the last of them feed-forward."""

    def __init__(self, width: int, expansion: float, normalisation: str, **keras_settings: Any) -> None:
        super().__init__(**keras_settings)
        self.post = normalisation == "post"
        self.feed_forward_norm = build_norm(normalisation)
        self.expand = keras.layers.Dense(round(expansion * width))
        self.contract = keras.layers.Dense(width)

    def _enter(self, norm: Any, tokens: Tensor) -> Tensor:
        """What a part is given."""
        return tokens if self.post else norm(tokens)

    def _leave(self, norm: Any, tokens: Tensor, change: Tensor) -> Tensor:
        """The tokens after a part that answered `change`."""
        return norm(tokens + change) if self.post else tokens + change

    def _feed_forward(self, tokens: Tensor) -> Tensor:
        expanded = self.expand(self._enter(self.feed_forward_norm, tokens))
        hidden = ops.gelu(expanded, approximate=False)
        return self._leave(self.feed_forward_norm, tokens, self.contract(hidden))


class EncoderBlock(Block):
    """Attention and a feed-forward part for tokens of `width`; ``expansion * width`` wide inside."""

    def __init__(
        self,
        attention: Layer,
        width: int,
        expansion: float = 4.0,
        normalisation: str = "pre",
        **keras_settings: Any,
    ) -> None:
        super().__init__(width, expansion, normalisation, **keras_settings)
        self.attention_norm = build_norm(normalisation)
        self.attention = attention

    def call(
        self, tokens: Float[Tensor, "batch time width"], padding: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch time width"]:
        """The tokens after attention and feed-forward; `padding` is True where a real token stands."""
        attended = self.attention(self._enter(self.attention_norm, tokens), padding=padding)
        return self._finish(tokens, attended)

    def initial_state(self, batch: int) -> State:
        """What decoding starts from; raises NotImplementedError for a variant that does not decode."""
        return decoding_layer(self.attention).initial_state(batch)

    def prefill(
        self, tokens: Float[Tensor, "batch time width"]
    ) -> tuple[Float[Tensor, "batch time width"], State]:
        """``call(tokens)`` and the attention's state after the last of them."""
        attended, state = decoding_layer(self.attention).prefill(self._enter(self.attention_norm, tokens))
        return self._finish(tokens, attended), state

    def step(
        self, token: Float[Tensor, "batch 1 width"], state: State
    ) -> tuple[Float[Tensor, "batch 1 width"], State]:
        """The answer for the next token, and the state after it."""
        attended, state = decoding_layer(self.attention).step(self._enter(self.attention_norm, token), state)
        return self._finish(token, attended), state

    def _finish(self, tokens: Tensor, attended: Tensor) -> Tensor:
        return self._feed_forward(self._leave(self.attention_norm, tokens, attended))


class Encoder(Model):
    """Blocks and a final norm; no positions: whoever embeds the tokens adds them."""

    def __init__(
        self, blocks: Sequence[EncoderBlock], normalisation: str = "pre", **keras_settings: Any
    ) -> None:
        super().__init__(**keras_settings)
        self.blocks = list(blocks)
        self.final_norm = build_final_norm(normalisation)

    def encode(
        self, tokens: Float[Tensor, "batch time width"], padding: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch time width"]:
        """The encoded tokens; `padding` is True where a real token stands."""
        for block in self.blocks:
            tokens = block(tokens, padding=padding)
        return self.final_norm(tokens)


class TokenEncoder(Encoder):
    """An encoder as a model of its own: tokens ``[batch, time, width]`` to tokens of the same shape."""

    def __init__(
        self,
        blocks: Sequence[EncoderBlock],
        positions: Layer,
        normalisation: str = "pre",
        **keras_settings: Any,
    ) -> None:
        super().__init__(blocks, normalisation, **keras_settings)
        self.positions = positions

    def call(
        self, tokens: Float[Tensor, "batch time width"], padding: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch time width"]:
        """The encoded tokens; `padding` is True where a real token stands."""
        return self.encode(self.positions(tokens), padding)


def build_attention(attention: type | Callable[..., Any], *, normalisation: str, **settings: Any) -> Layer:
    """The attention layer of a block, whose queries and keys are normalised if `normalisation` is "qk"."""
    if normalisation == "qk":
        settings["qk_norm"] = True
    return build_layer(attention, **settings)


def build_blocks(
    attention: type | Callable[..., Any],
    *,
    width: int,
    layers: int,
    expansion: float = 4.0,
    normalisation: str = "pre",
    **settings: Any,
) -> list[EncoderBlock]:
    """`layers` blocks, each around an attention of its own; `settings` as for `build_layer`."""
    return [
        EncoderBlock(
            build_attention(attention, width=width, normalisation=normalisation, **settings),
            width,
            expansion,
            normalisation,
        )
        for _ in range(layers)
    ]


def build_encoder(
    attention: type | Callable[..., Any],
    *,
    width: int,
    heads: int,
    causal: bool = False,
    max_length: int | None = None,
    options: Mapping[str, Any] | None = None,
    layers: int = 2,
    expansion: float = 4.0,
    positions: str = "none",
    normalisation: str = "pre",
    qk_norm: bool = False,
) -> TokenEncoder:
    """An encoder, ``model(tokens[, padding])``, with its weights made.

    Without `positions` it adds none: its tokens are taken to come from something that did.
    """
    blocks = build_blocks(
        attention,
        width=width,
        layers=layers,
        expansion=expansion,
        heads=heads,
        causal=causal,
        max_length=max_length,
        options=options,
        positions=positions,
        normalisation=normalisation,
        qk_norm=qk_norm,
    )
    model = TokenEncoder(blocks, build_positions(positions, max_length, width), normalisation)
    model(symbolic_tokens(max_length, width))
    return model
