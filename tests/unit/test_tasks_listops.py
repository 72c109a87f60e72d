"""ListOps: values against an evaluator of its own, and the distribution of expressions."""

import dataclasses
import functools
import statistics

import numpy as np
import pytest

from bench.schema import Option, Task
from suites.tasks.data import TaskData
from suites.tasks.listops import (
    CLOSE,
    FIRST_DIGIT,
    FIRST_OPERATION,
    OPERATIONS,
    ListOps,
    bag_of_tokens,
    load,
    majority,
    write,
)

TASK = Task(
    name="listops",
    title="",
    architecture="text_classifier",
    target="suites.tasks.listops:load",
    metric="accuracy",
    width=8,
    heads=2,
    max_length=60,
    batch=7,
    steps=3,
    learning_rates=(0.001,),
    settings={"min_length": 9, "train_examples": 1009, "test_examples": 499},
)
OF_LONG_RANGE_ARENA = ListOps(shortest=501, longest=1999, depth=10, arguments=10)


def with_settings(max_length: int = 60, **own: Option) -> Task:
    return dataclasses.replace(TASK, max_length=max_length, settings={**TASK.settings, **own})


@functools.cache
def expressions() -> TaskData:
    return load(TASK)


def spelt(tokens: list[int]) -> list[str]:
    words = {0: "", CLOSE: "]"}
    words |= {FIRST_DIGIT + digit: str(digit) for digit in range(10)}
    words |= {FIRST_OPERATION + place: f"[{name}" for place, name in enumerate(OPERATIONS)}
    return [words[token] for token in tokens if token]


def evaluated(words: list[str]) -> tuple[int, int, int]:
    """The value, the depth and the largest number of arguments, with a stack."""
    arguments: list[list[int]] = [[]]
    names: list[str] = []
    deepest = most = 1
    for word in words:
        if word.startswith("["):
            names.append(word[1:])
            arguments.append([])
            deepest = max(deepest, len(names) + 1)
        elif word == "]":
            inner = arguments.pop()
            assert len(inner) >= 2
            most = max(most, len(inner))
            results = {
                "MIN": min(inner),
                "MAX": max(inner),
                "MED": int(statistics.median(inner)),
                "SM": sum(inner) % 10,
            }
            arguments[-1].append(results[names.pop()])
        else:
            arguments[-1].append(int(word))
    assert not names and len(arguments) == 1
    (value,) = arguments[0]
    return value, deepest, most


def test_the_evaluator_reads_the_papers_example() -> None:
    for text, value, depth, most in (
        ("[MAX 2 9 [MIN 4 7 ] 0 ]", 9, 3, 4),
        ("[MED 1 4 9 8 ]", 6, 2, 4),
        ("[SM 7 8 [MED 2 3 ] ]", 7, 3, 3),
    ):
        assert evaluated(text.split()) == (value, depth, most)


def test_every_label_is_the_value_of_its_expression() -> None:
    data = expressions()
    for tokens, label in zip(data.test_inputs[0].tolist(), data.test_targets.tolist(), strict=True):
        words = spelt(tokens)
        assert evaluated(words)[0] == label
        assert 9 < len(words) < 60
        assert tokens[: len(words)] == [token for token in tokens if token]
    assert data.test_inputs[0].shape == (499, 59)


def test_depth_and_arguments_stay_within_their_bounds_and_reach_them() -> None:
    data = load(with_settings(depth=4, arguments=3))
    bounds = [evaluated(spelt(tokens))[1:] for tokens in data.train_inputs[0].tolist()]
    assert max(depth for depth, _ in bounds) == 4
    assert max(most for _, most in bounds) == 3


def test_long_expressions_of_long_range_arena_are_whole_and_right() -> None:
    tokens, labels = OF_LONG_RANGE_ARENA.draw(np.random.default_rng(0), 53)
    assert tokens.shape == (53, 1999)
    found = [(len(words := spelt(row)), *evaluated(words)) for row in tokens.tolist()]
    assert [value for _, value, _, _ in found] == labels.tolist()
    assert all(500 < length < 2000 for length, *_ in found)
    assert {depth for *_, depth, _ in found} == {10}
    assert {most for *_, most in found} == {10}


def one_by_one(generator: np.random.Generator, depth: int = 1) -> tuple[int, int, list[str]]:
    """A tree as the definition has it, by recursion: its length, its depth and its words."""
    if depth == 10 or generator.random() >= 0.25:
        return 1, depth, [str(generator.integers(10))]
    children = [one_by_one(generator, depth + 1) for _ in range(generator.integers(2, 11))]
    words = [f"[{OPERATIONS[generator.integers(4)]}", *(word for child in children for word in child[2]), "]"]
    return 2 + sum(child[0] for child in children), max(child[1] for child in children), words


def test_trees_are_distributed_as_those_that_are_drawn_one_by_one() -> None:
    layers = OF_LONG_RANGE_ARENA.grow(np.random.default_rng(0), 20_000)
    generator = np.random.default_rng(1)
    slow = [one_by_one(generator) for _ in range(2_000)]
    lengths = np.array([length for length, _, _ in slow])
    for most in (1, 8, 50, 500, 2000):
        seen, expected = (layers[0].lengths <= most).mean(), (lengths <= most).mean()
        # Five standard deviations of a share out of 2,000.
        assert seen == pytest.approx(expected, abs=5 * np.sqrt(0.25 / 2000)), most
    assert (layers[0].lengths == 1).mean() == pytest.approx(0.75, abs=0.02)


def test_lengths_are_those_of_what_is_written() -> None:
    shallow = dataclasses.replace(OF_LONG_RANGE_ARENA, depth=4)
    layers = shallow.grow(np.random.default_rng(3), 503)
    written = write(layers, int(layers[0].lengths.max()))
    np.testing.assert_array_equal((written != 0).sum(axis=1), layers[0].lengths)
    assert [evaluated(spelt(row))[0] for row in written.tolist()] == layers[0].values.tolist()


def test_baselines_lie_between_chance_and_the_whole_truth() -> None:
    data = expressions()
    most, counted = majority(data)["accuracy"], bag_of_tokens(data)["accuracy"]
    answer = np.bincount(data.train_targets).argmax()
    assert most.mean() == pytest.approx((data.test_targets == answer).mean())
    # MIN and MAX make 0 and 9 likely; a logistic regression sees which operation is outermost.
    assert 0.1 < most.mean() < counted.mean() < 0.9
    assert set(counted) <= {0.0, 1.0} and len(counted) == 499


def test_settings_between_which_no_expression_lies_are_refused() -> None:
    with pytest.raises(ValueError, match="min_length must be below max_length - 1 = 59, got 59"):
        load(with_settings(min_length=59))
