"""For every test: shapes in signatures are enforced, the stand-in engine is importable as `engine`, and the
made-up run of the golden report is there for whoever writes another."""

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import jaxtyping
import pytest

# TensorFlow fixes its threads at its first call, whichever test makes it: as many as tests open Keras with.
os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"

# Before any test imports the code, whatever the order of collection.
jaxtyping.install_import_hook(
    ["implementations.on_torch", "implementations.on_keras.linear"], "beartype.beartype"
)

for folder in ("standin", "unit", "golden"):
    sys.path.append(str(Path(__file__).parent / folder))


@pytest.fixture(scope="session")
def make_run() -> Any:
    """The module that writes a made-up run."""
    return importlib.import_module("make_run")
