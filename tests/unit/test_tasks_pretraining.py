"""The texts to learn the language from: none that is tested on, in the words of one vocabulary."""

import dataclasses
import functools

import numpy as np
import pytest

from bench.schema import Task
from suites.learning.training import without_validation
from suites.tasks import pretraining, sentiment
from suites.tasks.data import held_out
from suites.tasks.pretraining import PretrainingData, cut, load, unlabelled
from suites.tasks.rows_transfer import PRETRAINING, TRANSFER
from suites.tasks.texts import TEST_SHARE, content_key
from suites.transferring.pretraining import masked_sides

REVIEWS = 40
TASK = dataclasses.replace(
    PRETRAINING,
    max_length=32,
    batch=16,
    steps=20,
    settings={**PRETRAINING.settings, "unlabelled_reviews": REVIEWS},
)


@functools.cache
def data() -> PretrainingData:
    return load(TASK)


def test_labelled_sides_are_those_of_the_sentiment_task() -> None:
    plain = sentiment.load(dataclasses.replace(TASK, settings={}))
    assert data().train_texts == plain.train_texts
    assert data().test_texts == plain.test_texts
    np.testing.assert_array_equal(data().test_targets, plain.test_targets)


def test_no_text_that_is_tested_on_is_learnt_from() -> None:
    reviews = unlabelled(TASK, data().test_texts)
    keys = set(map(content_key, reviews))
    assert len(reviews) == len(keys) == REVIEWS
    assert not keys & set(map(content_key, data().test_texts))
    assert not any(held_out(key, TEST_SHARE) for key in keys)


def test_a_copy_of_a_test_text_is_left_out_and_so_are_held_out_and_repeated_reviews(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbered = [f"review number {number}" for number in range(200)]
    on_train, on_test = (
        [text for text in numbered if held_out(content_key(text), TEST_SHARE) is held]
        for held in (False, True)
    )
    assert len(on_test) > 20
    copies = [text.upper() + " !" for text in on_train[:3]]
    found = [*numbered, *copies, on_train[5] + "."]
    monkeypatch.setattr(pretraining, "_from_packages", lambda: found)
    kept = unlabelled(dataclasses.replace(TASK, settings={}), on_train[3:5])
    keys = [content_key(text) for text in kept]
    expected = {content_key(text) for text in on_train} - {content_key(text) for text in on_train[3:5]}
    assert len(keys) == len(expected) and set(keys) == expected


def test_masked_texts_are_training_texts_without_test_and_validation_examples() -> None:
    task = dataclasses.replace(TASK, steps=600)
    train, _ = masked_sides(data(), task, seed=0)
    tokens, _, places = train.train_inputs
    # With the words back in their places, each text must be one of those that may be read.
    back = tokens.copy()
    row, column = np.nonzero(train.train_targets >= 0)
    back[row, places[row, column]] = train.train_targets[row, column]
    rest, validation = without_validation(data())
    allowed = {text.tobytes() for text in (*rest.train_inputs[0], *data().unlabelled)}
    read = {text.tobytes() for text in back}
    assert read <= allowed
    # Snippets of which a long copy stands on another side would be found there; short ones may be alike.
    held = {text.tobytes() for side in (data(), validation) for text in side.test_inputs[0]}
    assert len(held) > 1500 and not (read & held) - {t.tobytes() for t in rest.train_inputs[0]}


def test_the_mask_is_the_last_number_and_no_text_has_it() -> None:
    words = data().words
    assert words.mask == data().settings["vocabulary"] - 1 == words.last + 1
    assert words.last == len(data().vocabulary) + 1
    for tokens in (data().train_inputs[0], data().test_inputs[0], data().unlabelled):
        assert tokens.max() <= words.last


def test_reviews_are_cut_into_stretches_without_a_short_rest() -> None:
    text = " ".join(f"w{number}" for number in range(45))
    assert [stretch.split() for stretch in cut([text], 20)] == [
        [f"w{number}" for number in range(start, start + 20)] for start in (0, 20)
    ]
    assert len(list(cut([text], 18))) == 3
    assert list(cut(["one two"], 2)) == ["one two"]


def test_settings_of_the_loader_do_not_reach_the_model() -> None:
    assert set(data().settings) == {"layers", "vocabulary", "classes"}


@pytest.mark.parametrize("profile", TRANSFER)
def test_rows_say_which_experiment_they_are(profile: str) -> None:
    def experiment(task: Task) -> object:
        return task.settings["experiment"]

    assert [task.name for task in TRANSFER[profile]] == [experiment(task) for task in TRANSFER[profile]]
