"""PGD in embedding space on planted victims: what it must find, and the ball that it stays in."""

import numpy as np
import planted
import pytest

from suites.attacks.embedding_attack import SIZES, Tokens, embedded_tokens, pgd, random_step, spsa
from suites.attacks.gates import gates, inconclusive
from suites.attacks.victim_facts import victim_facts

SUBJECT = planted.reviews(60)
INPUTS = SUBJECT.encode(SUBJECT.texts)


def of(victim: planted.BagOfWords) -> Tokens:
    return embedded_tokens(victim, *INPUTS, SUBJECT.labels)


def test_a_large_ball_breaks_the_weak_victim_and_a_tiny_one_does_not() -> None:
    victim = planted.weak()
    assert pgd(victim, of(victim), 1.0).attacked.right_after.mean() == 0
    assert pgd(victim, of(victim), 0.001).attacked.right_after.mean() == 1


def test_a_linear_victim_breaks_at_the_size_that_algebra_gives() -> None:
    # Each of eleven tokens can add size * norm along the one direction that counts, against the words' sum.
    victim = planted.weak()
    tokens = of(victim)
    sums = np.array([abs(sum(planted.WEAK.get(word, 0) for word in text.split())) for text in SUBJECT.texts])
    least = sums / 11 / tokens.norm
    size = float(np.median(least))
    sure = abs(least / size - 1) > 0.05
    found = pgd(victim, tokens, size).attacked
    assert np.array_equal(found.right_after[sure], (least > size)[sure]) and sure.sum() > 40


@pytest.mark.parametrize("attack", [pgd, spsa, random_step])
def test_no_token_leaves_the_ball_and_padding_stays_where_it_is(attack) -> None:
    victim = planted.weak()
    tokens, size = of(victim), 0.1
    found = attack(victim, tokens, size, seed=3)
    moved = np.linalg.norm(found.embedded - tokens.embedded, axis=-1)
    assert moved.max() <= size * tokens.norm * (1 + 1e-5)
    assert not moved[~tokens.padding].any()
    assert found.attacked.changed.max() == pytest.approx(moved.max() / tokens.norm)


def test_wrong_answers_are_left_alone_and_stay_wrong() -> None:
    victim = planted.weak()
    labels = SUBJECT.labels.copy()
    labels[:7] = 1 - labels[:7]
    found = pgd(victim, embedded_tokens(victim, *INPUTS, labels), 1.0).attacked
    assert not found.right_before[:7].any() and not found.right_after[:7].any()
    assert not found.queries[:7].any() and not found.changed[:7].any() and not found.candidates[:7].any()
    assert found.queries[7:].min() > 0


def test_the_same_seed_gives_the_same_perturbation_and_another_another() -> None:
    victim = planted.weak()
    first, again, other = (pgd(victim, of(victim), 0.05, seed=seed).embedded for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def measured(victim: planted.BagOfWords) -> tuple:
    facts = victim_facts(victim, INPUTS, SUBJECT.labels, known_share=SUBJECT.known_share())
    tokens = of(victim)
    runs = [attack(victim, tokens, size).attacked for size in SIZES for attack in (pgd, random_step)]
    return gates(facts, [*runs, spsa(victim, tokens, SIZES[-1]).attacked]), runs


def test_all_gates_hold_for_the_weak_victim() -> None:
    found, _ = measured(planted.weak())
    assert [gate for gate in found if not gate.holds] == []
    assert {"gradients", "stronger than random", "white box no weaker than black box"} <= {
        g.name for g in found
    }


def test_masked_gradients_make_the_white_box_attack_inconclusive_by_name() -> None:
    found, _ = measured(planted.Masked(planted.WEAK))
    failed = {gate.name for gate in found if not gate.holds}
    assert {"gradients", "white box no weaker than black box"} <= failed
    assert "zero everywhere for 100%" in inconclusive(found, "pgd_embedding", 0.4)
    assert inconclusive(found, "spsa_embedding", 0.4) == ""


def test_misleading_gradients_are_seen_by_the_attack_that_needs_none() -> None:
    found, _ = measured(planted.Misleading(planted.WEAK))
    failed = {gate.name for gate in found if not gate.holds}
    assert "white box no weaker than black box" in failed and "gradients" not in failed


def test_gradients_that_are_not_numbers_are_an_error_and_no_robustness() -> None:
    class Broken(planted.BagOfWords):
        def embedded_loss_gradient(self, embedded, padding, labels):
            loss, gradient = super().embedded_loss_gradient(embedded, padding, labels)
            return loss, gradient * np.nan

    victim = Broken({planted.FOR: 1.0, planted.AGAINST: -1.0})
    with pytest.raises(ArithmeticError, match="not finite"):
        pgd(victim, of(victim), 0.1)
