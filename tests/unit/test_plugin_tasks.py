"""Tasks that a package brings for a suite that is there already."""

import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from bench.registry import Registry, collect
from bench.schema import Request
from bench.selection import Selection
from suites.tasks.rows_generated import PARITY

OURS = EntryPoint(name="ours", value="suites.catalog", group="attnbench.suites")
PLUGIN = EntryPoint(name="theirs", value="their_tasks", group="attnbench.suites")
COUNTING = replace(PARITY, name="counting", target="their_tasks:load")


@pytest.fixture
def bringing(monkeypatch: pytest.MonkeyPatch):
    """The registry with a plug-in that holds these tasks."""

    def collected(tasks: object) -> Registry:
        module = ModuleType("their_tasks")
        module.TASKS = tasks
        monkeypatch.setitem(sys.modules, "their_tasks", module)
        return collect([OURS, PLUGIN])

    return collected


def test_they_are_measured_in_the_profiles_they_name_and_no_other(bringing) -> None:
    found = bringing({"accuracy": {"smoke": (COUNTING,)}})
    assert not found.refused
    assert found.profiles_of("counting") == ["smoke"]
    chosen = {
        profile: [
            task.name for task in Selection(Request(profile=profile), found).tasks(found.suites["accuracy"])
        ]
        for profile in ("smoke", "quick")
    }
    assert chosen["smoke"][-1] == "counting" and "sentiment" in chosen["smoke"]
    assert "counting" not in chosen["quick"]


def test_what_cannot_be_taken_is_refused_with_the_reason_and_the_rest_stays(bringing) -> None:
    found = bringing({"accuracy": {"smoke": (replace(COUNTING, name="sentiment"), COUNTING)}})
    assert found.refused == {"theirs:sentiment": "duplicate name: 'sentiment' is already registered"}
    assert "counting" in found.tasks

    assert "suites with tasks are accuracy, transfer" in bringing({"memory": {}}).refused["theirs"]
    assert "holds str" in bringing({"accuracy": {"smoke": ("counting",)}}).refused["theirs"]


def test_a_task_has_one_row_in_each_profile(bringing) -> None:
    longer = replace(COUNTING, steps=7)
    found = bringing({"accuracy": {"smoke": (COUNTING,), "full": (longer,)}})
    assert not found.refused and found.profiles_of("counting") == ["smoke", "full"]
    assert found.tasks["counting"].steps == 7
