"""What was typed becomes a request: every name known and there once, zeros a number of cores."""

import pytest

from bench.registry import UnknownNameError, registry
from bench.request import EVERYTHING, checked
from bench.schema import Request


def test_all_stands_for_every_variant_of_ours_and_for_no_public_package() -> None:
    asked = checked(Request(variants=("sdpa", EVERYTHING)))
    ours = {name for name, row in registry().variants.items() if not row.peer_of}
    assert set(asked.variants) == ours
    assert len(asked.variants) == len(ours)
    assert asked.variants[0] == "sdpa"


def test_no_variant_is_called_all() -> None:
    assert EVERYTHING not in registry().variants


def test_a_wrong_name_is_refused_with_what_was_meant() -> None:
    with pytest.raises(UnknownNameError, match="linear"):
        checked(Request(variants=("linaer",)))


def test_zero_threads_and_jobs_stand_for_the_cores() -> None:
    asked = checked(Request())
    assert asked.threads >= 1
    assert asked.jobs >= 1
