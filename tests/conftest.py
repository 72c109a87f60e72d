"""For every test: shapes in signatures are enforced, and the stand-in engine is importable as `engine`."""

import sys
from pathlib import Path

import jaxtyping

# Before any test imports the code, whatever the order of collection.
jaxtyping.install_import_hook(
    ["implementations.on_torch", "implementations.on_keras.linear"], "beartype.beartype"
)

for folder in ("standin", "unit"):
    sys.path.append(str(Path(__file__).parent / folder))
