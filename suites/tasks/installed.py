"""Data files inside installed packages, read without importing the package.

An import may be slow, print, or parse everything; a file's place is known from the package's metadata.
"""

from __future__ import annotations

from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from suites.tasks.data import DataMissing

REMEDY = "pip install attnbench[data]"


def installed(name: str, remedy: str = REMEDY) -> Distribution:
    """The installed distribution; raises DataMissing, which says what to install."""
    try:
        return distribution(name)
    except PackageNotFoundError as error:
        raise DataMissing(
            f"the package {name}, which carries this task's data, is not installed: {remedy}"
        ) from error


def data_file(package: Distribution, path: str, remedy: str = REMEDY) -> Path:
    """A file that the package carries; raises DataMissing when this version of it does not."""
    found = Path(str(package.locate_file(path)))
    if not found.is_file():
        raise DataMissing(
            f"{package.name} {package.version} is installed without {path}, which this task reads:"
            f" {remedy} with the versions of the project's constraints file"
        )
    return found
