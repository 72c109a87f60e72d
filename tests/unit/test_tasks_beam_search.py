"""Beam search on models small enough to try every text."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suites.tasks.beam_search import Marks, NextLogits, beam_search, largest, length_penalty

# However busy the machine is, no clock decides a test.
quickly = settings(max_examples=25, deadline=None)

MARKS = Marks(begin=1, end=2, never=(0,))
VOCABULARY, LETTERS, STEPS = 6, (3, 4, 5), 4


def tiny_model(seed: int, ends: float = 0.0) -> NextLogits:
    """Logits that depend on the sentence and on all that was written of it."""

    def next_logits(sentences: np.ndarray, begun: np.ndarray) -> np.ndarray:
        rows = []
        for sentence, text in zip(sentences.tolist(), begun.tolist(), strict=True):
            logits = np.random.default_rng([seed, sentence, *text]).normal(size=VOCABULARY)
            logits[MARKS.end] += ends
            rows.append(2 * logits)
        return np.array(rows)

    return next_logits


def log_probabilities(ask: NextLogits, sentence: int, begun: tuple[int, ...]) -> np.ndarray:
    logits = ask(np.array([sentence]), np.array([begun]))[0]
    return logits - np.log(np.exp(logits).sum())


def every_text() -> Iterator[tuple[int, ...]]:
    for length in range(STEPS):
        yield from itertools.product(LETTERS, repeat=length)


def score(ask: NextLogits, sentence: int, text: tuple[int, ...], penalty: float) -> float:
    total, begun = 0.0, (MARKS.begin,)
    for token in (*text, MARKS.end):
        total += log_probabilities(ask, sentence, begun)[token]
        begun = (*begun, token)
    return total / ((5 + len(text) + 1) / 6) ** penalty


@quickly
@given(st.integers(0, 2**20), st.sampled_from([0.0, 0.6, 1.3]))
def test_a_beam_that_holds_every_text_finds_the_best_of_all(seed: int, penalty: float) -> None:
    ask = tiny_model(seed)
    found = beam_search(ask, 3, MARKS, steps=STEPS, width=len(LETTERS) ** STEPS, penalty=penalty)
    for sentence, text in enumerate(found):
        assert text == max(every_text(), key=lambda one: score(ask, sentence, one, penalty))


@quickly
@given(st.integers(0, 2**20), st.floats(-2, 2))
def test_a_beam_of_one_is_greedy(seed: int, ends: float) -> None:
    ask = tiny_model(seed, ends)
    found = beam_search(ask, 3, MARKS, steps=STEPS, width=1)
    for sentence, text in enumerate(found):
        begun: tuple[int, ...] = (MARKS.begin,)
        while len(begun) < STEPS:
            told = log_probabilities(ask, sentence, begun)
            token = max((MARKS.end, *LETTERS), key=lambda one: told[one])
            if token == MARKS.end:
                break
            begun = (*begun, token)
        assert text == begun[1:]


def beam_by_hand(ask: NextLogits, width: int, penalty: float) -> tuple[int, ...]:
    """The module's docstring, one sentence, with all candidates sorted at each step."""
    begun, finished = [(0.0, (MARKS.begin,))], []
    for place in range(STEPS):
        candidates = [
            (before + log_probabilities(ask, 0, text)[token], (*text, token))
            for before, text in begun
            for token in ((MARKS.end,) if place == STEPS - 1 else (MARKS.end, *LETTERS))
        ]
        candidates.sort(reverse=True)
        finished += [
            (total / ((5 + len(text) - 1) / 6) ** penalty, text[1:-1])
            for total, text in candidates[:width]
            if text[-1] == MARKS.end
        ]
        begun = [one for one in candidates if one[1][-1] != MARKS.end][:width]
        if len(finished) >= width:
            break
    return max(finished)[1]


@quickly
@given(st.integers(0, 2**20), st.integers(1, 6), st.floats(-1, 2), st.sampled_from([0.0, 0.6]))
def test_a_beam_is_what_sorting_all_candidates_says(
    seed: int, width: int, ends: float, penalty: float
) -> None:
    ask = tiny_model(seed, ends)
    (found,) = beam_search(ask, 1, MARKS, steps=STEPS, width=width, penalty=penalty)
    assert found == beam_by_hand(ask, width, penalty)


@quickly
@given(st.integers(0, 2**20), st.integers(1, 5))
def test_sentences_do_not_disturb_one_another(seed: int, width: int) -> None:
    ask = tiny_model(seed)
    together = beam_search(ask, 4, MARKS, steps=STEPS, width=width)
    alone = [
        beam_search(lambda rows, begun, n=n: ask(rows + n, begun), 1, MARKS, steps=STEPS, width=width)[0]
        for n in range(4)
    ]
    assert together == alone


def test_a_beam_finds_what_greed_misses() -> None:
    """The likelier first letter leads nowhere; the other one surely ends."""

    def ask(sentences: np.ndarray, begun: np.ndarray) -> np.ndarray:
        chances = np.full((len(begun), VOCABULARY), 1e-9)
        for row, text in zip(chances, begun.tolist(), strict=True):
            match text:
                case [1]:
                    row[3], row[4] = 0.6, 0.4
                case [1, 4]:
                    row[2] = 1
                case _:
                    row[2:] = 0.25
        return np.log(chances)

    greedy, wide = (beam_search(ask, 1, MARKS, steps=STEPS, width=width, penalty=0) for width in (1, 2))
    assert greedy[0][0] == 3
    assert wide == [(4,)]


def test_what_ends_takes_no_place_from_what_goes_on() -> None:
    """Of the two likeliest one ends; the third goes on in its place, and a penalty lets it win."""

    def ask(sentences: np.ndarray, begun: np.ndarray) -> np.ndarray:
        chances = np.full((len(begun), VOCABULARY), 1e-9)
        for row, text in zip(chances, begun.tolist(), strict=True):
            match text:
                case [1]:
                    row[2:5] = 0.4, 0.35, 0.25
                case [1, 4]:
                    row[2] = 1
                case _:
                    row[2:] = 0.25
        return np.log(chances)

    assert beam_search(ask, 1, MARKS, steps=STEPS, width=2, penalty=6.0) == [(4,)]


def test_the_penalty_prefers_longer_texts() -> None:
    def ask(sentences: np.ndarray, begun: np.ndarray) -> np.ndarray:
        logits = np.full((len(begun), VOCABULARY), -30.0)
        first = begun.shape[1] == 1
        logits[:, 2], logits[:, 3] = (0.0, -0.1) if first else (0.0, -30.0)
        return logits

    short, long = (beam_search(ask, 1, MARKS, steps=STEPS, width=3, penalty=one)[0] for one in (0.0, 3.0))
    assert (short, long) == ((), (3,))
    assert length_penalty(1, 0.6) == 1
    assert length_penalty(7, 0.6) == pytest.approx(2**0.6)


def test_what_is_no_text_is_never_written_and_the_last_step_ends() -> None:
    def ask(sentences: np.ndarray, begun: np.ndarray) -> np.ndarray:
        return np.tile([90.0, 80.0, -50.0, 1.0, 0.0, 0.0], (len(begun), 1))

    assert beam_search(ask, 2, MARKS, steps=STEPS, width=1) == [(3, 3, 3)] * 2


def test_of_equals_the_first_is_taken_and_what_is_impossible_left_out() -> None:
    assert largest(np.array([1.0, 3.0, -np.inf, 3.0, 2.0]), 9).tolist() == [1, 3, 4, 0]
    assert largest(np.array([1.0, 3.0, -np.inf, 3.0, 2.0]), 2).tolist() == [1, 3]


@pytest.mark.parametrize(("width", "steps"), [(0, 3), (3, 0)])
def test_a_width_and_steps_below_one_are_refused(width: int, steps: int) -> None:
    with pytest.raises(ValueError, match="a width and steps of at least 1"):
        beam_search(tiny_model(0), 1, MARKS, steps=steps, width=width)
