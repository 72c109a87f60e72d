"""The rows of the tasks that write: loadable, and true to what their loaders and evaluators ask."""

import pytest

from bench.loading import load
from bench.schema import Task
from implementations.catalog import ARCHITECTURES
from suites.tasks.language_memory import read_length
from suites.tasks.rows_language import LANGUAGE, METRICS
from suites.tasks.scores import LOWER_IS_BETTER, UNITS

ROWS = [(profile, task) for profile, tasks in LANGUAGE.items() for task in tasks]
every_row = pytest.mark.parametrize(
    "task", [task for _, task in ROWS], ids=[f"{p}-{t.name}" for p, t in ROWS]
)


@every_row
def test_what_a_row_names_is_there(task: Task) -> None:
    for target in (task.target, task.evaluator, *task.baselines.values()):
        assert callable(load(target))
    architecture = next(row for row in ARCHITECTURES if row.name == task.architecture)
    assert architecture.needs_causal == task.causal


@pytest.mark.parametrize("profile", ["quick", "full"])
def test_every_task_is_in_both_profiles_once(profile: str) -> None:
    names = [task.name for task in LANGUAGE[profile]]
    assert names == ["language_bytes", "language_bpe", "shakespeare", "language_memory", "translation"]


@every_row
def test_memory_and_what_is_read_are_no_longer_than_what_was_trained_on(task: Task) -> None:
    if "memory_length" in task.settings:
        assert read_length(task) + int(task.settings["memory_length"]) <= task.max_length


def test_every_score_that_an_evaluator_gives_is_a_metric_with_the_same_unit_and_direction() -> None:
    metrics = {metric.name: metric for metric in METRICS}
    scores = [name for name in UNITS if name.startswith(("language", "translation"))]
    told = {name: unit for score in scores for name, unit in UNITS[score].items()}
    assert told == {name: metric.unit for name, metric in metrics.items()}
    for name, metric in metrics.items():
        assert (metric.better == "lower") == (name in LOWER_IS_BETTER)
