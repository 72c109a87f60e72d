"""What all generated tasks share: examples drawn by a seeded generator, none of them twice.

A task's file gives ``draw(generator, examples) -> (tokens, targets)``, at most as many as asked for. The
test side is drawn first, from a stream of random numbers of its own, so that it stays the same whatever is
trained on; the training side is drawn from another. A sequence that is on either side already is drawn
again, so that no test sequence is in training, and no sequence is there twice.

Settings: ``data_seed`` (default 0), which has nothing to do with the seeds of trainings, ``train_examples``
(default 10,000), ``test_examples`` (default 1,000), and what the task's own file names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from bench.schema import Option, Task
from suites.tasks.data import Score, Source, TaskData, architecture_settings, count_setting

FORMAT = "1"
"""Goes up whenever the same settings come to mean other sequences."""

PADDING = 0
TRAIN_EXAMPLES, TEST_EXAMPLES = 10_000, 1_000
# As many draws in a row without anything new mean that there is hardly anything new left.
FRUITLESS_DRAWS = 20
# Rows; a copy of the whole would double the memory.
HASHED_AT_ONCE = 4096

Examples: TypeAlias = tuple[np.ndarray, np.ndarray]
Draw: TypeAlias = Callable[[np.random.Generator, int], Examples]
Sides: TypeAlias = tuple[Examples, Examples]


@dataclass(frozen=True, kw_only=True)
class Generated:
    """A task's definition: `draw` answers tokens ``[examples, time]``, 0 standing for padding, and labels
    ``[examples]`` or targets ``[examples, time]``. `own` are the settings that are about its data, `counts`
    what they came to, `found` the architecture's settings that follow from them."""

    draw: Draw
    title: str
    score: Score
    own: frozenset[str]
    counts: Mapping[str, int]
    found: Mapping[str, Option]
    classifier: bool = False
    notes: Mapping[str, str] | None = None


def build(task: Task, definition: Generated) -> TaskData:
    """Both sides of a generated task; raises ValueError for a setting that has no meaning here."""
    seed = seed_setting(task)
    sides = draw_sides(
        definition.draw,
        seed=seed,
        train=count_setting(task, "train_examples") or TRAIN_EXAMPLES,
        test=count_setting(task, "test_examples") or TEST_EXAMPLES,
    )
    train, test = sides
    return TaskData(
        train_inputs=_inputs(train, definition.classifier),
        train_targets=train[1],
        test_inputs=_inputs(test, definition.classifier),
        test_targets=test[1],
        loss="cross_entropy",
        score=definition.score,
        source=Source(
            name=f"generated: {definition.title}",
            version=FORMAT,
            sha256=hash_of(sides),
            licence="none needed: random numbers",
            origin=f"{task.target.partition(':')[0]}, data seed {seed}",
        ),
        settings=architecture_settings(task, definition.own | {"data_seed"}, **definition.found),
        counts=definition.counts,
        notes=definition.notes or {},
    )


def _inputs(examples: Examples, classifier: bool) -> tuple[np.ndarray, ...]:
    tokens = examples[0]
    return (tokens, tokens != PADDING) if classifier else (tokens,)


def seed_setting(task: Task) -> int:
    """The seed of the data; raises ValueError when it is not a whole number of at least 0."""
    seed = task.settings.get("data_seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"{task.name}: data_seed must be a whole number of at least 0, got {seed!r}")
    return seed


def number_setting(task: Task, name: str, default: int) -> int:
    """A setting that counts something; raises ValueError when it is not a positive whole number."""
    return count_setting(task, name, default) or default


def choice_setting(task: Task, name: str, choices: tuple[str, ...]) -> str:
    """A setting that is one of `choices`, the first where it is not set; raises ValueError for another."""
    choice = task.settings.get(name, choices[0])
    if choice not in choices:
        raise ValueError(f"{task.name}: {name} must be {' or '.join(choices)}, got {choice!r}")
    return str(choice)


def draw_sides(draw: Draw, *, seed: int, train: int, test: int) -> Sides:
    """Training and test examples, all sequences different; raises ValueError where there are not enough."""
    seen: set[bytes] = set()
    tested = draw_new(draw, np.random.default_rng((seed, 1)), test, seen)
    return draw_new(draw, np.random.default_rng((seed, 0)), train, seen), tested


def draw_new(draw: Draw, generator: np.random.Generator, examples: int, seen: set[bytes]) -> Examples:
    """So many examples whose tokens' hashes are not in `seen`, to which they are added; int32 and int64."""
    tokens, targets, missing, fruitless = [], [], examples, 0
    while missing:
        drawn, asked = draw(generator, missing)
        drawn = drawn.astype(np.int32)
        new = [place for place, row in enumerate(drawn) if _add(seen, row)]
        tokens.append(drawn[new])
        targets.append(asked[new].astype(np.int64))
        missing -= len(new)
        fruitless = 0 if new else fruitless + 1
        if fruitless == FRUITLESS_DRAWS:
            raise ValueError(
                f"{examples} different sequences were asked for, but only {examples - missing} were found:"
                " ask for fewer examples, longer sequences or a larger vocabulary"
            )
    return np.concatenate(tokens), np.concatenate(targets)


def _add(seen: set[bytes], row: np.ndarray) -> bool:
    """Whether the row is new. Its hash stands for it: 100,000 rows of 2,000 tokens would take 800 MB."""
    before = len(seen)
    seen.add(hashlib.blake2b(row.tobytes(), digest_size=16).digest())
    return len(seen) > before


def hash_of(sides: Sides) -> str:
    """SHA-256 of shapes and numbers, the same on every machine."""
    whole = hashlib.sha256()
    for array in (array for side in sides for array in side):
        whole.update(f"{array.shape}\n".encode())
        for start in range(0, len(array), HASHED_AT_ONCE):
            whole.update(np.ascontiguousarray(array[start : start + HASHED_AT_ONCE], dtype="<i8").tobytes())
    return whole.hexdigest()


def draw_distinct(generator: np.random.Generator, examples: int, choices: int, count: int) -> np.ndarray:
    """Different numbers below `choices` in random order, ``[examples, count]``.

    Floyd's way to a random subset (Bentley and Floyd 1987): a number that is there already stands for the
    largest that may be drawn. Raises ValueError where there are too few to choose from.
    """
    if count > choices:
        raise ValueError(f"{count} different ones cannot be drawn out of {choices}")
    drawn = np.empty((examples, count), dtype=np.int64)
    for place, largest in enumerate(range(choices - count, choices)):
        number = generator.integers(0, largest + 1, examples)
        taken = (drawn[:, :place] == number[:, None]).any(axis=1)
        drawn[:, place] = np.where(taken, largest, number)
    order = generator.random((examples, count)).argsort(axis=1)
    return np.take_along_axis(drawn, order, axis=1)


def guesses(data: TaskData, choices: float) -> dict[str, np.ndarray]:
    """What a guess among so many equally likely answers is worth on average: an expectation, not a draw."""
    asked = (data.test_targets >= 0).reshape(len(data.test_targets), -1).sum(axis=1)
    expected = {"accuracy": np.full(len(asked), 1 / choices), "exact": choices ** -asked.astype(np.float64)}
    return expected if data.score == "token_accuracy" else {"accuracy": expected["accuracy"]}
