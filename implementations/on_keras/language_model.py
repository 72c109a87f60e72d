"""A causal language model, shaped as GPT is: logits of the next token at every position.

    logits_t = table . final_norm(blocks(table[token_0..t] + positions))_t

It decodes with what its layers remember: a cache of keys and values, or the sums of a recurrent variant.
Paper: Radford and others 2019, "Language Models are Unsupervised Multitask Learners", section 2.3: pre-norm
blocks, learned positions, and a head tied to the table of tokens (Press and Wolf 2017, arXiv:1608.05859),
which saves vocabulary * width weights; ``tied=False`` gives the head its own map with a bias.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
from jaxtyping import Bool, Float, Int
from keras import ops

from implementations.on_keras.absolute_positions import build_positions
from implementations.on_keras.decoding import State
from implementations.on_keras.encoder import Encoder, EncoderBlock, build_blocks
from implementations.on_keras.keras_types import Layer, Tensor


class LanguageState(NamedTuple):
    """What each layer remembers, and how many tokens were read: where the next one stands."""

    layers: tuple[State, ...]
    length: int


class LanguageModel(Encoder):
    """What language models share: the table of tokens, positions, the head, and decoding."""

    def __init__(
        self,
        blocks: Sequence[EncoderBlock],
        width: int,
        *,
        vocabulary: int,
        positions: Layer,
        normalisation: str = "pre",
        tied: bool = True,
        **keras_settings: Any,
    ) -> None:
        super().__init__(blocks, normalisation, **keras_settings)
        self.embedding = keras.layers.Embedding(vocabulary, width)
        self.positions = positions
        self.head = None if tied else keras.layers.Dense(vocabulary)

    def logits(self, encoded: Float[Tensor, "*shape width"]) -> Float[Tensor, "*shape vocabulary"]:
        """Logits of the token that follows each of the encoded ones."""
        return tied_logits(encoded, self.embedding) if self.head is None else self.head(encoded)

    def initial_state(self, batch: int) -> LanguageState:
        """What decoding starts from; raises NotImplementedError for a variant that does not decode."""
        return LanguageState(tuple(block.initial_state(batch) for block in self.blocks), 0)

    def prefill(
        self, tokens: Int[Tensor, "batch time"]
    ) -> tuple[Float[Tensor, "batch vocabulary"], LanguageState]:
        """The logits after the last token, and the state; all tokens are read at once."""
        encoded, states = self.positions(self.embedding(tokens)), []
        for block in self.blocks:
            encoded, state = block.prefill(encoded)
            states.append(state)
        last = self.logits(self.final_norm(encoded[:, -1]))
        return last, LanguageState(tuple(states), int(tokens.shape[1]))

    def step(
        self, token: Int[Tensor, " batch"], state: LanguageState
    ) -> tuple[Float[Tensor, "batch vocabulary"], LanguageState]:
        """The logits after one more token, and the state.

        Raises ValueError beyond `max_length` where the model adds positions.
        """
        encoded, states = self.positions(self.embedding(token[:, None]), first=state.length), []
        for block, remembered in zip(self.blocks, state.layers, strict=True):
            encoded, after = block.step(encoded, remembered)
            states.append(after)
        return self.logits(self.final_norm(encoded[:, 0])), LanguageState(tuple(states), state.length + 1)


class CausalLanguageModel(LanguageModel):
    """Token numbers to logits of the next token."""

    def call(
        self, tokens: Int[Tensor, "batch time"], padding: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch time vocabulary"]:
        """Logits at every position; `padding` is True where a real token stands (None: everywhere).

        Padding that follows the text needs none: no position sees what comes after it. Raises ValueError
        beyond `max_length` where the model adds positions.
        """
        return self.logits(self.encode(self.positions(self.embedding(tokens)), padding))


def tied_logits(encoded: Float[Tensor, "*shape width"], table: Any) -> Float[Tensor, "*shape vocabulary"]:
    """Products with the rows of the embedding `table`."""
    return ops.matmul(encoded, ops.transpose(ops.cast(table.embeddings, encoded.dtype)))


def build_causal_lm(
    attention: type | Callable[..., Any],
    *,
    width: int,
    max_length: int,
    vocabulary: int,
    causal: bool = True,
    layers: int = 2,
    expansion: float = 4.0,
    positions: str = "learned",
    normalisation: str = "pre",
    tied: bool = True,
    **settings: Any,
) -> CausalLanguageModel:
    """The model ``model(tokens) -> logits [batch, time, vocabulary]``, with its weights made.

    `settings` (`heads`, `options`, …) as for `build_layer`. Raises ValueError unless `causal`.
    """
    require_causal(causal)
    settings |= {"width": width, "max_length": max_length, "positions": positions, "causal": True}
    model = CausalLanguageModel(
        build_blocks(attention, layers=layers, expansion=expansion, normalisation=normalisation, **settings),
        width,
        vocabulary=vocabulary,
        positions=build_positions(positions, max_length, width),
        normalisation=normalisation,
        tied=tied,
    )
    model(keras.KerasTensor((None, max_length), dtype="int32"))
    return model


def require_causal(causal: bool) -> None:
    """Raise ValueError for a language model that would see the token it is to tell."""
    if not causal:
        raise ValueError("a language model must not see the token it is to tell: build it with causal=True")
