"""What all generated tasks promise: the same data for the same seed, sides that share no sequence, a hash."""

import dataclasses
import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.loading import load
from bench.schema import Option, Task
from suites.framework import NOT_SCORED
from suites.tasks import generated
from suites.tasks.data import TaskData

OF_SEQUENCES = ("mqar", "induction", "copying", "selective_copying", "sorting", "needle")
OF_CLASSES = ("parity", "listops")
SMALL: dict[str, Option] = {"train_examples": 211, "test_examples": 97}
SETTINGS: dict[str, dict[str, Option]] = {
    "mqar": {"pairs": 3, "vocabulary_size": 41},
    "selective_copying": {"memorised": 5},
    "listops": {"min_length": 5},
    "needle": {"facts": 3},
    "parity": {"shortest": 13},
}
HASHES = {
    "mqar": "7888e5b3ef47991b",
    "induction": "6af014e3e9c0fd6e",
    "copying": "9c8f288d5316ed5d",
    "selective_copying": "ac41d9b70fa42fca",
    "sorting": "0977ff4335f493eb",
    "needle": "98e372193cd2730d",
    "parity": "2ffc98e16a95721a",
    "listops": "7441d838c0e12169",
}


def task(name: str, **settings: Option) -> Task:
    return Task(
        name=name,
        title="",
        architecture="text_classifier" if name in OF_CLASSES else "causal_lm",
        target=f"suites.tasks.{name}:load",
        metric="accuracy",
        width=8,
        heads=2,
        max_length=32,
        batch=7,
        steps=3,
        learning_rates=(0.001,),
        causal=name in OF_SEQUENCES,
        settings={"layers": 1, **SMALL, **SETTINGS.get(name, {}), **settings},
    )


@functools.cache
def loaded(name: str) -> TaskData:
    data: TaskData = load(f"suites.tasks.{name}:load")(task(name))
    return data


def rows(tokens: np.ndarray) -> set[bytes]:
    return {row.tobytes() for row in tokens}


everyone = pytest.mark.parametrize("name", [*OF_SEQUENCES, *OF_CLASSES])


@everyone
def test_no_sequence_is_there_twice_on_one_side_or_on_both(name: str) -> None:
    data = loaded(name)
    train, test = rows(data.train_inputs[0]), rows(data.test_inputs[0])
    assert (len(train), len(test)) == (211, 97) == (len(data.train_targets), len(data.test_targets))
    assert not train & test


@everyone
def test_the_hash_is_the_pinned_one(name: str) -> None:
    # These change when the sequences do, and then FORMAT has to go up: no result can be held against an
    # older one.
    source = loaded(name).source
    assert source.sha256[:16] == HASHES[name]
    assert source.name.startswith("generated: ")
    assert source.version == generated.FORMAT == "1"
    assert source.origin == f"suites.tasks.{name}, data seed 0"


@everyone
def test_the_data_depends_on_its_own_seed_alone(name: str) -> None:
    np.random.default_rng(0)
    again, other = (load(f"suites.tasks.{name}:load")(task(name, data_seed=seed)) for seed in (0, 1))
    assert again.source.sha256 == loaded(name).source.sha256 != other.source.sha256
    assert not np.array_equal(again.test_inputs[0], other.test_inputs[0])


@everyone
def test_the_test_side_stays_the_same_whatever_is_trained_on(name: str) -> None:
    fewer = load(f"suites.tasks.{name}:load")(task(name, train_examples=7))
    np.testing.assert_array_equal(fewer.test_inputs[0], loaded(name).test_inputs[0])
    np.testing.assert_array_equal(fewer.test_targets, loaded(name).test_targets)
    assert len(fewer.train_targets) == 7


@everyone
def test_tokens_and_targets_are_what_the_model_knows(name: str) -> None:
    data = loaded(name)
    vocabulary = data.settings["vocabulary"]
    assert isinstance(vocabulary, int)
    for tokens in (data.train_inputs[0], data.test_inputs[0]):
        assert tokens.min() >= 0 and tokens.max() < vocabulary
        assert tokens.shape[1] <= 32
    if name in OF_CLASSES:
        assert set(np.unique(data.train_targets)) <= set(range(int(data.settings["classes"])))
        np.testing.assert_array_equal(data.train_inputs[1], data.train_inputs[0] != 0)
    else:
        assert data.train_targets.shape == data.train_inputs[0].shape
        assert (data.train_targets != NOT_SCORED).any(axis=1).all()
        assert data.train_targets.min() == NOT_SCORED and data.train_targets.max() < vocabulary


@everyone
def test_settings_about_the_data_do_not_reach_the_architecture(name: str) -> None:
    expected = {"layers", "vocabulary"} | ({"classes"} if name in OF_CLASSES else set())
    assert set(loaded(name).settings) == expected


@everyone
@pytest.mark.parametrize("seed", [-1, True, "many", 1.5])
def test_a_seed_must_be_a_whole_number(name: str, seed: Option) -> None:
    with pytest.raises(ValueError, match=f"{name}: data_seed must be a whole number of at least 0"):
        load(f"suites.tasks.{name}:load")(task(name, data_seed=seed))


def test_more_sequences_than_there_are_cannot_be_drawn() -> None:
    four_bits = dataclasses.replace(task("parity"), settings={"longest": 4, "test_examples": 9})
    with pytest.raises(ValueError, match=r"10000 different sequences were asked for, but only 7 were found"):
        load("suites.tasks.parity:load")(four_bits)


@given(
    examples=st.integers(1, 29), choices=st.integers(1, 17), count=st.integers(0, 17), seed=st.integers(0, 99)
)
def test_distinct_numbers_are_distinct_and_in_range(
    examples: int, choices: int, count: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    if count > choices:
        with pytest.raises(ValueError, match=f"{count} different ones cannot be drawn out of {choices}"):
            generated.draw_distinct(generator, examples, choices, count)
        return
    drawn = generated.draw_distinct(generator, examples, choices, count)
    assert drawn.shape == (examples, count)
    assert all(len(set(row)) == count and set(row) <= set(range(choices)) for row in drawn.tolist())


def test_every_ordered_choice_is_equally_likely() -> None:
    drawn = generated.draw_distinct(np.random.default_rng(0), 24_000, 4, 2)
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    # Twelve ordered pairs, 2,000 each; five standard deviations are 214.
    assert len(counts) == 12
    assert np.abs(counts - 2000).max() < 214


def test_a_guess_is_worth_one_in_the_number_of_choices_and_whole_answers_much_less() -> None:
    data = loaded("mqar")
    guess = generated.guesses(data, 5)
    np.testing.assert_allclose(guess["accuracy"], 1 / 5)
    np.testing.assert_allclose(guess["exact"], 5.0**-3)
    assert set(generated.guesses(loaded("parity"), 2)) == {"accuracy"}
