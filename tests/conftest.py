"""For every test: shapes in signatures are enforced, and the stand-in engine is importable as `engine`."""

import os
import sys
from pathlib import Path

import jaxtyping

# TensorFlow fixes its threads at its first call, whichever test makes it: as many as tests open Keras with.
os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"

# Before any test imports the code, whatever the order of collection.
jaxtyping.install_import_hook(
    ["implementations.on_torch", "implementations.on_keras.linear"], "beartype.beartype"
)

for folder in ("standin", "unit"):
    sys.path.append(str(Path(__file__).parent / folder))
