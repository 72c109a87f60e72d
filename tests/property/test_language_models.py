"""Language models on torch: what they decode is what they read, and generation follows it."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bench.schema import NORMALISATIONS, POSITIONS
from implementations.on_torch import linear, sdpa, softmax
from implementations.on_torch.generation import generate
from implementations.on_torch.language_model import build_causal_lm
from implementations.on_torch.transformer_xl_model import build_transformer_xl_lm
from implementations.on_torch.weights import export_weights

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


def language_model(variant: str = "softmax", **own: object) -> nn.Module:
    settings = SETTINGS | {"causal": True, "vocabulary": VOCABULARY} | own
    return randomised(build_causal_lm(KERNELS[variant], **settings))


def numbers(*shape: int, seed: int = 2) -> Tensor:
    return torch.randint(1, VOCABULARY, shape, generator=torch.Generator().manual_seed(seed))


def stepped(step: Callable, tokens: Tensor, state: object) -> Tensor:
    """The logits after each of the tokens, read one by one."""
    every = []
    for place in range(tokens.shape[1]):
        logits, state = step(tokens[:, place], state)
        every.append(logits)
    return torch.stack(every, dim=1)


@pytest.mark.parametrize(("variant", "positions"), EVERY_PLACE)
def test_a_language_model_decodes_as_it_reads(variant: str, positions: str) -> None:
    model, tokens = language_model(variant, positions=positions), numbers(BATCH, TIME)
    with torch.no_grad():
        whole = model(tokens)
        assert whole.shape == (BATCH, TIME, VOCABULARY)
        torch.testing.assert_close(stepped(model.step, tokens, model.initial_state(BATCH)), whole)
        last, state = model.prefill(tokens[:, :5])
        assert state.length == 5
        torch.testing.assert_close(last, whole[:, 4])
        torch.testing.assert_close(stepped(model.step, tokens[:, 5:], state), whole[:, 5:])


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_a_language_model_decodes_as_it_reads_however_it_normalises(normalisation: str) -> None:
    model, tokens = language_model(normalisation=normalisation), numbers(BATCH, TIME)
    with torch.no_grad():
        last, state = model.prefill(tokens[:, :5])
        torch.testing.assert_close(last, model(tokens)[:, 4])
        torch.testing.assert_close(stepped(model.step, tokens[:, 5:], state), model(tokens)[:, 5:])


def test_a_language_model_sees_no_later_token() -> None:
    model, tokens = language_model(), numbers(BATCH, TIME)
    changed = tokens.clone()
    changed[:, 6] = 1 + changed[:, 6] % (VOCABULARY - 1)
    with torch.no_grad():
        torch.testing.assert_close(model(changed)[:, :6], model(tokens)[:, :6], rtol=0, atol=0)
        assert (model(changed)[:, 6:] - model(tokens)[:, 6:]).abs().amax(dim=(0, 2)).min() > 1e-3


@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
def test_decoding_ends_where_positions_end(positions: str) -> None:
    model = language_model(positions=positions)
    _, state = model.prefill(numbers(BATCH, MAX_LENGTH))
    with pytest.raises(ValueError, match="at most max_length = 13 positions, got 14"):
        model.step(numbers(BATCH), state)


def test_a_language_model_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="build it with causal=True"):
        language_model(causal=False)
    with pytest.raises(ValueError, match=r"positions must be one of none, .*, got 'absolute'"):
        language_model(positions="absolute")
    with pytest.raises(ValueError, match=r"normalisation must be one of pre, .*, got 'batch'"):
        language_model(normalisation="batch")


class Forgetful(nn.Module):
    """A user's causal attention that neither decodes nor remembers."""

    def __init__(self, width: int, heads: int, *, causal: bool, max_length: int) -> None:
        super().__init__()
        self.causal = causal

    def forward(self, query: Tensor, context: Tensor | None = None, padding: Tensor | None = None) -> Tensor:
        if context is None:
            return query.cumsum(dim=1) if self.causal else query + query.mean(dim=1, keepdim=True)
        shown = context if padding is None else context * padding[..., None]
        return query + shown.sum(dim=1, keepdim=True)


def test_a_variant_that_does_not_decode_says_so() -> None:
    model = build_causal_lm(Forgetful, vocabulary=VOCABULARY, causal=True, **SETTINGS)
    assert model(numbers(BATCH, TIME)).shape == (BATCH, TIME, VOCABULARY)
    for decode in (lambda: model.initial_state(BATCH), lambda: model.prefill(numbers(BATCH, TIME))):
        with pytest.raises(NotImplementedError, match="Forgetful does not decode token by token: it has no"):
            decode()
    with pytest.raises(NotImplementedError, match="Forgetful has no memory across segments"):
        build_transformer_xl_lm(Forgetful, vocabulary=VOCABULARY, causal=True, **SETTINGS)


def test_a_tied_head_is_the_table_and_another_one_a_map() -> None:
    tied, own = language_model(), language_model(tied=False)
    assert not [name for name in export_weights(tied) if name.startswith("head")]
    assert export_weights(own)["head.kernel"].shape == (WIDTH, VOCABULARY)
    encoded = torch.randn(BATCH, WIDTH, dtype=torch.float64)
    torch.testing.assert_close(tied.logits(encoded), encoded @ tied.embedding.weight.T)
    torch.testing.assert_close(own.logits(encoded), own.head(encoded))


def lively(model: nn.Module) -> nn.Module:
    """Without biases, which would make the same token likeliest everywhere."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("bias"):
                weight.zero_()
    return model


def test_generation_is_the_greedy_choice_of_the_whole_model() -> None:
    model, prompt = lively(language_model("linear", tied=False)), numbers(BATCH, 3)
    tokens = prompt
    for _ in range(7):
        tokens = torch.cat((tokens, model(tokens)[:, -1:].argmax(dim=-1)), dim=1)
    assert torch.equal(generate(model, prompt, 7), tokens[:, 3:])
    assert len(set(tokens[:, 3:].flatten().tolist())) > 3, "a model that repeats itself shows little"


def test_generation_is_drawn_anew_with_another_seed_only() -> None:
    model, prompt = language_model(), numbers(BATCH, 3)
    first, again, other = (generate(model, prompt, 7, temperature=5.0, seed=seed) for seed in (3, 3, 5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(generate(model, prompt, 7, temperature=1e-6), generate(model, prompt, 7))


def test_generation_draws_from_the_softmax_at_its_temperature() -> None:
    model, many = language_model(), 4001
    prompt = numbers(1, 3)
    drawn = generate(model, prompt.expand(many, -1), 1, temperature=3.0)[:, 0]
    shares = torch.bincount(drawn, minlength=VOCABULARY) / many
    expected = torch.softmax(model(prompt)[0, -1].detach() / 3.0, dim=-1).float()
    # Five standard errors of a share.
    assert ((shares - expected).abs() <= 5 * (expected * (1 - expected) / many).sqrt() + 1e-4).all()
    assert expected.max() - expected.min() > 0.02


def test_generation_refuses_what_it_cannot_do() -> None:
    model = language_model()
    with pytest.raises(ValueError, match="prompt must have at least one token"):
        generate(model, numbers(BATCH, 0), 3)
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        generate(model, numbers(BATCH, 3), 0)
    with pytest.raises(ValueError, match="temperature must be at least 0, got -1"):
        generate(model, numbers(BATCH, 3), 3, temperature=-1.0)
