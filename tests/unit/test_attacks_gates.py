"""Gates on made-up outcomes: each holds where it should and fails, by name, where it should not."""

import dataclasses

import numpy as np
import pytest

from suites.attacks.gates import gates, inconclusive
from suites.attacks.outcome import Attacked
from suites.attacks.victim_facts import VictimFacts

N = 100
RIGHT = np.arange(N) < 90
SOUND = VictimFacts(
    name="planted@numpy",
    repeat_difference=0.0,
    repeat_changes=0,
    classes_answered=2,
    right=RIGHT,
    majority_share=0.5,
    known_share=0.95,
    zero_gradients=0.0,
)


def outcome(attack: str, kind: str, broken: range, *, budget: float = 0.1, unit: str = "l2") -> Attacked:
    after = RIGHT.copy()
    after[list(broken)] = False
    return Attacked(
        attack=attack,
        kind=kind,
        family="l2",
        budget=budget,
        unit=unit,
        right_before=RIGHT,
        right_after=after,
        queries=RIGHT.astype(int),
        changed=np.zeros(N),
        candidates=RIGHT.astype(int),
    )


def failures(facts: VictimFacts, *attacked: Attacked) -> set[str]:
    return {gate.name for gate in gates(facts, attacked) if not gate.holds}


PGD = outcome("pgd", "white_box", range(40))
NOISE = outcome("noise", "random", range(5))


def test_everything_holds_for_a_sound_victim_and_an_attack_that_works() -> None:
    found = gates(SOUND, [PGD, NOISE, outcome("square", "black_box", range(30))])
    assert all(gate.holds for gate in found) and len({gate.name for gate in found}) == 8
    assert inconclusive(found, "pgd", 0.1) == ""


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({"repeat_difference": 0.1}, "deterministic"),
        ({"repeat_changes": 1}, "deterministic"),
        ({"classes_answered": 1}, "not constant"),
        ({"right": np.arange(N) < 55}, "above chance"),
        ({"majority_share": 0.85}, "above chance"),
        ({"known_share": 0.4}, "vocabulary"),
        ({"zero_gradients": 0.2}, "gradients"),
        ({"zero_gradients": 1.0}, "gradients"),
    ],
)
def test_what_is_wrong_with_a_victim_is_named(facts: dict, name: str) -> None:
    assert failures(dataclasses.replace(SOUND, **facts), PGD, NOISE) == {name}


def test_only_white_box_attacks_are_doubted_for_gradients() -> None:
    found = gates(dataclasses.replace(SOUND, zero_gradients=1.0), [PGD, NOISE])
    assert "zero everywhere" in inconclusive(found, "pgd", 0.1) and inconclusive(found, "noise", 0.1) == ""


def test_an_attack_that_tried_nothing_is_named() -> None:
    idle = dataclasses.replace(PGD, candidates=np.zeros(N, dtype=int))
    assert "candidates" in failures(SOUND, idle)


@pytest.mark.parametrize(
    ("broken", "noise", "holds"),
    [
        (range(40), range(5), True),
        (range(10), range(10), False),  # no better than chance
        (range(12), range(9), False),  # better by less than the margin
        (range(3), range(3), True),  # nothing to find
        (range(0), range(3), False),  # weaker than chance
        (range(20, 40), range(14), False),  # six points better, and McNemar cannot tell
        (range(30), range(14), True),
    ],
)
def test_an_attack_must_beat_random_changes_where_there_is_something_to_find(
    broken: range, noise: range, holds: bool
) -> None:
    failed = failures(SOUND, outcome("pgd", "white_box", broken), outcome("noise", "random", noise))
    assert ("stronger than random" not in failed) is holds


def test_a_size_at_which_noise_breaks_as_much_costs_that_size_and_no_other() -> None:
    sizes = [
        dataclasses.replace(outcome(name, kind, broken), budget=budget)
        for budget, found, noise in ((0.1, range(40), range(5)), (2.0, range(90), range(88)))
        for name, kind, broken in (("pgd", "white_box", found), ("noise", "random", noise))
    ]
    found = gates(SOUND, sizes)
    assert inconclusive(found, "pgd", 0.1) == ""
    assert "stronger than random: pgd at 2 l2 broke 90 of 90, noise 88" in inconclusive(found, "pgd", 2.0)


def test_random_changes_of_another_size_or_family_are_no_control() -> None:
    larger = outcome("noise", "random", range(80), budget=0.5)
    other = dataclasses.replace(larger, budget=0.1, family="linf")
    assert "stronger than random" not in failures(SOUND, PGD, larger, other)


def test_random_changes_larger_than_an_attack_of_queries_are_no_control() -> None:
    few, many = np.where(RIGHT, 0.06, 0.0), np.where(RIGHT, 0.12, 0.0)
    typo = dataclasses.replace(
        outcome("typo", "black_box", range(15), budget=200, unit="queries"), changed=few
    )
    edits = dataclasses.replace(outcome("edits", "random", range(14), budget=1, unit="queries"), changed=many)
    assert "stronger than random" not in failures(SOUND, typo, edits)
    assert "stronger than random" in failures(SOUND, typo, dataclasses.replace(edits, changed=few))


def test_a_larger_budget_that_helps_the_model_is_named() -> None:
    larger = outcome("pgd", "white_box", range(30), budget=0.2)
    assert "more budget no easier" in failures(SOUND, PGD, larger, NOISE)
    assert "more budget no easier" not in failures(
        SOUND, PGD, outcome("pgd", "white_box", range(39), budget=0.2)
    )


def test_a_black_box_attack_that_beats_the_white_box_one_is_named() -> None:
    square = outcome("square", "black_box", range(60))
    found = gates(SOUND, [PGD, NOISE, square])
    assert "masked" in inconclusive(found, "pgd", 0.1) and inconclusive(found, "square", 0.1) == ""
    assert not inconclusive(gates(SOUND, [PGD, NOISE, dataclasses.replace(square, budget=0.5)]), "pgd", 0.1)


def test_query_budgets_are_judged_at_the_largest() -> None:
    few, many = (
        outcome("search", "black_box", broken, budget=budget, unit="queries")
        for broken, budget in ((range(0), 50), (range(40), 500))
    )
    noise = outcome("noise", "random", range(6), budget=1, unit="queries")
    assert failures(SOUND, few, many, noise) == set()
