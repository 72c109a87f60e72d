"""Multi-query associative recall: the sequences against a slow reading of the definition, and chance."""

import dataclasses
import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.schema import Option, Task
from suites.framework import NOT_SCORED
from suites.tasks.data import TaskData
from suites.tasks.mqar import Recall, guess_among_shown, load, most_frequent_value, uniform_guess

TASK = Task(
    name="mqar",
    title="",
    architecture="causal_lm",
    target="suites.tasks.mqar:load",
    metric="accuracy",
    width=8,
    heads=2,
    max_length=64,
    batch=7,
    steps=3,
    learning_rates=(0.001,),
    causal=True,
    settings={"vocabulary_size": 64, "train_examples": 1009, "test_examples": 997},
)


def with_settings(**own: Option) -> Task:
    return dataclasses.replace(TASK, settings={**TASK.settings, **own})


@functools.cache
def recall() -> TaskData:
    return load(TASK)


def answered(tokens: list[int], vocabulary: int) -> list[int]:
    """The targets from the sequence alone: pairs are read while a key is followed by a value, and after them
    every key asks."""
    keys, values = range(1, vocabulary // 2), range(vocabulary // 2, vocabulary)
    told: dict[int, int] = {}
    place = 0
    while place + 1 < len(tokens) and tokens[place] in keys and tokens[place + 1] in values:
        told[tokens[place]] = tokens[place + 1]
        place += 2
    asked = [told[token] if token in keys else NOT_SCORED for token in tokens[place:]]
    return [NOT_SCORED] * place + asked


def test_the_answers_follow_from_the_sequence_alone() -> None:
    data = recall()
    for tokens, targets in zip(data.test_inputs[0].tolist(), data.test_targets.tolist(), strict=True):
        assert targets == answered(tokens, 64)


@settings(deadline=None)
@given(
    pairs=st.integers(1, 11),
    spare=st.integers(0, 23),
    extra=st.integers(0, 13),
    alpha=st.floats(0.01, 1.0),
    seed=st.integers(0, 99),
)
def test_every_sequence_has_its_pairs_first_and_asks_for_each_key_once_at_even_slots(
    pairs: int, spare: int, extra: int, alpha: float, seed: int
) -> None:
    vocabulary = 2 * pairs + 2 + extra
    drawn = Recall(
        length=4 * pairs + spare, pairs=pairs, vocabulary=vocabulary, alpha=alpha, filler="blank"
    ).draw(np.random.default_rng(seed), 5)
    for tokens, targets in zip(*(array.tolist() for array in drawn), strict=True):
        assert targets == answered(tokens, vocabulary)
        keys, values = tokens[: 2 * pairs : 2], tokens[1 : 2 * pairs : 2]
        assert len(set(keys)) == len(set(values)) == pairs
        places = [place for place, target in enumerate(targets) if target != NOT_SCORED]
        assert sorted(tokens[place] for place in places) == sorted(keys)
        assert all((place - 2 * pairs) % 2 == 0 for place in places)


def test_random_filler_changes_what_is_blank_and_nothing_else() -> None:
    blank, filled = (
        Recall(length=29, pairs=3, vocabulary=41, alpha=0.1, filler=filler).draw(
            np.random.default_rng(7), 101
        )
        for filler in ("blank", "random")
    )
    np.testing.assert_array_equal(blank[1], filled[1])
    told = blank[0] != 0
    np.testing.assert_array_equal(blank[0][told], filled[0][told])
    assert len(np.unique(filled[0][~told])) == 41


def test_gaps_follow_the_power_law() -> None:
    # The first key is the first drawn, so its slot has the law itself: p_g in proportion to g^(alpha - 1).
    alpha, examples = 0.3, 40_000
    drawn, _ = Recall(length=32, pairs=4, vocabulary=64, alpha=alpha, filler="blank").draw(
        np.random.default_rng(0), examples
    )
    asked = (drawn[:, 8:] == drawn[:, :1]).argmax(axis=1) // 2
    law = np.array([slot ** (alpha - 1) for slot in range(1, 13)])
    law /= law.sum()
    seen = np.bincount(asked, minlength=12) / examples
    assert np.abs(seen - law).max() < 5 * np.sqrt(0.25 / examples)
    assert law[0] > 4 * law[-1]


def test_later_keys_have_the_slots_that_are_left() -> None:
    # Two slots, two keys: the second has the one that the first has not.
    alpha, examples = 0.2, 40_000
    drawn, _ = Recall(length=8, pairs=2, vocabulary=64, alpha=alpha, filler="blank").draw(
        np.random.default_rng(0), examples
    )
    assert (drawn[:, 4] == drawn[:, 0]).mean() == pytest.approx(1 / (1 + 2 ** (alpha - 1)), abs=0.0125)
    assert ((drawn[:, 4] == drawn[:, 0]) ^ (drawn[:, 4] == drawn[:, 2])).all()


def test_baselines_are_at_the_levels_of_chance() -> None:
    data = recall()
    np.testing.assert_allclose(uniform_guess(data)["accuracy"], 1 / 32)
    np.testing.assert_allclose(guess_among_shown(data)["accuracy"], 1 / 4)
    np.testing.assert_allclose(guess_among_shown(data)["exact"], 1 / 256)
    frequent = most_frequent_value(data)
    # 3,988 queries: five standard deviations around 1/32 are 0.014.
    assert frequent["accuracy"].mean() == pytest.approx(1 / 32, abs=0.014)
    assert not frequent["exact"].any()
    assert len(frequent["accuracy"]) == 997


def test_a_measurement_tells_the_tasks_axes() -> None:
    details = load(with_settings(pairs=8, alpha=0.1)).details()
    assert (details["length"], details["pairs"], details["vocabulary_size"]) == ("64", "8", "64")
    assert (details["alpha"], details["filler"]) == ("0.1", "blank")


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"pairs": 17}, "17 pairs and their queries take 68 tokens, got length 64"),
        ({"pairs": 16, "vocabulary_size": 33}, "16 different keys need a vocabulary_size of 34, got 33"),
        ({"length": 65}, "length must be at most max_length = 64, got 65"),
        ({"alpha": 0}, "alpha must be above 0 and at most 1"),
        ({"alpha": "far"}, "alpha must be above 0 and at most 1"),
        ({"filler": "noise"}, "filler must be blank or random, got 'noise'"),
    ],
)
def test_settings_that_do_not_fit_are_refused(own: dict[str, Option], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(with_settings(**own))
