"""The encoder-decoder on torch: it decodes as it reads, sees what it should, and translates."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bench.schema import NORMALISATIONS, POSITIONS
from implementations.on_torch import linear, sdpa, softmax
from implementations.on_torch.encoder_decoder import build_encoder_decoder
from implementations.on_torch.generation import translate
from implementations.on_torch.transformer_xl import TransformerXL

BATCH, TIME, SOURCE, MAX_LENGTH, HEADS, WIDTH, VOCABULARY = 2, 11, 7, 13, 3, 30, 31
KERNELS = {"softmax": softmax.attend, "sdpa": sdpa.attend, "linear": linear.attend}
SETTINGS = {"width": WIDTH, "heads": HEADS, "max_length": MAX_LENGTH, "options": {}}
EVERY_PLACE = [
    pytest.param(variant, positions, id=f"{variant}-{positions}")
    for variant in KERNELS
    for positions in POSITIONS
    if variant != "linear" or positions not in ("alibi", "t5")
]


def randomised(model: nn.Module) -> nn.Module:
    """In float64, with weights that are neither zero nor the same in two places."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.double().parameters():
            weight.normal_(0.0, 0.4, generator=generator)
    return model


def translator(variant: str = "softmax", **own: object) -> nn.Module:
    settings = SETTINGS | {"causal": True, "vocabulary": VOCABULARY} | own
    return randomised(build_encoder_decoder(KERNELS[variant], **settings))


def numbers(*shape: int, seed: int = 2) -> Tensor:
    return torch.randint(1, VOCABULARY, shape, generator=torch.Generator().manual_seed(seed))


def padded_sources() -> Tensor:
    source = numbers(BATCH, SOURCE)
    source[0, 5:] = 0
    return source


def stepped(step: Callable, tokens: Tensor, state: object) -> Tensor:
    """The logits after each of the tokens, read one by one."""
    every = []
    for place in range(tokens.shape[1]):
        logits, state = step(tokens[:, place], state)
        every.append(logits)
    return torch.stack(every, dim=1)


def test_a_translator_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="build it with causal=True"):
        translator(causal=False)
    with pytest.raises(NotImplementedError, match=r"needs cross-attention.*: transformer-xl attention needs"):
        build_encoder_decoder(TransformerXL, vocabulary=VOCABULARY, causal=True, **SETTINGS)


class Summing(nn.Module):
    """A user's attention that decodes, but has neither `remember` nor `recall`."""

    def __init__(self, width: int, heads: int, *, causal: bool, max_length: int) -> None:
        super().__init__()
        self.causal = causal

    def forward(self, query: Tensor, context: Tensor | None = None, padding: Tensor | None = None) -> Tensor:
        if context is None:
            return query.cumsum(dim=1) if self.causal else query + query.mean(dim=1, keepdim=True)
        shown = context if padding is None else context * padding[..., None]
        return query + shown.sum(dim=1, keepdim=True)

    def initial_state(self, batch: int) -> tuple[float]:
        return (0.0,)

    def prefill(self, tokens: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        return self(tokens), (tokens.sum(dim=1, keepdim=True),)

    def step(self, token: Tensor, state: tuple[Tensor]) -> tuple[Tensor, tuple[Tensor]]:
        return state[0] + token, (state[0] + token,)


@pytest.mark.parametrize(("variant", "positions"), EVERY_PLACE)
def test_a_translator_decodes_as_it_reads(variant: str, positions: str) -> None:
    model, target = translator(variant, positions=positions), numbers(BATCH, TIME, seed=3)
    with torch.no_grad():
        whole = model(padded_sources(), target)
        decoded = stepped(model.step, target, model.begin(padded_sources()))
    assert whole.shape == (BATCH, TIME, VOCABULARY)
    torch.testing.assert_close(decoded, whole)


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_a_translator_decodes_as_it_reads_however_it_normalises(normalisation: str) -> None:
    model, target = translator(normalisation=normalisation), numbers(BATCH, TIME, seed=3)
    with torch.no_grad():
        decoded = stepped(model.step, target, model.begin(padded_sources()))
        torch.testing.assert_close(decoded, model(padded_sources(), target))


def test_a_translator_decodes_with_a_layer_that_remembers_no_source() -> None:
    settings = SETTINGS | {"causal": True, "vocabulary": VOCABULARY, "target_vocabulary": 37, "tied": False}
    model = randomised(build_encoder_decoder(Summing, **settings))
    target = numbers(BATCH, TIME, seed=3)
    with torch.no_grad():
        whole = model(padded_sources(), target)
        assert whole.shape == (BATCH, TIME, 37)
        torch.testing.assert_close(stepped(model.step, target, model.begin(padded_sources())), whole)


def test_a_translator_reads_its_source_but_no_padding_and_no_later_target() -> None:
    model, source, target = translator(), padded_sources(), numbers(BATCH, TIME, seed=3)
    with torch.no_grad():
        logits = model(source, target)
        torch.testing.assert_close(model(source, target, source != 0), logits)
        other = torch.where(source == 0, 29, source)
        torch.testing.assert_close(model(other, target, source != 0), logits)
        torch.testing.assert_close(model(source[:1, :5], target[:1]), logits[:1])
        assert (model(other, target) - logits)[0].abs().amax(dim=-1).min() > 1e-3
        later = target.clone()
        later[:, 6] = 1 + later[:, 6] % (VOCABULARY - 1)
        torch.testing.assert_close(model(source, later)[:, :6], logits[:, :6], rtol=0, atol=0)


def test_a_source_is_encoded_once() -> None:
    model, calls = translator(), []
    model.encoder.blocks[0].attention.register_forward_hook(lambda *_: calls.append(1))
    for block in model.blocks:
        block.cross_attention.key.register_forward_hook(lambda *_: calls.append(2))
    stepped(model.step, numbers(BATCH, TIME), model.begin(padded_sources()))
    assert calls == [1, 2, 2]


def test_relative_positions_stand_in_self_attention_only() -> None:
    for block in translator(positions="rotary").blocks:
        assert block.self_attention.rotary
        assert not block.cross_attention.rotary
        assert not block.cross_attention.causal


def test_translation_is_the_greedy_choice_of_the_whole_model() -> None:
    model, source, begin = translator(), padded_sources(), 1
    tokens = torch.full((BATCH, 1), begin)
    for _ in range(7):
        tokens = torch.cat((tokens, model(source, tokens)[:, -1:].argmax(dim=-1)), dim=1)
    never = next(number for number in range(VOCABULARY) if number not in tokens)
    assert torch.equal(translate(model, source, begin=begin, end=never, steps=7), tokens[:, 1:])
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        translate(model, source, begin=begin, end=never, steps=0)


class Scripted:
    """A translator that says what it was told to, and notes what it was given."""

    SAID = torch.tensor([[5, 3, 7, 5, 7], [7, 5, 5, 3, 7]])

    def __init__(self) -> None:
        self.given: list[list[int]] = []

    def begin(self, source: Tensor, source_padding: Tensor | None = None) -> int:
        return 0

    def step(self, token: Tensor, state: int) -> tuple[Tensor, int]:
        self.given.append(token.tolist())
        return nn.functional.one_hot(self.SAID[:, state], VOCABULARY).double(), state + 1


@pytest.mark.parametrize(("end", "steps"), [(3, 5), (11, 5), (3, 3)])
def test_a_translation_stays_ended_and_stops_when_all_have_ended(end: int, steps: int) -> None:
    model = Scripted()
    answer = translate(model, numbers(BATCH, SOURCE), begin=1, end=end, steps=steps).tolist()
    said = [[5, 3, 3, 3, 3], [7, 5, 5, 3, 3]] if end == 3 else Scripted.SAID.tolist()
    assert answer == [row[:steps] for row in said]
    given = [[1, 1], *([row[place] for row in said] for place in range(4))]
    assert model.given == given[: min(steps, 4 if end == 3 else 5)]
