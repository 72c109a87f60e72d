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


@pytest.mark.parametrize("row", VARIANTS, ids=lambda row: row.name)
def test_each_framework_is_implemented_or_has_a_reason(row) -> None:
    assert set(row.targets) | set(row.unsupported) == {"torch", "keras"}
    assert all(row.unsupported.values())
    assert row.paper.startswith("arXiv:")
    assert row.equation
    assert row.time_exponent == (2.0 if row.time.startswith("n^2") else 1.0)


@pytest.mark.parametrize("row", VARIANTS, ids=lambda row: row.name)
def test_options_are_those_of_the_code_with_the_same_defaults(row) -> None:
    interface = {"query", "key", "value", "width", "heads", "causal", "padding", "max_length", "head_width"}
    parameters = inspect.signature(load_torch(row)).parameters
    own = {name: one.default for name, one in parameters.items() if name not in interface}
    assert own == dict(row.options)


@pytest.mark.parametrize("row", ARCHITECTURES, ids=lambda row: row.name)
def test_models_are_built_by_functions_of_both_frameworks(row) -> None:
    assert set(row.targets) == {"torch", "keras"}
    assert callable(load_torch(row))
    torch_name, keras_name = (row.targets[framework].split(":")[1] for framework in ("torch", "keras"))
    assert torch_name == keras_name == f"build_{row.name}"
