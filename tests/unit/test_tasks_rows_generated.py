"""The rows of the generated tasks: each loads, names baselines that answer, and shortens its variants."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from bench.loading import load
from bench.schema import Task
from implementations.catalog import ARCHITECTURES, VARIANTS
from suites.on_torch import Torch
from suites.tasks.data import TaskData
from suites.tasks.rows_generated import GENERATED, shortened
from suites.tasks.scores import UNITS

FEW = {"train_examples": 61, "test_examples": 37}
ROWS = [pytest.param(row, id=f"{profile}-{row.name}") for profile, rows in GENERATED.items() for row in rows]
TARGETS = {variant.name: variant for variant in VARIANTS}
BUILDERS = {architecture.name: architecture.targets["torch"] for architecture in ARCHITECTURES}


def few(row: Task) -> TaskData:
    data: TaskData = load(row.target)(dataclasses.replace(row, settings={**row.settings, **FEW}))
    return data


@pytest.fixture
def framework() -> Iterator[Torch]:
    before = torch.get_num_threads()
    yield Torch(device="cpu", threads=1)
    torch.set_num_threads(before)


@pytest.mark.parametrize("row", ROWS)
def test_a_row_loads_and_its_baselines_answer_for_every_example(row: Task) -> None:
    data = few(row)
    assert row.metric in UNITS[data.score]
    assert row.baselines
    assert bool(row.evaluator) == (data.score == "accuracy_by_distance")
    for target in row.baselines.values():
        answers = load(target)(data)
        assert row.metric in answers and set(answers) <= set(UNITS[data.score])
        assert np.asarray(answers[row.metric]).shape == (37,)
        assert 0 <= np.mean(answers[row.metric]) < 1


@pytest.mark.parametrize("length", [16, 32, 64, 128, 512, 2000])
def test_no_window_and_no_landmarks_are_as_long_as_the_sequence(length: int) -> None:
    bounded = {"window", "kept", "landmarks", "size", "block", "compression_block", "selection_block"}
    seen = [
        value for options in shortened(length).values() for name, value in options.items() if name in bounded
    ]
    assert len(seen) >= 8
    assert all(isinstance(value, int) and 1 <= value <= length // 4 for value in seen)
    sparse, native = shortened(length)["block_sparse"], shortened(length)["native_sparse"]
    # Global, window and random blocks of a causal query: the window reaches back only.
    assert int(sparse["block"]) * (1 + 2 + 1) < length
    assert int(native["selection_block"]) * int(native["selected"]) < length


@pytest.mark.parametrize("row", [row for row in ROWS if "quick" in str(row.id)])
def test_every_shortened_variant_takes_its_options(row: Task, framework: Torch) -> None:
    data = few(row)
    inputs = framework.arrays([array[:3] for array in data.test_inputs], "float32")
    for name, options in row.variant_options.items():
        variant = TARGETS[name]
        if row.causal and not variant.causal:
            continue
        model = framework.build(
            load(BUILDERS[row.architecture]),
            load(variant.targets["torch"]),
            dtype="float32",
            width=row.width,
            heads=row.heads,
            causal=row.causal,
            max_length=row.max_length,
            options={**variant.options, **options},
            **data.settings,
        )
        outputs = framework.output(framework.forward(model, inputs)())
        assert outputs.shape[0] == 3 and np.isfinite(outputs).all(), name
