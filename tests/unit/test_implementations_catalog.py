"""The catalogue's rows: named once, loadable, framework-free, and true to their flags."""

import importlib
import inspect
import subprocess
import sys

import pytest

from bench.schema import Architecture, Variant
from implementations.catalog import ARCHITECTURES, VARIANTS


def load_torch(row: Variant | Architecture) -> object:
    module, name = row.targets["torch"].split(":")
    return getattr(importlib.import_module(module), name)


def test_the_reference_comes_first_and_names_are_unique() -> None:
    assert VARIANTS[0].name == "softmax"
    assert VARIANTS[0].exact
    for rows in (VARIANTS, ARCHITECTURES):
        assert len({row.name for row in rows}) == len(rows)


def test_listing_loads_no_framework() -> None:
    check = (
        "import sys, implementations.catalog; "
        "sys.exit(', '.join({'torch', 'keras', 'tensorflow', 'numpy'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


OURS = [row for row in VARIANTS if not row.peer_of]
PEERS = [row for row in VARIANTS if row.peer_of]
# A layer's settings that every variant takes, and what a kernel is called with.
INTERFACE = {
    *("query", "key", "value", "width", "heads", "causal", "padding", "bias"),
    *("max_length", "head_width", "key_heads", "positions", "qk_norm"),
}
# What a paper's rate of growth reads as in the catalogue.
EXPONENTS = {"n^2": 2.0, "n^1.5": 1.5, "n (selected": 1.2}


@pytest.mark.parametrize("row", VARIANTS, ids=lambda row: row.name)
def test_each_framework_is_implemented_or_has_a_reason(row) -> None:
    assert set(row.targets) | set(row.unsupported) == {"torch", "keras"}
    assert all(row.unsupported.values())
    assert row.equation
    assert row.family


@pytest.mark.parametrize("row", OURS, ids=lambda row: row.name)
def test_each_variant_of_ours_says_where_it_comes_from_and_what_it_costs(row) -> None:
    assert row.paper.startswith("arXiv:") or row.family == "control"
    written = [rate for mark, rate in EXPONENTS.items() if row.time.startswith(mark)]
    assert row.time_exponent == (written or [1.0])[0]
    assert row.definition.startswith("implementations.definitions.")


@pytest.mark.parametrize("row", PEERS, ids=lambda row: row.name)
def test_each_peer_is_held_against_a_variant_of_ours(row) -> None:
    assert row.peer_of in {ours.name for ours in OURS}
    assert not row.featured


@pytest.mark.parametrize("row", [row for row in OURS if "torch" in row.targets], ids=lambda row: row.name)
def test_options_are_those_of_the_code_with_the_same_defaults(row) -> None:
    parameters = inspect.signature(load_torch(row)).parameters
    own = {
        name: one.default
        for name, one in parameters.items()
        if name not in INTERFACE - set(row.options) and one.kind is not one.VAR_KEYWORD
    }
    assert own == dict(row.options)


@pytest.mark.parametrize("row", ARCHITECTURES, ids=lambda row: row.name)
def test_models_are_built_by_functions_of_both_frameworks(row) -> None:
    assert set(row.targets) == {"torch", "keras"}
    assert callable(load_torch(row))
    torch_name, keras_name = (row.targets[framework].split(":")[1] for framework in ("torch", "keras"))
    assert torch_name == keras_name == f"build_{row.name}"
    assert row.packages == {"torch": "implementations.on_torch", "keras": "implementations.on_keras"}


@pytest.mark.parametrize("row", OURS, ids=lambda row: row.name)
def test_a_variant_says_that_it_remembers_segments_if_its_layer_does(row) -> None:
    if "torch" in row.targets:
        assert row.segment_memory == hasattr(load_torch(row), "with_memory")
