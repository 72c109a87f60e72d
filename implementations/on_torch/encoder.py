"""A Transformer encoder: the model that variants are compared in, and the blocks of all other models.

    x = x + attention(norm(x));  x = x + contract(gelu(expand(norm(x)))), and a norm after the last block

Pre-norm unless `normalisation` says otherwise, see `norms`. No dropout; the GELU is the exact one and the
norms' epsilon 1e-5, as in the Keras twin.
"""

from typing import Protocol, Unpack, cast, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from implementations.on_torch.absolute_positions import build_positions
from implementations.on_torch.decoding import State
from implementations.on_torch.dense import Dense
from implementations.on_torch.layer import Attention, AttentionSettings, build_layer
from implementations.on_torch.norms import build_final_norm, build_norm


@runtime_checkable
class DecodingLayer(Protocol):
    """What an attention layer needs for decoding token by token."""

    def initial_state(self, batch: int) -> State:
        """What decoding starts from."""

    def prefill(self, tokens: Tensor) -> tuple[Tensor, State]:
        """The answers for tokens ``[batch, time, width]``, and the state after the last."""

    def step(self, token: Tensor, state: State) -> tuple[Tensor, State]:
        """The answer for one more token ``[batch, 1, width]``, and the state after it."""


def decoding_layer(attention: nn.Module) -> DecodingLayer:
    """The layer as one that decodes; raises NotImplementedError for one that does not."""
    missing = [name for name in ("initial_state", "prefill", "step") if not hasattr(attention, name)]
    if missing or not getattr(attention, "decodes", True):
        reason = f"it has no {', '.join(missing)}" if missing else "its `decodes` is False"
        raise NotImplementedError(f"{type(attention).__name__} does not decode token by token: {reason}")
    return cast(DecodingLayer, attention)


class Block(nn.Module):
    """What every block shares: parts with a norm of their own each, the last of them feed-forward."""

    def __init__(self, width: int, expansion: float, normalisation: str) -> None:
        super().__init__()
        self.post = normalisation == "post"
        self.feed_forward_norm = build_norm(normalisation, width)
        self.expand = Dense(width, round(expansion * width))
        self.contract = Dense(round(expansion * width), width)

    def _enter(self, norm: nn.Module, tokens: Tensor) -> Tensor:
        """What a part is given."""
        entered: Tensor = tokens if self.post else norm(tokens)
        return entered

    def _leave(self, norm: nn.Module, tokens: Tensor, change: Tensor) -> Tensor:
        """The tokens after a part that answered `change`."""
        left: Tensor = norm(tokens + change) if self.post else tokens + change
        return left

    def _feed_forward(self, tokens: Tensor) -> Tensor:
        expanded = functional.gelu(self.expand(self._enter(self.feed_forward_norm, tokens)))
        return self._leave(self.feed_forward_norm, tokens, self.contract(expanded))


class EncoderBlock(Block):
    """Attention and a feed-forward part, each with a norm and added to what came in."""

    def __init__(
        self, attention: nn.Module, width: int, expansion: float, normalisation: str = "pre"
    ) -> None:
        super().__init__(width, expansion, normalisation)
        self.attention_norm = build_norm(normalisation, width)
        self.attention = attention

    def forward(
        self, tokens: Float[Tensor, "batch time width"], padding: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch time width"]:
        attended = self.attention(self._enter(self.attention_norm, tokens), padding=padding)
        return self._finish(tokens, attended)

    def initial_state(self, batch: int) -> State:
        """What decoding starts from; raises NotImplementedError for a variant that does not decode."""
        return decoding_layer(self.attention).initial_state(batch)

    def prefill(
        self, tokens: Float[Tensor, "batch time width"]
    ) -> tuple[Float[Tensor, "batch time width"], State]:
        """``forward(tokens)`` and the attention's state after the last of them."""
        attended, state = decoding_layer(self.attention).prefill(self._enter(self.attention_norm, tokens))
        return self._finish(tokens, attended), state

    def step(
        self, token: Float[Tensor, "batch 1 width"], state: State
    ) -> tuple[Float[Tensor, "batch 1 width"], State]:
        """The answer for the next token, and the state after it; the state that came in is used up."""
        attended, state = decoding_layer(self.attention).step(self._enter(self.attention_norm, token), state)
        return self._finish(token, attended), state

    def _finish(self, tokens: Tensor, attended: Tensor) -> Tensor:
        return self._feed_forward(self._leave(self.attention_norm, tokens, attended))


class Encoder(nn.Module):
    """Blocks one after the other and a final norm; no positions: whoever embeds the tokens adds them."""

    def __init__(self, blocks: list[EncoderBlock], width: int, normalisation: str = "pre") -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.final_norm = build_final_norm(normalisation, width)

    def encode(
        self, tokens: Float[Tensor, "batch time width"], padding: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch time width"]:
        """The encoded tokens; `padding` is True where a real token stands."""
        for block in self.blocks:
            tokens = block(tokens, padding)
        encoded: Tensor = self.final_norm(tokens)
        return encoded


class TokenEncoder(Encoder):
    """An encoder as a model of its own: tokens in, tokens out."""

    def __init__(
        self, blocks: list[EncoderBlock], width: int, positions: nn.Module, normalisation: str = "pre"
    ) -> None:
        super().__init__(blocks, width, normalisation)
        self.positions = positions

    def forward(
        self, tokens: Float[Tensor, "batch time width"], padding: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch time width"]:
        """The encoded tokens; `padding` is True where a real token stands."""
        return self.encode(self.positions(tokens), padding)


def build_attention(
    attention: Attention, *, width: int, normalisation: str, **settings: Unpack[AttentionSettings]
) -> nn.Module:
    """The attention layer of a block, whose queries and keys are normalised if `normalisation` is "qk"."""
    if normalisation == "qk":
        settings["qk_norm"] = True
    return build_layer(attention, width=width, **settings)


def build_blocks(
    attention: Attention,
    *,
    width: int,
    layers: int = 2,
    expansion: float = 4.0,
    normalisation: str = "pre",
    **settings: Unpack[AttentionSettings],
) -> list[EncoderBlock]:
    """`layers` blocks, each with an attention layer of its own; `settings` as for `build_layer`."""
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
    attention: Attention,
    *,
    width: int,
    layers: int = 2,
    expansion: float = 4.0,
    normalisation: str = "pre",
    **settings: Unpack[AttentionSettings],
) -> TokenEncoder:
    """The encoder ``model(tokens[, padding]) -> [batch, time, width]``; `settings` as for `build_layer`.

    Without `positions` it adds none: its tokens are taken to come from something that did.
    """
    blocks = build_blocks(
        attention, width=width, layers=layers, expansion=expansion, normalisation=normalisation, **settings
    )
    positions = build_positions(settings.get("positions", "none"), settings["max_length"], width)
    return TokenEncoder(blocks, width, positions, normalisation)
