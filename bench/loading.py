"""What stands behind ``"module:Name"`` or ``"path/to/file.py:name"``, with errors a newcomer can read."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType


class LoadError(Exception):
    """A target that cannot be loaded; the message says what was wrong and what was expected."""


def did_you_mean(name: str, known: list[str]) -> str:
    """`` (did you mean …?)`` where something close exists, otherwise nothing."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


def split_target(target: str) -> tuple[str, str]:
    """The module or file and the name; raises LoadError when `target` has no colon."""
    place, colon, name = target.rpartition(":")
    if not colon or not place or not name:
        raise LoadError(f"{target!r} must have the form module:Name or path/to/file.py:name")
    return place, name


def is_file_target(target: str) -> bool:
    """Whether the part before the name is a Python file rather than a module."""
    return split_target(target)[0].endswith(".py")


def _load_file(place: str) -> ModuleType:
    path = Path(place).expanduser().resolve()
    if not path.is_file():
        raise LoadError(f"there is no file {place}")
    # A user's file may import its neighbours, as it could if it were run as a script.
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    name = f"attnbench_target_{path.stem}"
    if name in sys.modules and getattr(sys.modules[name], "__file__", None) == str(path):
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise LoadError(f"{place} is not a Python file that can be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _load_module(place: str) -> ModuleType:
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        # Only the module itself missing is the user's spelling; one that it imports is its own affair.
        if error.name is not None and (place == error.name or place.startswith(error.name + ".")):
            raise LoadError(f"there is no module {place!r} in this Python environment or folder") from error
        raise


def load(target: str) -> object:
    """The object that `target` names.

    Raises LoadError when there is no such file, module or name; whatever the imported code raises
    passes through.
    """
    place, name = split_target(target)
    module = _load_file(place) if is_file_target(target) else _load_module(place)
    found: object = module
    for part in name.split("."):
        if not hasattr(found, part):
            public = sorted(known for known in vars(module) if not known.startswith("_"))
            raise LoadError(
                f"{place} has no {name!r}{did_you_mean(name, public)}; it defines {', '.join(public[:12])}"
            )
        found = getattr(found, part)
    return found
