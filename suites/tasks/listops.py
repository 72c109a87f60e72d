"""ListOps: what do nested operations on digits come to, such as ``[MAX 2 9 [MIN 4 7 ] 0 ]``?

Definition: Nangia and Bowman 2018, arXiv:1804.06028, section 2, with the parameters of Long Range Arena (Tay
and others 2020, arXiv:2011.04006): a node is an operation with probability 1/4, otherwise a digit, all
digits equally likely; below the depth of 10 all are digits. An operation is MIN, MAX, MED (the median, that
of an even number of arguments cut down to a whole number) or SM (the sum modulo 10) of 2 to 10 arguments.
Only expressions whose length in tokens (an operation's name and its closing bracket are one each) lies
between `min_length` and the model's `max_length`, neither included, are kept, each once.

Trees are drawn layer by layer, thousands at a time, which gives the same distribution as one by one.

Settings: ``min_length`` (500), ``depth`` (10), ``arguments`` (10). Long Range Arena has 96,000 training and
2,000 test examples and a `max_length` of 2,000.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.schema import Task
from suites.tasks import generated
from suites.tasks.data import TaskData
from suites.tasks.generated import PADDING

OWN_SETTINGS = frozenset({"min_length", "depth", "arguments"})
MIN_LENGTH, DEPTH, ARGUMENTS = 500, 10, 10
OPERATION_SHARE = 0.25
FEWEST_ARGUMENTS = 2
DIGITS = 10
FIRST_DIGIT, FIRST_OPERATION = 1, 11
OPERATIONS = ("MIN", "MAX", "MED", "SM")
CLOSE = FIRST_OPERATION + len(OPERATIONS)
VOCABULARY = CLOSE + 1
DIGIT = -1
"""Stands for "no operation" in a layer of nodes."""

# Trees that are drawn at once; a memory of some hundred MB at the published parameters.
TREES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """The nodes of one depth, those of one parent side by side, parents in the order of the layer above.

    `operations` are places in `OPERATIONS` or `DIGIT`, `children` how many nodes of the next layer are each
    node's, `values` what it comes to and `lengths` its tokens; all ``[nodes]``.
    """

    operations: np.ndarray
    children: np.ndarray
    values: np.ndarray
    lengths: np.ndarray

    @property
    def first_children(self) -> np.ndarray:
        """Where in the next layer the children of each operation begin, ``[operations]``."""
        counts = self.children[self.operations != DIGIT]
        first: np.ndarray = np.cumsum(counts) - counts
        return first


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOps:
    """Expressions of at most `depth` layers, `arguments` arguments, and `shortest` to `longest` tokens."""

    shortest: int
    longest: int
    depth: int
    arguments: int

    def draw(self, generator: np.random.Generator, examples: int) -> generated.Examples:
        """Tokens ``[examples, longest]`` and values ``[examples]``; fewer examples where few trees fit."""
        layers = self.grow(generator, TREES)
        root = layers[0]
        fitting = (root.lengths >= self.shortest) & (root.lengths <= self.longest)
        chosen = np.flatnonzero(fitting)[:examples]
        return write(layers, self.longest)[chosen], root.values[chosen]

    def grow(self, generator: np.random.Generator, trees: int) -> list[Layer]:
        """So many trees, layer by layer, of any length."""
        drawn, nodes = [], trees
        for depth in range(1, self.depth + 1):
            operations = generator.integers(0, len(OPERATIONS), nodes)
            is_digit = generator.random(nodes) >= (OPERATION_SHARE if depth < self.depth else 0.0)
            children = generator.integers(FEWEST_ARGUMENTS, self.arguments + 1, nodes)
            digits = generator.integers(0, DIGITS, nodes)
            drawn.append((np.where(is_digit, DIGIT, operations), np.where(is_digit, 0, children), digits))
            nodes = int(drawn[-1][1].sum())
            if not nodes:
                break
        return _worked_out(drawn)


Drawn = tuple[np.ndarray, np.ndarray, np.ndarray]


def _worked_out(drawn: list[Drawn]) -> list[Layer]:
    """The layers with values and lengths, from the deepest up."""
    layers: list[Layer] = []
    for operations, children, digits in reversed(drawn):
        values, lengths = digits.copy(), np.ones_like(digits)
        if layers:
            inner = operations != DIGIT
            below = layers[-1]
            first = np.cumsum(children[inner]) - children[inner]
            values[inner] = apply(operations[inner], children[inner], below.values)
            lengths[inner] = 2 + np.add.reduceat(below.lengths, first)
        layers.append(Layer(operations=operations, children=children, values=values, lengths=lengths))
    return layers[::-1]


def apply(operations: np.ndarray, children: np.ndarray, arguments: np.ndarray) -> np.ndarray:
    """The value of each operation ``[nodes]`` on its `children` of `arguments`, which stand side by side."""
    first = np.cumsum(children) - children
    # Each node's arguments in a row of their own, in ascending order: what is missing sorts to the end.
    column = np.arange(int(children.max()))
    present = column < children[:, None]
    rows = np.where(present, arguments[np.where(present, first[:, None] + column, 0)], DIGITS)
    rows.sort(axis=1)

    def at(places: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.take_along_axis(rows, places[:, None], axis=1)[:, 0]
        return found

    median = (at((children - 1) // 2) + at(children // 2)) // 2
    total = np.add.reduceat(arguments, first) % DIGITS
    return np.choose(operations, [rows[:, 0], at(children - 1), median, total])


def write(layers: list[Layer], width: int) -> np.ndarray:
    """The trees as tokens ``[trees, width]``, padded; what does not fit into the width is left out."""
    trees = len(layers[0].values)
    tokens = np.full((trees, width), PADDING, dtype=np.int32)
    rows, starts = np.arange(trees), np.zeros(trees, dtype=np.int64)
    for place, layer in enumerate(layers):
        inner = layer.operations != DIGIT
        names = np.where(inner, FIRST_OPERATION + layer.operations, FIRST_DIGIT + layer.values)
        _put(tokens, rows, starts, names)
        _put(tokens, rows[inner], (starts + layer.lengths - 1)[inner], np.full(int(inner.sum()), CLOSE))
        if not inner.any():
            break
        below, counts = layers[place + 1], layer.children[inner]
        # A child starts after its parent's name and its elder siblings.
        before = np.cumsum(below.lengths) - below.lengths
        offset = before - np.repeat(before[layer.first_children], counts)
        rows, starts = np.repeat(rows[inner], counts), np.repeat(starts[inner] + 1, counts) + offset
    return tokens


def _put(tokens: np.ndarray, rows: np.ndarray, places: np.ndarray, names: np.ndarray) -> None:
    fits = places < tokens.shape[1]
    tokens[rows[fits], places[fits]] = names[fits]


def load(task: Task) -> TaskData:
    """The task's data: inputs are tokens ``[examples, max_length - 1]`` and padding, True at real tokens;
    raises ValueError for settings between which no expression lies."""
    shortest = generated.number_setting(task, "min_length", MIN_LENGTH) + 1
    longest = task.max_length - 1
    if shortest > longest:
        raise ValueError(
            f"{task.name}: min_length must be below max_length - 1 = {longest}, got {shortest - 1}"
        )
    expressions = ListOps(
        shortest=shortest,
        longest=longest,
        depth=generated.number_setting(task, "depth", DEPTH),
        arguments=max(FEWEST_ARGUMENTS, generated.number_setting(task, "arguments", ARGUMENTS)),
    )
    return generated.build(
        task,
        generated.Generated(
            draw=expressions.draw,
            title="ListOps",
            score="accuracy",
            own=OWN_SETTINGS,
            counts={
                "shortest": shortest,
                "longest": longest,
                "depth": expressions.depth,
                "arguments": expressions.arguments,
            },
            found={"vocabulary": VOCABULARY, "classes": DIGITS},
            classifier=True,
        ),
    )


def majority(data: TaskData) -> dict[str, np.ndarray]:
    """The digit that training saw most often."""
    answer = np.bincount(data.train_targets).argmax()
    return {"accuracy": (data.test_targets == answer).astype(np.float64)}


def bag_of_tokens(data: TaskData) -> dict[str, np.ndarray]:
    """Logistic regression on how often each token stands in the expression, and on which is the first one:
    the outermost operation says most of what can be known without the nesting."""
    linear_model: Any = importlib.import_module("sklearn.linear_model")
    model = linear_model.LogisticRegression(max_iter=1000)
    model.fit(_counted(data.train_inputs[0]), data.train_targets)
    answers = model.predict(_counted(data.test_inputs[0]))
    return {"accuracy": (answers == data.test_targets).astype(np.float64)}


def _counted(tokens: np.ndarray) -> np.ndarray:
    """Shares of the tokens and the first one among them, ``[examples, 2 vocabulary]``."""
    names = np.arange(1, VOCABULARY)
    counts = np.stack([(tokens == name).sum(axis=1) for name in names], axis=1)
    return np.concatenate([counts / counts.sum(axis=1, keepdims=True), tokens[:, :1] == names], axis=1)
