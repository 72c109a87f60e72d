"""Every row of every task: what it names is there, and what it sets is of some use."""

import pytest

from bench.loading import load
from bench.registry import registry
from bench.schema import Task

ROWS = [
    (suite.name, profile, task)
    for suite in registry().suites.values()
    for profile, tasks in suite.tasks.items()
    for task in tasks
]


@pytest.mark.parametrize(
    "task", [row for *_, row in ROWS], ids=[f"{suite}-{profile}-{row.name}" for suite, profile, row in ROWS]
)
def test_what_a_row_names_can_be_loaded(task: Task) -> None:
    for target in (task.target, *filter(None, (task.evaluator, task.own_data)), *task.baselines.values()):
        assert callable(load(target)), target


@pytest.mark.parametrize("task", [row for *_, row in ROWS], ids=lambda task: task.name)
def test_options_beside_a_tasks_length_are_of_variants_that_there_are(task: Task) -> None:
    assert set(task.variant_options) <= set(registry().variants)


def test_no_name_stands_twice_in_a_profile() -> None:
    for suite, profile in {(suite, profile) for suite, profile, _ in ROWS}:
        names = [task.name for other, same, task in ROWS if (other, same) == (suite, profile)]
        assert len(names) == len(set(names)), (suite, profile)
