"""When an attack's outcome may be believed: gates that turn a score into ``inconclusive`` where they fail.

A model can look robust because an attack did not run: it found no candidates, its gradients vanish, the model
answers at random or always the same. The gates are those of the field (Athalye et al. 2018, section 3.1;
Carlini et al. 2019, "On evaluating adversarial robustness", section 5; RobustBench's conditions), with
thresholds fixed here before any result was seen.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from suites.attacks.outcome import Attacked
from suites.attacks.victim_facts import VictimFacts

# Two passes over the same inputs in another order may differ in rounding (sums in another order), not in
# answers. Logits of models here are of the order of 1 to 10, float32 keeps 7 digits.
REPEAT_TOLERANCE = 1e-3
# Below it most words that an attack changes were unknown before and stay so: nothing changes for the model.
LEAST_KNOWN = 0.5
# Some texts have no word that an attack may change; where half of them have none, the attack did not run.
UNTRIED = 0.5
# Gradients of a confident answer may underflow now and then; more than this is a mask, not chance.
ZERO_GRADIENTS = 0.05
# One-sided tests of "better than": the usual level. Few examples thus make no claim.
LEVEL = 0.05
# What an attack must gain over a random change of its size, in points of the examples tried.
RANDOM_MARGIN = 0.05
# Random changes that break no more than this leave nothing to beat: a model may be robust to both.
QUIET = 0.05
# A control is fair that changes no more than the attack, and this much for rounding to whole words.
LARGER = 1.25
# Restarts and rounding move an accuracy by an example or two of a hundred; more is not noise.
SLACK = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One condition; `concerns` names the attacks that it makes inconclusive where it does not hold: at
    every budget, or at the one of `budget`."""

    name: str
    holds: bool
    reason: str
    concerns: tuple[str, ...]
    budget: float | None = None


def gates(facts: VictimFacts, attacked: Sequence[Attacked]) -> tuple[Gate, ...]:
    """All gates that apply to what was measured, those that hold and those that do not."""
    everything = tuple(dict.fromkeys(one.attack for one in attacked))
    found = [
        _deterministic(facts, everything),
        _not_constant(facts, everything),
        _above_chance(facts, everything),
        *_vocabulary(facts, everything),
        *_gradients(facts, attacked),
    ]
    by_attack: defaultdict[tuple[str, str], list[Attacked]] = defaultdict(list)
    for one in attacked:
        by_attack[one.attack, one.unit].append(one)
    for runs in by_attack.values():
        runs.sort(key=lambda one: one.budget)
        found += [_candidates(runs), *_budgets(runs)]
    return (*found, *_random(attacked), *_boxes(attacked))


def inconclusive(gates: Iterable[Gate], attack: str, budget: float) -> str:
    """Why this attack's score at this budget may not be believed; empty where it may."""
    return "; ".join(
        f"{gate.name}: {gate.reason}"
        for gate in gates
        if not gate.holds and attack in gate.concerns and gate.budget in (None, budget)
    )


def _deterministic(facts: VictimFacts, concerns: tuple[str, ...]) -> Gate:
    changes, difference = facts.repeat_changes, facts.repeat_difference
    return Gate(
        name="deterministic",
        holds=changes == 0 and difference <= REPEAT_TOLERANCE,
        reason=f"two passes over the same inputs changed {changes} answers, logits by up to {difference:.2g}",
        concerns=concerns,
    )


def _not_constant(facts: VictimFacts, concerns: tuple[str, ...]) -> Gate:
    return Gate(
        name="not constant",
        holds=facts.classes_answered >= 2,
        reason=f"the model answers {facts.classes_answered} class(es) over all test examples",
        concerns=concerns,
    )


def _above_chance(facts: VictimFacts, concerns: tuple[str, ...]) -> Gate:
    right, tried = int(facts.right.sum()), len(facts.right)
    chance = stats.binomtest(right, tried, facts.majority_share, alternative="greater").pvalue
    return Gate(
        name="above chance",
        holds=bool(chance <= LEVEL),
        reason=(
            f"{right} of {tried} right where the most frequent label has {facts.majority_share:.0%}"
            f" (p = {chance:.2g})"
        ),
        concerns=concerns,
    )


def _vocabulary(facts: VictimFacts, concerns: tuple[str, ...]) -> list[Gate]:
    if facts.known_share is None:
        return []
    return [
        Gate(
            name="vocabulary",
            holds=facts.known_share >= LEAST_KNOWN,
            reason=f"{facts.known_share:.0%} of the test texts' tokens are known to the model",
            concerns=concerns,
        )
    ]


def _gradients(facts: VictimFacts, attacked: Sequence[Attacked]) -> list[Gate]:
    concerns = tuple(dict.fromkeys(one.attack for one in attacked if one.kind == "white_box"))
    if facts.zero_gradients is None or not concerns:
        return []
    return [
        Gate(
            name="gradients",
            holds=facts.zero_gradients <= ZERO_GRADIENTS,
            reason=f"the gradient is zero everywhere for {facts.zero_gradients:.0%} of the test examples",
            concerns=concerns,
        )
    ]


def _candidates(runs: Sequence[Attacked]) -> Gate:
    one = runs[-1]
    tried = one.right_before
    without = int((one.candidates[tried] == 0).sum())
    return Gate(
        name="candidates",
        holds=bool(without <= UNTRIED * tried.sum()),
        reason=f"nothing was tried that differs for the model on {without} of {int(tried.sum())} examples",
        concerns=(one.attack,),
    )


def _budgets(runs: Sequence[Attacked]) -> list[Gate]:
    found = []
    for smaller, larger in itertools.pairwise(runs):
        gain = float(larger.right_after.mean() - smaller.right_after.mean())
        found.append(
            Gate(
                name="more budget no easier",
                holds=gain <= SLACK,
                reason=(
                    f"accuracy under attack is {100 * gain:+.1f} points from {smaller.budget:g} to"
                    f" {larger.budget:g} {larger.unit}"
                ),
                concerns=(larger.attack,),
            )
        )
    return found


def _broken(one: Attacked) -> np.ndarray:
    broken: np.ndarray = one.right_before & ~one.right_after
    return broken


def _random(attacked: Sequence[Attacked]) -> list[Gate]:
    """Each attack against the largest random change of its family that is no larger than its own."""
    found = []
    for one in _matched(attacked, ("black_box", "white_box")):
        fair = [other for other in attacked if other.kind == "random" and _fair(other, one)]
        if fair:
            found.append(_against_random(one, max(fair, key=_typical)))
    return found


def _fair(other: Attacked, one: Attacked) -> bool:
    """Whether a random change is a control: of the same size, or of no larger one where queries count."""
    if (other.family, other.unit) != (one.family, one.unit):
        return False
    if one.unit != "queries":
        return other.budget == one.budget
    # An attack that never succeeded shows no size of its own; it is held against any.
    return _typical(one) == 0 or _typical(other) <= LARGER * _typical(one)


def _typical(one: Attacked) -> float:
    changed = one.changed[one.changed > 0]
    return float(np.median(changed)) if changed.size else 0.0


def _matched(attacked: Sequence[Attacked], kinds: tuple[str, ...]) -> list[Attacked]:
    """Attacks of these kinds: at every size, but of budgets of queries only at the largest."""
    largest: dict[str, float] = {}
    for one in attacked:
        if one.unit == "queries":
            largest[one.attack] = max(one.budget, largest.get(one.attack, 0))
    return [one for one in attacked if one.kind in kinds and one.budget >= largest.get(one.attack, 0)]


def _against_random(one: Attacked, other: Attacked) -> Gate:
    attack, chance = _broken(one), _broken(other)
    tried = max(1, int((one.right_before | other.right_before).sum()))
    gain, noise = (attack.sum() - chance.sum()) / tried, chance.sum() / tried
    alone, instead = int((attack & ~chance).sum()), int((chance & ~attack).sum())
    # McNemar's exact test, one-sided: of the examples on which the two differ, are most the attack's?
    p = (
        float(stats.binomtest(alone, alone + instead, alternative="greater").pvalue)
        if alone + instead
        else 1.0
    )
    stronger = gain >= RANDOM_MARGIN and p <= LEVEL
    return Gate(
        name="stronger than random",
        holds=bool(stronger or (noise <= QUIET and gain >= 0)),
        reason=(
            f"{one.attack} at {one.budget:g} {one.unit} broke {int(attack.sum())} of {tried},"
            f" {other.attack} {int(chance.sum())} (McNemar's p = {p:.2g})"
        ),
        concerns=(one.attack,),
        # Where noise of a size breaks everything nothing can be stronger; that says nothing of other sizes.
        budget=None if one.unit == "queries" else one.budget,
    )


def _boxes(attacked: Sequence[Attacked]) -> list[Gate]:
    """Each white-box attack against every black-box one of its family and size."""
    return [
        _against_black_box(white, black)
        for white in _matched(attacked, ("white_box",))
        for black in _matched(attacked, ("black_box",))
        if (black.family, black.unit, black.budget) == (white.family, white.unit, white.budget)
    ]


def _against_black_box(white: Attacked, black: Attacked) -> Gate:
    by_white, by_black = _broken(white), _broken(black)
    holds = bool(by_black.mean() - by_white.mean() <= SLACK)
    return Gate(
        name="white box no weaker than black box",
        holds=holds,
        reason=(
            f"at {white.budget:g} {white.unit} {white.attack} broke {int(by_white.sum())},"
            f" {black.attack} {int(by_black.sum())}{'' if holds else ': gradients may be masked'}"
        ),
        concerns=(white.attack,),
    )
