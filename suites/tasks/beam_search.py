"""Beam search: the likeliest text that a model can be found to write, and greedy search, its width of 1.

    score(Y) = log P(Y) / lp(|Y|),   lp(n) = ((5 + n) / 6)^penalty

Of all texts begun, the `width` likeliest are gone on with; one that ends among them is finished, and a
sentence is done when `width` are. The finished text with the highest score is the answer; its length n
counts the end. Paper: Wu and others 2016, arXiv:1609.08144, section 7 (its penalty 0.6 was Vaswani and
others' 2017 as well; its coverage is left out).

It knows no framework: what comes next is asked of a function, for all texts of all sentences at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

NextLogits: TypeAlias = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""``next_logits(sentences [rows], begun [rows, tokens]) -> [rows, vocabulary]``: which sentence each row
belongs to, and what was written of it, the mark of the beginning included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Tokens that are no text: what stands before the first, what ends it, and what is never written."""

    begin: int
    end: int
    never: tuple[int, ...] = ()


@dataclass(slots=True)
class Sentence:
    """What was begun, with its log probability, the likeliest first; and what is finished, with its score."""

    begun: list[tuple[float, tuple[int, ...]]]
    finished: list[tuple[float, tuple[int, ...]]] = field(default_factory=list)

    def go_on(
        self, candidates: Sequence[tuple[float, int, int]], end: int, width: int, penalty: float
    ) -> None:
        """Take the candidates (log probability, text begun, next token), the likeliest first."""
        going: list[tuple[float, tuple[int, ...]]] = []
        for rank, (likelihood, parent, token) in enumerate(candidates):
            written = self.begun[parent][1]
            if token != end:
                going.append((likelihood, (*written, token)))
            elif rank < width:
                # `written` holds the mark of the beginning, and so is as long as the text with its end.
                self.finished.append((likelihood / length_penalty(len(written), penalty), written[1:]))
        self.begun = going[:width] if len(self.finished) < width else []


def beam_search(
    next_logits: NextLogits, sentences: int, marks: Marks, *, steps: int, width: int, penalty: float = 0.6
) -> list[tuple[int, ...]]:
    """The tokens written for each sentence, without begin and end; at most `steps`, an end included.

    Where the last step comes before the end, the end is what is written then. Of equals, the one from the
    likelier beginning and with the smaller token is taken.

    Raises:
        ValueError: for a width or steps below 1.
    """
    if width < 1 or steps < 1:
        raise ValueError(f"beam search takes a width and steps of at least 1, got {width} and {steps}")
    found = [Sentence([(0.0, (marks.begin,))]) for _ in range(sentences)]
    for place in range(steps):
        going = [(number, text) for number, one in enumerate(found) for _, text in one.begun]
        if not going:
            break
        numbers = np.array([number for number, _ in going])
        logits = next_logits(numbers, np.array([text for _, text in going]))
        allowed = only(logits, marks, last=place == steps - 1)
        _advance(found, numbers, allowed, marks.end, width, penalty)
    return [max(one.finished, key=lambda scored: scored[0])[1] for one in found]


def _advance(
    found: Sequence[Sentence], numbers: np.ndarray, told: np.ndarray, end: int, width: int, penalty: float
) -> None:
    """One step of all sentences that go on, given the log probabilities ``[rows, vocabulary]``."""
    vocabulary = told.shape[1]
    starts = np.flatnonzero(np.diff(numbers, prepend=-1))
    for start, stop in zip(starts, [*starts[1:], len(numbers)], strict=True):
        sentence = found[numbers[start]]
        before = np.array([likelihood for likelihood, _ in sentence.begun])
        totals = (before[:, None] + told[start:stop]).ravel()
        # Twice the width: were the first half to end, the other half goes on.
        best = largest(totals, 2 * width)
        candidates = [(float(totals[at]), at // vocabulary, at % vocabulary) for at in best.tolist()]
        sentence.go_on(candidates, end, width, penalty)


def only(logits: np.ndarray, marks: Marks, *, last: bool) -> np.ndarray:
    """Log probabilities ``[rows, vocabulary]`` in double precision, minus infinity for what may not come."""
    values = logits.astype(np.float64)
    values -= values.max(axis=-1, keepdims=True)
    values -= np.log(np.exp(values).sum(axis=-1, keepdims=True))
    barred = [*marks.never, marks.begin]
    if last:
        ends = values[:, marks.end].copy()
        values[:] = -np.inf
        values[:, marks.end] = ends
    values[:, [token for token in barred if token != marks.end]] = -np.inf
    return values


def largest(values: np.ndarray, count: int) -> np.ndarray:
    """Places of the `count` largest finite values, the largest first, of equals the first one."""
    chosen = np.arange(len(values))
    if count < len(values):
        chosen = np.sort(np.argpartition(-values, count)[:count])
    chosen = chosen[np.isfinite(values[chosen])]
    ordered: np.ndarray = chosen[np.argsort(-values[chosen], kind="stable")]
    return ordered


def length_penalty(length: int, penalty: float) -> float:
    """What the log probability of a text of so many tokens is divided by."""
    return float(((5 + length) / 6) ** penalty)
