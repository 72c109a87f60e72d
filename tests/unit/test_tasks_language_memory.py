"""Transformer-XL read with its memory across segments: the same as one long look at the document."""

import dataclasses

import numpy as np
import pytest
import torch
from made_up_language import TASK, TEXTS, TIME, VOCABULARY, data_of

from bench.schema import Task
from implementations.on_torch.transformer_xl import TransformerXL
from implementations.on_torch.transformer_xl_model import build_transformer_xl_lm
from suites.on_torch import Torch
from suites.tasks.data import TaskData
from suites.tasks.language import bits_of
from suites.tasks.language import evaluate as evaluate_alone
from suites.tasks.language_bytes import BEGINNING
from suites.tasks.language_memory import documents_of, evaluate, read_length

LONGEST = 101


def model_remembering(length: int) -> torch.nn.Module:
    torch.manual_seed(7)
    model = build_transformer_xl_lm(
        TransformerXL,
        width=6,
        heads=2,
        causal=True,
        max_length=TIME,
        vocabulary=VOCABULARY,
        memory_length=length,
        expansion=4.0,
        options={},
    )
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0.0, 0.4)
    return model


def reading(length: int, **changes: int) -> Task:
    return dataclasses.replace(TASK, settings={"read_length": length}, **changes)


def evaluated(model: torch.nn.Module, data: TaskData, task: Task) -> dict[str, np.ndarray]:
    framework = Torch(device="cpu", threads=1)
    return evaluate(framework, model, data.test_inputs, data.test_targets, data, task)


def bits_at_one_look(model: torch.nn.Module, text: bytes) -> np.ndarray:
    tokens = torch.tensor([[BEGINNING, *text[:-1]]])
    with torch.no_grad():
        return bits_of(model(tokens).numpy(), np.array([[*text]]))[0]


@pytest.mark.parametrize("length", [1, TIME])
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_with_memory_for_all_it_is_one_long_forward(length: int, batch: int) -> None:
    model, data = model_remembering(LONGEST), data_of(TEXTS)
    found = evaluated(model, data, reading(length, batch=batch))
    per_segment = []
    for text in TEXTS:
        bits = bits_at_one_look(model, text.encode())
        per_segment += [bits[start : start + TIME].sum() for start in range(0, len(bits), TIME)]
    mean_bytes = sum(len(text.encode()) for text in TEXTS) / len(data.test_targets)
    np.testing.assert_allclose(found["bits_per_byte"], np.array(per_segment) / mean_bytes, rtol=1e-5)


def test_without_memory_it_is_each_segment_by_itself_and_that_is_told_as_well() -> None:
    model, data, task = model_remembering(LONGEST), data_of(TEXTS), reading(TIME)
    found = evaluated(model, data, task)
    framework = Torch(device="cpu", threads=1)
    alone = evaluate_alone(framework, model, data.test_inputs, data.test_targets, data, task)
    np.testing.assert_allclose(found["bits_per_byte_alone"], alone["bits_per_byte"], rtol=1e-5)
    assert not np.allclose(found["bits_per_byte"], alone["bits_per_byte"], rtol=1e-3)


def test_a_memory_that_is_too_short_for_all_changes_the_answer() -> None:
    # Guards the first test: what is remembered does count there.
    data = data_of(TEXTS)
    short, long = (
        evaluated(model_remembering(length), data, reading(TIME))["bits_per_byte"] for length in (3, LONGEST)
    )
    assert not np.allclose(short, long, rtol=1e-3)


def test_memory_ends_with_its_document() -> None:
    """What stands before a document in the batch, or beside it, changes none of its bits."""
    model, task = model_remembering(LONGEST), reading(TIME)
    alone = evaluated(model, data_of(TEXTS[1:2]), task)
    after = evaluated(model, data_of(TEXTS), task)
    rows = len(alone["bits_per_byte"])
    assert rows > 2
    scale = len(TEXTS[1].encode()) / rows
    scale_after = sum(len(text.encode()) for text in TEXTS) / len(after["bits_per_byte"])
    np.testing.assert_allclose(
        after["bits_per_byte"][1 : 1 + rows] * scale_after, alone["bits_per_byte"] * scale, rtol=1e-5
    )


def test_positions_are_those_of_what_is_read_at_a_time() -> None:
    found = evaluated(model_remembering(LONGEST), data_of(TEXTS), reading(1))
    assert found["bits_by_position"].shape == (1,)
    np.testing.assert_allclose(found["bits_by_position"][0], found["bits_per_byte"].mean())


def test_documents_are_the_rows_from_one_start_to_the_next() -> None:
    assert documents_of(np.array([0, 2, 3]), 7) == [range(2), range(2, 3), range(3, 7)]
    assert documents_of(np.array([2]), 4) == [range(2), range(2, 4)]


def test_what_is_read_at_a_time_must_divide_a_segment() -> None:
    assert read_length(dataclasses.replace(TASK, max_length=64)) == 32
    with pytest.raises(ValueError, match="read_length must divide max_length, got 3 and 13"):
        read_length(reading(3))
