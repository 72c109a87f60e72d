"""Texts through Hugging Face: emotions, documents and topics from local folders, as `datasets` reads them."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bench.loading import load as load_target
from bench.schema import Option, Task
from suites.tasks import emotion, go_emotions, huggingface
from suites.tasks.data import DataMissing, TaskData
from suites.tasks.rows_text import DOCUMENTS, EMOTION, GO_EMOTIONS, TOPICS

# `datasets` leaves the CSV files that it reads to the garbage collector to close.
reads_csv = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

Rows = Mapping[str, Sequence[object]]


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    library: Any = pytest.importorskip("datasets")
    monkeypatch.setattr(library.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    library.disable_progress_bars()
    return library


@pytest.fixture
def folder(datasets: ModuleType, tmp_path: Path) -> Callable[..., Path]:
    """A folder of one Parquet or CSV file a split, labels named by `features` if given."""

    def write(suffix: str = "parquet", features: object = None, **splits: Rows) -> Path:
        path = tmp_path / "copy"
        path.mkdir()
        for name, rows in splits.items():
            made = datasets.Dataset.from_dict(dict(rows), features=features)
            (made.to_parquet if suffix == "parquet" else made.to_csv)(path / f"{name}.{suffix}")
        return path

    return write


def loaded(task: Task, path: Path, **more: Option) -> TaskData:
    row = dataclasses.replace(task, settings={**task.settings, "huggingface_name": str(path), **more})
    data: TaskData = load_target(row.target)(row)  # type: ignore[operator]
    return data


def messages(prefix: str, count: int) -> list[str]:
    return [f"{prefix} message number {number}" for number in range(count)]


@reads_csv
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_emotions_keep_their_published_sides_and_lose_training_copies(
    suffix: str, folder: Callable[..., Path]
) -> None:
    path = folder(
        suffix,
        train={"text": [*messages("train", 11), "Seen , TWICE"], "label": [0, 1, 2, 3, 4, 5] * 2},
        test={"text": [*messages("test", 4), "seen twice"], "label": [5, 4, 3, 2, 1]},
        validation={"text": messages("validation", 3), "label": [0, 1, 2]},
    )
    data = loaded(EMOTION, path)
    assert sorted(data.train_texts) == sorted(messages("train", 11))
    assert sorted(data.test_texts) == [*sorted([*messages("test", 4), "seen twice"])]
    assert data.classes == emotion.CLASSES and data.settings["classes"] == 6
    assert (data.counts["texts_read"], data.counts["left_out_of_training"]) == (17, 1)
    assert data.source.name == f"{path} (Hugging Face datasets)"
    assert not {"huggingface_name", "source"} & set(data.settings)


def test_names_of_classes_are_the_data_sets_own_where_it_has_any(
    datasets: Any, folder: Callable[..., Path]
) -> None:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["low", "high"])}
    )
    path = folder(
        features=features,
        train={"text": messages("train", 4), "label": [0, 1, 0, 1]},
        test={"text": messages("test", 2), "label": [0, 1]},
    )
    assert loaded(EMOTION, path).classes == ("low", "high")


def test_classes_beyond_the_known_names_are_called_by_their_numbers(folder: Callable[..., Path]) -> None:
    path = folder(
        train={"text": messages("train", 3), "label": [0, 1, 6]},
        test={"text": messages("test", 2), "label": [0, 1]},
    )
    assert loaded(EMOTION, path).classes == tuple("0123456")


@reads_csv
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_comments_with_several_emotions_or_none_are_left_out_and_counted(
    suffix: str, datasets: Any, folder: Callable[..., Path]
) -> None:
    labels = [[27], [2, 27], [0], [], [5]]
    in_file: list[object] = list(labels) if suffix == "parquet" else list(map(str, labels))
    features = (
        datasets.Features(
            {
                "text": datasets.Value("string"),
                "labels": datasets.Sequence(datasets.ClassLabel(names=list(go_emotions.CLASSES))),
            }
        )
        if suffix == "parquet"
        else None
    )
    path = folder(
        suffix,
        features,
        train={"text": messages("train", 5), "labels": in_file},
        test={"text": messages("test", 5), "labels": in_file},
    )
    data = loaded(GO_EMOTIONS, path)
    assert sorted(data.train_targets.tolist()) == sorted(data.test_targets.tolist()) == [0, 5, 27]
    assert data.counts["rows_without_a_single_class"] == 4
    assert data.classes == go_emotions.CLASSES and len(set(go_emotions.CLASSES)) == 28
    assert [go_emotions.CLASSES[number] for number in (0, 5, 27)] == ["admiration", "caring", "neutral"]


def test_a_class_below_0_is_refused_with_its_row(folder: Callable[..., Path]) -> None:
    path = folder(
        train={"text": messages("train", 3), "label": [0, 1, 1]},
        test={"text": messages("test", 3), "label": [0, 1, -1]},
    )
    with pytest.raises(DataMissing, match=r"row 3: there must be a text and the number of its class"):
        loaded(EMOTION, path)


def test_a_side_without_a_row_of_one_class_is_refused(folder: Callable[..., Path]) -> None:
    path = folder(
        train={"text": messages("train", 2), "labels": [[0], [1]]},
        test={"text": messages("test", 1), "labels": [[0, 1]]},
    )
    with pytest.raises(DataMissing, match="2 training and 0 test rows with a single labels"):
        loaded(GO_EMOTIONS, path)


@pytest.mark.parametrize(
    ("task", "source", "cut"), [(DOCUMENTS, "huggingface", "train_texts_cut"), (TOPICS, "huggingface", "")]
)
def test_documents_and_topics_come_from_hugging_face_where_the_source_says_so(
    task: Task, source: str, cut: str, folder: Callable[..., Path]
) -> None:
    path = folder(
        train={"text": messages("train", 6), "label": [0, 1] * 3},
        test={"text": messages("test", 4), "label": [0, 1] * 2},
    )
    data = loaded(task, path, source=source)
    assert (len(data.train_targets), len(data.test_targets)) == (6, 4)
    assert data.source.name.endswith("(Hugging Face datasets)")
    assert not cut or data.counts[cut] == 0


@pytest.mark.parametrize(
    ("task", "asked"),
    [
        (EMOTION, ("dair-ai/emotion", "split")),
        (GO_EMOTIONS, ("google-research-datasets/go_emotions", "simplified")),
    ],
)
def test_the_canonical_name_and_part_are_asked_for_and_no_package_stands_in(
    task: Task, asked: tuple[str, str], datasets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, ...]] = []

    def unreachable(*names: str) -> None:
        seen.append(names)
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface.importlib.import_module("datasets"), "load_dataset", unreachable)
    with pytest.raises(DataMissing, match=r"no route.* set huggingface_name to a local folder$"):
        load_target(task.target)(task)  # type: ignore[operator]
    assert seen == [asked]
    other = dataclasses.replace(task, settings={"source": "packages"})
    with pytest.raises(ValueError, match="has data from huggingface, got source 'packages'"):
        load_target(task.target)(other)  # type: ignore[operator]
