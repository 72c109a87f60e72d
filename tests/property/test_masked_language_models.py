"""Masked language models on torch: what they answer at some places, and what a classifier takes over."""

import pytest
import torch
from torch import Tensor, nn

from implementations.on_torch import linear, softmax
from implementations.on_torch.classifiers import build_text_classifier
from implementations.on_torch.masked_language_model import build_masked_lm
from implementations.on_torch.weights import export_weights

BATCH, TIME, MAX_LENGTH, HEADS, WIDTH, VOCABULARY = 2, 11, 13, 3, 30, 31
KERNELS = {"softmax": softmax.attend, "linear": linear.attend}
SETTINGS = {
    "width": WIDTH,
    "heads": HEADS,
    "max_length": MAX_LENGTH,
    "options": {},
    "causal": False,
    "vocabulary": VOCABULARY,
}


def masked_lm(variant: str = "softmax") -> nn.Module:
    """In float64, with weights that are neither zero nor the same in two places."""
    model, generator = build_masked_lm(KERNELS[variant], **SETTINGS), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.double().parameters():
            weight.normal_(0.0, 0.4, generator=generator)
    return model


def numbers(*shape: int) -> Tensor:
    return torch.randint(1, VOCABULARY, shape, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("variant", KERNELS)
def test_the_answers_at_some_places_are_those_that_stand_there(variant: str) -> None:
    model, tokens = masked_lm(variant), numbers(BATCH, TIME)
    places = torch.tensor([[3, 0, 10], [7, 7, 1]])
    whole, some = model(tokens), model(tokens, None, places)
    assert whole.shape == (BATCH, TIME, VOCABULARY)
    torch.testing.assert_close(some, torch.stack([row[at] for row, at in zip(whole, places, strict=True)]))


@pytest.mark.parametrize("variant", KERNELS)
def test_padding_is_what_has_number_0_and_changes_nothing(variant: str) -> None:
    model, tokens = masked_lm(variant), numbers(BATCH, TIME)
    padded = torch.cat((tokens, torch.zeros(BATCH, 2, dtype=torch.int64)), dim=1)
    torch.testing.assert_close(model(padded)[:, :TIME], model(tokens))
    torch.testing.assert_close(model(padded, padded != 0), model(padded))


def test_a_word_is_told_from_both_sides() -> None:
    model, tokens = masked_lm(), numbers(1, TIME)
    for changed in (0, TIME - 1):
        other = tokens.clone()
        other[0, changed] = tokens[0, changed] % (VOCABULARY - 1) + 1
        assert (model(other)[0, 5] - model(tokens)[0, 5]).abs().max() > 1e-3


def test_all_of_a_text_classifier_but_its_head_has_a_counterpart_of_the_same_shape() -> None:
    classifier = export_weights(build_text_classifier(softmax.attend, classes=4, **SETTINGS))
    language = export_weights(masked_lm())
    assert {name for name in classifier if name not in language} == {"head.kernel", "head.bias"}
    own = {
        "transform.kernel",
        "transform.bias",
        "transform_norm.scale",
        "transform_norm.offset",
        "output_bias",
    }
    assert {name for name in language if name not in classifier} == own
    assert all(classifier[name].shape == language[name].shape for name in set(classifier) & set(language))
