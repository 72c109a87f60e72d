"""The one door through which variants, suites and views come in."""

from importlib.metadata import EntryPoint

import pytest

from bench.registry import UnknownNameError, choose, collect, registry


def point(value: str, name: str = "plug") -> EntryPoint:
    return EntryPoint(name=name, value=value, group="attnbench.variants")


def test_what_is_built_in_comes_through_entry_points() -> None:
    found = registry()
    assert list(found.variants)[:2] == ["softmax", "sdpa"]
    assert {"certificate", "throughput", "memory", "accuracy"} <= set(found.suites)
    assert {"html", "markdown", "csv", "json", "latex"} == set(found.formats)
    assert {"sentiment", "digits", "photographs", "documents", "topics", "text"} <= set(found.tasks)


def test_the_profiles_that_measure_a_task_unasked_are_told() -> None:
    found = registry()
    assert found.profiles_of("sentiment") == ["smoke", "quick", "full"]
    assert found.profiles_of("emotion") == found.profiles_of("text") == found.profiles_of("nosuch") == []


def test_a_broken_plug_in_costs_only_itself() -> None:
    found = collect([point("implementations.catalog", "ours"), point("no_such_module", "broken")])
    assert "softmax" in found.variants
    assert "No module named 'no_such_module'" in found.refused["broken"]


def test_a_taken_name_is_refused_and_the_first_stays() -> None:
    found = collect(
        [
            point("implementations.families.exact:SOFTMAX", "ours"),
            point("implementations.families.exact:SOFTMAX", "theirs"),
        ]
    )
    assert "duplicate name" in found.refused["theirs:softmax"]
    assert list(found.variants) == ["softmax"]


def test_an_unknown_name_gets_the_nearest_known_one() -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean 'sliding_window'\?"):
        choose("variant", ["sliding-window"], registry().variants)
