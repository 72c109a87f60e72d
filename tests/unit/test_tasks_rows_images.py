"""The rows of the tasks on images: they fit their loaders and the catalogue's, in every profile."""

import dataclasses

import numpy as np
import pytest

from bench.loading import load
from bench.schema import Task
from suites.tasks.catalog import TASKS
from suites.tasks.rows_images import IMAGES

ROWS = [
    pytest.param(task, id=f"{profile}-{task.name}") for profile, tasks in IMAGES.items() for task in tasks
]
# CIFAR-10 is not in any package; what its loader answers is tested on files of its own.
AT_HAND = [row for row in ROWS if row.values[0].name != "cifar10"]


def test_profiles_are_the_catalogue_s_and_names_are_in_each_once() -> None:
    assert set(IMAGES) == set(TASKS)
    for tasks in IMAGES.values():
        names = [task.name for task in tasks]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("task", AT_HAND)
def test_a_row_s_data_fits_the_model_that_it_trains(task: Task) -> None:
    few = dataclasses.replace(task, settings={**task.settings, "train_examples": 5, "test_examples": 3})
    data = load(task.target)(few)
    for tokens in data.train_inputs:
        assert tokens.shape[0] == 5 and tokens.shape[1] <= task.max_length
    if task.architecture == "patch_classifier":
        assert data.train_inputs[0].shape[2] == data.settings["patch_width"]
        assert data.train_inputs[0].shape[1] == task.max_length
    assert np.isfinite(data.train_inputs[0]).all()


@pytest.mark.parametrize("task", ROWS)
def test_baselines_of_a_row_exist(task: Task) -> None:
    assert len(task.baselines) == 2 and all(callable(load(target)) for target in task.baselines.values())
