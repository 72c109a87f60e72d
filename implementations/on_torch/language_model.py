"""A causal language model, shaped as GPT is: logits of the next token at every position.

    logits_t = table . final_norm(blocks(table[token_0..t] + positions))_t

It decodes with what its layers remember: a cache of keys and values, or the sums of a recurrent variant.
Paper: Radford and others 2019, "Language Models are Unsupervised Multitask Learners", section 2.3: pre-norm
blocks, learned positions, and a head tied to the table of tokens (Press and Wolf 2017, arXiv:1608.05859),
which saves vocabulary * width weights; ``tied=False`` gives the head its own map with a bias.
"""

from typing import NamedTuple, Unpack

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from implementations.on_torch.absolute_positions import build_positions
from implementations.on_torch.decoding import State
from implementations.on_torch.dense import Dense, Table
from implementations.on_torch.encoder import Encoder, EncoderBlock, build_blocks
from implementations.on_torch.layer import Attention, AttentionSettings


class LanguageState(NamedTuple):
    """What each layer remembers, and how many tokens were read: where the next one stands."""

    layers: tuple[State, ...]
    length: int


class LanguageModel(Encoder):
    """What language models share: the table of tokens, positions, the head, and decoding."""

    def __init__(
        self,
        blocks: list[EncoderBlock],
        width: int,
        *,
        vocabulary: int,
        positions: nn.Module,
        normalisation: str = "pre",
        tied: bool = True,
    ) -> None:
        super().__init__(blocks, width, normalisation)
        self.embedding = Table(vocabulary, width)
        self.positions = positions
        self.head = None if tied else Dense(width, vocabulary)

    def logits(self, encoded: Float[Tensor, "*shape width"]) -> Float[Tensor, "*shape vocabulary"]:
        """Logits of the token that follows each of the encoded ones."""
        if self.head is None:
            return functional.linear(encoded, self.embedding.weight)
        own: Tensor = self.head(encoded)
        return own

    def initial_state(self, batch: int) -> LanguageState:
        """What decoding starts from; raises NotImplementedError for a variant that does not decode."""
        return LanguageState(tuple(block.initial_state(batch) for block in self._decoders()), 0)

    def prefill(
        self, tokens: Int[Tensor, "batch time"]
    ) -> tuple[Float[Tensor, "batch vocabulary"], LanguageState]:
        """The logits after the last token, and the state; all tokens are read at once."""
        encoded, states = self.positions(self.embedding(tokens)), []
        for block in self._decoders():
            encoded, state = block.prefill(encoded)
            states.append(state)
        last = self.logits(self.final_norm(encoded[:, -1]))
        return last, LanguageState(tuple(states), tokens.shape[1])

    def step(
        self, token: Int[Tensor, " batch"], state: LanguageState
    ) -> tuple[Float[Tensor, "batch vocabulary"], LanguageState]:
        """The logits after one more token, and the state; the state that came in is used up.

        Raises ValueError beyond `max_length` where the model adds positions.
        """
        encoded, states = self.positions(self.embedding(token[:, None]), state.length), []
        for block, remembered in zip(self._decoders(), state.layers, strict=True):
            encoded, after = block.step(encoded, remembered)
            states.append(after)
        return self.logits(self.final_norm(encoded[:, 0])), LanguageState(tuple(states), state.length + 1)

    def _decoders(self) -> list[EncoderBlock]:
        return [block for block in self.blocks if isinstance(block, EncoderBlock)]


class CausalLanguageModel(LanguageModel):
    """Token numbers to logits of the next token."""

    def forward(
        self, tokens: Int[Tensor, "batch time"], padding: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch time vocabulary"]:
        """Logits at every position; `padding` is True where a real token stands (None: everywhere).

        Padding that follows the text needs none: no position sees what comes after it. Raises ValueError
        beyond `max_length` where the model adds positions.
        """
        return self.logits(self.encode(self.positions(self.embedding(tokens)), padding))


def build_causal_lm(
    attention: Attention,
    *,
    width: int,
    vocabulary: int,
    layers: int = 2,
    expansion: float = 4.0,
    normalisation: str = "pre",
    tied: bool = True,
    **settings: Unpack[AttentionSettings],
) -> CausalLanguageModel:
    """The model ``model(tokens) -> logits [batch, time, vocabulary]``; `settings` as for `build_layer`.

    Raises ValueError unless `causal`.
    """
    require_causal(settings)
    blocks = build_blocks(
        attention, width=width, layers=layers, expansion=expansion, normalisation=normalisation, **settings
    )
    return CausalLanguageModel(
        blocks,
        width,
        vocabulary=vocabulary,
        positions=build_positions(settings.get("positions", "learned"), settings["max_length"], width),
        normalisation=normalisation,
        tied=tied,
    )


def require_causal(settings: AttentionSettings) -> None:
    """Raise ValueError for a language model that would see the token it is to tell."""
    if not settings["causal"]:
        raise ValueError("a language model must not see the token it is to tell: build it with causal=True")
