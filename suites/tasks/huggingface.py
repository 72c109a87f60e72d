"""Canonical data sets through Hugging Face `datasets`, for those who have the internet or a local copy."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.schema import Task
from suites.tasks.data import DataMissing, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """The published training and test rows, as `datasets` hands them over, and where they came from.

    `classes` are the names of the classes that a column of labels declares, by column.
    """

    train: Sequence[dict[str, Any]]
    test: Sequence[dict[str, Any]]
    name: str
    version: str
    licence: str
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def source(self, sha256: str) -> Source:
        """The source, given the hash of the rows."""
        return Source(
            name=f"{self.name} (Hugging Face datasets)",
            version=self.version,
            sha256=sha256,
            licence=self.licence,
            origin=f"https://huggingface.co/datasets/{self.name}",
        )


def load_splits(
    task: Task, canonical: str, columns: Iterable[str], configuration: str = "", otherwise: str = ""
) -> Splits:
    """The data set `canonical`, or the one (or the local folder) in the setting ``huggingface_name``.

    `configuration` names the canonical data set's part that is meant, where it has several; `otherwise` says
    where else the task's data can be had from.

    Raises:
        DataMissing: `datasets` is not installed, the data set cannot be reached, or it lacks a split or
            a column that the task reads.
    """
    name = str(task.settings.get("huggingface_name", canonical))
    if importlib.util.find_spec("datasets") is None:
        raise DataMissing("Hugging Face datasets is not installed: pip install attnbench[data]")
    library: Any = importlib.import_module("datasets")
    try:
        part = (configuration,) if configuration and name == canonical else ()
        loaded = library.load_dataset(name, *part)
    except OSError as error:
        # Unreachable, offline and unknown data sets all come as kinds of OSError.
        otherwise = otherwise or ("leave source at 'packages'" if "source" in task.settings else "")
        elsewhere = f", or {otherwise}" if otherwise else ""
        raise DataMissing(
            f"the data set {name!r} cannot be had from Hugging Face ({error}): check the name and the"
            f" internet connection, set huggingface_name to a local folder{elsewhere}"
        ) from error
    lacking = {"train", "test"} - set(loaded)
    if lacking:
        raise DataMissing(f"the data set {name!r} has no split {sorted(lacking)}; it has {sorted(loaded)}")
    missing = set(columns) - set(loaded["train"].column_names)
    if missing:
        found = loaded["train"].column_names
        raise DataMissing(f"the data set {name!r} has no column {sorted(missing)}; it has {sorted(found)}")
    info = loaded["train"].info
    return Splits(
        train=loaded["train"],
        test=loaded["test"],
        name=name,
        version=_revision(info) or str(info.version),
        licence=info.license or "as stated on the data set's page",
        classes=_classes(loaded["train"].features),
    )


def _classes(features: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The class names of columns that hold a label (``ClassLabel``) or a list of labels."""
    kinds = {column: getattr(kind, "feature", kind) for column, kind in features.items()}
    return {column: tuple(kind.names) for column, kind in kinds.items() if getattr(kind, "names", None)}


def _revision(info: Any) -> str:
    """The commit that the files were taken from, which stands in their addresses (``…@commit/…``)."""
    for address in info.download_checksums or {}:
        _, _, rest = str(address).partition("@")
        if rest:
            return rest.partition("/")[0]
    return ""
