"""TextAttack's searches against a victim: one run at the largest budget, read off at every smaller one.

A search is the same query by query whatever its budget, since a budget only ends it. So an attack with a
budget of b queries succeeds just where the run at the largest budget met a text that fools the victim within
b queries (`tests/unit/test_attacks_text.py` holds that against separate runs). Words masked to see what they
weigh cost queries and are no successes; every candidate counts, also those that PWWS meets while it ranks.

TextAttack's traps and what stands against them here:

- a vocabulary that is not the model's: `text_subject` refuses it, and `candidates` counts only inputs that
  differ *for the model*, of which a gate wants at least one;
- ten examples and endless queries by default: both are set;
- the success rate leaves out what was wrong already: scores here are over all examples, wrong ones included;
- averages over no success are NaN: nothing is averaged here;
- a softmax taken twice when float32 probabilities do not add up to one within 1e-6: they are float64 here;
- `[UNK]` is three tokens for our models: the mask is one unknown word.
"""

from __future__ import annotations

import contextlib
import random
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from suites.attacks.outcome import Attacked
from suites.attacks.recipes import RECIPES, Recipe
from suites.attacks.replacements import Replacements
from suites.attacks.text_subject import TextSubject
from suites.attacks.textattack_home import confined_warnings, textattack
from suites.attacks.texts import AttackedTexts, changed_share, verdict
from suites.attacks.victim import Victim

BUDGETS = (50, 200, 500)
# Candidates for one forward pass: no search here asks about more than its budget at once.
BATCH = 512


@dataclass(slots=True)
class Search:
    """What a search did with one text; `queries` are those up to the first success, or all without one."""

    text: str
    found: str = ""
    queries: int = 0
    candidates: list[tuple[int, bytes]] = field(default_factory=list)  # which query, and the model's input
    original: bytes = b""

    def text_within(self, budget: int) -> str:
        """The text that fooled the victim within so many queries, or the text as it was."""
        return self.found if self.found and self.queries <= budget else self.text

    def candidates_within(self, budget: int) -> int:
        """How many different inputs other than the text's own were tried."""
        return len({made for query, made in self.candidates if query <= budget} - {self.original})


class Journal:
    """Stands between TextAttack and the victim, and writes down what a search asks and finds."""

    def __init__(self, victim: Victim, subject: TextSubject) -> None:
        self.model = victim
        self.search = Search(text="")
        self._subject = subject
        self._inputs: dict[str, bytes] = {}

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Probabilities ``[texts, classes]``: TextAttack's model wrapper."""
        inputs = self._subject.encode(texts)
        self._inputs.update(zip(texts, (row.tobytes() for row in inputs[0]), strict=True))
        logits = self.model.logits(inputs).astype(np.float64)
        if not np.isfinite(logits).all():
            raise ArithmeticError(f"{self.model.name} answered logits that are not finite")
        likely = np.exp(logits - logits.max(axis=-1, keepdims=True))
        probabilities: np.ndarray = likely / likely.sum(axis=-1, keepdims=True)
        return probabilities

    def run(self, attack: Any, text: str, label: int) -> Search:
        """Attack one text, and end the search at the first candidate that fools the victim."""
        goal = attack.goal_function
        self.search, self._inputs = Search(text=text), {}

        def results(texts: Sequence[Any]) -> tuple[list[Any], bool]:
            asked = goal.num_queries
            found, over = goal.get_results(texts)
            for query, result in enumerate(found, start=asked + 1):
                self._see(query, result)
            return found, over or bool(self.search.found)

        attack.search_method.get_goal_results = results
        attack.attack(text, label)
        self.search.original = self._inputs[text]
        self.search.queries = self.search.queries or goal.num_queries
        return self.search

    def _see(self, query: int, result: Any) -> None:
        made = result.attacked_text
        # Words masked to see what they weigh do not come from the transformation, and lack its mark.
        if self.search.found or "last_transformation" not in made.attack_attrs:
            return
        self.search.candidates.append((query, self._inputs[made.text]))
        if result.output != result.ground_truth_output:
            self.search.found, self.search.queries = made.text, query


def attack_texts(
    victim: Victim,
    subject: TextSubject,
    name: str,
    *,
    replacements: Replacements | None = None,
    budgets: Sequence[int] = BUDGETS,
    seed: int = 0,
) -> tuple[AttackedTexts, ...]:
    """The recipe's attack on every text that the victim has right; one outcome a budget, the smallest first.

    Raises:
        AttackUnsupported: TextAttack is not installed.
        ValueError: a budget of less than 2 queries (the first asks about the text as it is), or a recipe that
            takes words from a table, and none was given.
    """
    recipe, budgets = RECIPES[name], sorted(budgets)
    if not budgets or budgets[0] < 2:
        raise ValueError(f"budgets are at least 2 queries, got {budgets}")
    if recipe.words and replacements is None:
        raise ValueError(f"{name} takes words from a table of replacements, and none was given")
    journal = Journal(victim, subject)
    attack = _build(recipe, journal, subject.unknown_word(), replacements, budgets[-1])
    searches = []
    for number, right in enumerate(subject.right(victim, subject.texts)):
        text, label = subject.texts[number], int(subject.labels[number])
        with seeded(f"{seed}/{name}/{number}"):
            searches.append(journal.run(attack, text, label) if right else Search(text=text))
    return tuple(_at_budget(victim, subject, recipe, searches, budget) for budget in budgets)


def _build(
    recipe: Recipe, journal: Journal, mask: str, replacements: Replacements | None, budget: int
) -> Any:
    package = textattack()
    with confined_warnings():
        goal = package.goal_functions.UntargetedClassification(
            # Which texts are attacked is decided before, for all variants alike.
            journal,
            query_budget=budget,
            model_batch_size=BATCH,
            allow_skip=False,
        )
        return recipe.build(package, goal, mask, replacements.of if replacements else {})


def _at_budget(
    victim: Victim, subject: TextSubject, recipe: Recipe, searches: Sequence[Search], budget: int
) -> AttackedTexts:
    texts = tuple(search.text_within(budget) for search in searches)
    right_before, right_after = verdict(victim, subject, texts)
    attacked = Attacked(
        attack=recipe.name,
        kind="black_box",
        family=recipe.family,
        budget=budget,
        unit="queries",
        right_before=right_before,
        right_after=right_after,
        queries=np.array([min(search.queries, budget) for search in searches]),
        changed=changed_share(subject.texts, texts),
        candidates=np.array([search.candidates_within(budget) for search in searches]),
    )
    return AttackedTexts(attacked=attacked, texts=texts)


@contextlib.contextmanager
def seeded(key: str) -> Iterator[None]:
    """TextAttack draws from the global generators: seeded by `key` inside, put back as they were after."""
    before = random.getstate(), np.random.get_state()
    random.seed(key)
    np.random.seed(zlib.crc32(key.encode()))
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
