"""Induction, copying, selective copying, sorting, parity and the needle, each against its definition."""

import functools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.loading import load
from bench.schema import Option, Task
from suites.framework import NOT_SCORED
from suites.tasks import copying, induction, needle, parity, selective_copying, sorting
from suites.tasks.data import TaskData
from suites.tasks.separated import ask


def task(name: str, max_length: int = 32, **settings: Option) -> Task:
    return Task(
        name=name,
        title="",
        architecture="text_classifier" if name == "parity" else "causal_lm",
        target=f"suites.tasks.{name}:load",
        metric="accuracy",
        width=8,
        heads=2,
        max_length=max_length,
        batch=7,
        steps=3,
        learning_rates=(0.001,),
        causal=name != "parity",
        settings={"train_examples": 503, "test_examples": 199, **settings},
    )


@functools.cache
def loaded(name: str, **settings: Option) -> TaskData:
    data: TaskData = load(f"suites.tasks.{name}:load")(task(name, **settings))
    return data


def examples_of(data: TaskData) -> Iterator[tuple[list[int], list[int]]]:
    return zip(data.test_inputs[0].tolist(), data.test_targets.tolist(), strict=True)


def test_induction_asks_for_what_came_after_the_special_token() -> None:
    for tokens, targets in examples_of(loaded("induction")):
        assert tokens.count(1) == 2 and tokens[-1] == 1
        assert targets == [NOT_SCORED] * 31 + [tokens[tokens.index(1) + 1]]
        assert 2 <= targets[-1] < 18


def test_in_induction_the_special_token_stands_anywhere() -> None:
    places = (loaded("induction").train_inputs[0] == 1).argmax(axis=1)
    assert set(places.tolist()) == set(range(30))


def answer_of(tokens: list[int], targets: list[int]) -> tuple[list[int], list[int]]:
    """The string and its answer, after checking that the answer is told one place later than it is asked."""
    end = tokens.index(1)
    string, answer = tokens[:end], targets[end : 2 * end]
    assert targets == [NOT_SCORED] * end + answer + [NOT_SCORED] * (len(tokens) - 2 * end)
    assert tokens == [*string, 1, *answer[:-1]] + [0] * (len(tokens) - 2 * end)
    return string, answer


@pytest.mark.parametrize("shortest", [5, 16])
def test_copying_asks_for_the_string_itself(shortest: int) -> None:
    lengths = set()
    for tokens, targets in examples_of(loaded("copying", shortest=shortest)):
        string, answer = answer_of(tokens, targets)
        assert answer == string
        lengths.add(len(string))
    assert lengths == set(range(shortest, 17))


@pytest.mark.parametrize("shortest", [5, 16])
def test_sorting_asks_for_the_string_in_order(shortest: int) -> None:
    lengths = set()
    for tokens, targets in examples_of(loaded("sorting", shortest=shortest)):
        string, answer = answer_of(tokens, targets)
        assert answer == sorted(string)
        lengths.add(len(string))
    assert lengths == set(range(shortest, 17))


@given(st.lists(st.lists(st.integers(2, 9), min_size=1, max_size=7), min_size=1, max_size=5))
def test_a_string_of_any_length_is_followed_by_its_answer(strings: list[list[int]]) -> None:
    longest = max(map(len, strings))
    padded = np.array([string + [0] * (longest - len(string)) for string in strings])
    reverse = np.array([string[::-1] + [0] * (longest - len(string)) for string in strings])
    tokens, targets = ask(padded, reverse, np.array(list(map(len, strings))))
    for row, asked, string in zip(tokens.tolist(), targets.tolist(), strings, strict=True):
        assert answer_of(row, asked) == (string, string[::-1])


def test_selective_copying_asks_for_the_scattered_tokens_in_their_order() -> None:
    data = loaded("selective_copying", memorised=5)
    for tokens, targets in examples_of(data):
        assert tokens[27:] == [2] * 5
        assert targets == [NOT_SCORED] * 27 + [token for token in tokens[:27] if token != 1]
    places = np.flatnonzero((data.train_inputs[0][:, :27] > 2).any(axis=0))
    assert places.tolist() == list(range(27))


@pytest.mark.parametrize("shortest", [3, 13])
def test_parity_is_whether_the_ones_are_odd_in_number(shortest: int) -> None:
    data = loaded("parity", shortest=shortest, longest=13)
    for tokens, label in examples_of(data):
        string = [token for token in tokens if token]
        assert tokens == string + [0] * (13 - len(string))
        assert shortest <= len(string)
        assert label == sum(token == 2 for token in string) % 2
    assert data.train_targets.mean() == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize("facts", [1, 4])
def test_a_needles_answer_is_the_value_of_its_key_at_the_distance_that_is_told(facts: int) -> None:
    data = loaded("needle", facts=facts)
    keys, values = range(1, 17), range(17, 33)
    distances = []
    for tokens, targets in examples_of(data):
        told = {tokens[at]: tokens[at + 1] for at in range(30) if tokens[at] in keys}
        assert len(told) == facts == len(set(told.values())) and set(told.values()) <= set(values)
        assert sum(token in keys for token in tokens) == facts + 1
        assert targets == [NOT_SCORED] * 31 + [told[tokens[-1]]]
        distances.append(31 - tokens.index(told[tokens[-1]]))
    assert distances == needle.distances_of(data.test_inputs[0]).tolist()
    seen, counts = np.unique(distances, return_counts=True)
    assert seen.tolist() == [1, 2, 4, 8, 16] and counts.min() >= 39


def test_a_needle_may_lie_at_one_distance_alone_or_at_those_that_are_named() -> None:
    one, some = loaded("needle", distance=30), loaded("needle", distances="11 3 30 3")
    assert set(needle.distances_of(one.test_inputs[0])) == {30}
    assert some.details()["distances"] == "3 11 30"
    assert set(needle.distances_of(some.test_inputs[0])) == {3, 11, 30}


class Looking:
    """In a model's place: knows the answers to needles at most `reach` away, and no other."""

    def __init__(self, reach: int) -> None:
        self.reach = reach

    def arrays(self, values: list[np.ndarray], dtype: str) -> tuple[np.ndarray, ...]:
        return tuple(values)

    def forward(self, model: object, inputs: tuple[np.ndarray, ...]) -> object:
        (tokens,) = inputs
        near = needle.distances_of(tokens) <= self.reach
        place = (tokens[:, :-1] == tokens[:, -1:]).argmax(axis=1) + 1
        outputs = np.zeros((*tokens.shape, 65))
        outputs[np.arange(len(tokens)), -1, np.where(near, tokens[np.arange(len(tokens)), place], 0)] = 1.0
        return lambda: outputs

    def output(self, value: np.ndarray) -> np.ndarray:
        return value


def test_a_needles_score_is_told_by_distance() -> None:
    data = loaded("needle")
    scores = needle.evaluate(
        Looking(reach=4),  # type: ignore[arg-type]
        None,
        data.test_inputs,
        data.test_targets,
        data,
        task("needle"),
    )
    assert scores["accuracy_by_distance"].tolist() == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert scores["accuracy"].shape == (199,)
    assert scores["accuracy"].mean() == pytest.approx(3 / 5, abs=0.01)


def test_a_distance_without_examples_has_no_number() -> None:
    data = loaded("needle")
    near = needle.distances_of(data.test_inputs[0]) < 8
    scores = needle.by_distance(
        data.test_targets[near, -1], data.test_inputs[0][near], data.test_targets[near], data
    )
    np.testing.assert_array_equal(scores["accuracy_by_distance"], [1.0, 1.0, 1.0, np.nan, np.nan])


def test_chance_is_one_in_the_number_of_answers() -> None:
    for module, name, choices in (
        (induction, "induction", 16),
        (copying, "copying", 26),
        (selective_copying, "selective_copying", 16),
        (sorting, "sorting", 32),
        (parity, "parity", 2),
        (needle, "needle", 16),
    ):
        np.testing.assert_allclose(module.uniform_guess(loaded(name))["accuracy"], 1 / choices)


def test_the_most_frequent_answer_is_about_as_good_as_a_guess() -> None:
    # 199 answers (3,184 symbols): five standard deviations around chance.
    assert needle.most_frequent_value(loaded("needle"))["accuracy"].mean() == pytest.approx(1 / 16, abs=0.086)
    assert copying.most_frequent_symbol(loaded("copying"))["accuracy"].mean() == pytest.approx(
        1 / 26, abs=0.018
    )
    assert parity.majority(loaded("parity"))["accuracy"].mean() == pytest.approx(0.5, abs=0.18)


def test_counting_knows_a_little_of_an_induction_and_the_last_number_of_a_sorting() -> None:
    counted = induction.most_frequent_shown(loaded("induction"))["accuracy"].mean()
    assert 1 / 16 < counted < 0.4
    data = loaded("sorting")
    told = sorting.last_told(data)
    by_hand = [
        np.mean(
            [
                asked == (before if before > 1 else 2)
                for before, asked in zip(tokens[16:], targets[16:], strict=True)
            ]
        )
        for tokens, targets in examples_of(data)
    ]
    np.testing.assert_allclose(told["accuracy"], by_hand)
    # Equal neighbours among 16 draws of 32 numbers.
    assert 0.2 < told["accuracy"].mean() < 0.6


@pytest.mark.parametrize(
    ("name", "own", "message"),
    [
        ("induction", {"length": 2}, "length must be 3 to max_length = 32, got 2"),
        ("copying", {"longest": 17}, "shortest <= longest <= max_length / 2 = 16 must hold"),
        ("sorting", {"shortest": 9, "longest": 8}, "must hold, got 9 and 8"),
        ("selective_copying", {"memorised": 17}, "memorised <= length .* must hold, got 17 and 15"),
        ("parity", {"longest": 33}, "shortest <= longest <= max_length = 32 must hold, got 33 and 33"),
        ("needle", {"length": 33}, "length must be at most max_length = 32, got 33"),
        (
            "needle",
            {"distances": "3 31"},
            r"distances must be 1 to length - 2 = 30, at least one; got \[31\]",
        ),
        ("needle", {"distances": "near"}, "distances must be whole numbers with spaces between, got 'near'"),
        ("needle", {"facts": 17}, "17 facts need as many keys; a vocabulary_size of 64 has 16"),
        ("needle", {"facts": 15, "length": 22}, "15 facts do not fit into length 22, 10 do"),
    ],
)
def test_settings_that_do_not_fit_are_refused(name: str, own: dict[str, Option], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(f"suites.tasks.{name}:load")(task(name, **own))
