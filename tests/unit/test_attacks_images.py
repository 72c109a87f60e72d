"""Attacks on images, held against classifiers whose accuracy under attack is known exactly."""

import functools

import numpy as np
import pytest
from image_victims import LAYOUT, PIXELS, Quantised, Softmax, margins, two_classes

from suites.attacks.gradient_attacks import RESTARTS, STEPS, fgsm, pgd, within_ball
from suites.attacks.image_attacks import bounded_attacks
from suites.attacks.image_search import (
    L2_BUDGETS,
    LINF_BUDGETS,
    AttackedImages,
    Images,
    bounded,
    images_of,
    sizes,
)
from suites.attacks.noise import random_noise
from suites.attacks.square_attack import side_at, square
from suites.tasks.patches import PatchLayout

CHANCE = np.random.default_rng(5)
SLOPE = CHANCE.standard_normal(PIXELS)
# Stripes of one sign: what a search that knows no gradient can find.
STRIPED = np.where(np.arange(LAYOUT.side) < 7, 3.0, -2.0)[None, :].repeat(LAYOUT.side, axis=0)
STRIPED_SLOPE = LAYOUT.from_image(STRIPED[None]).ravel()
COUNT = 101


def made_up(
    low: float, high: float, slope: np.ndarray = SLOPE, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Images between two greys, and labels that are right but for the last eleven."""
    chance = np.random.default_rng(seed)
    tokens = chance.uniform(low, high, (COUNT, 25, 9)).astype(np.float32)
    labels = (margins(slope, tokens, np.ones(COUNT, dtype=int)) > 0).astype(np.int64)
    labels[-11:] = 1 - labels[-11:]
    return tokens, labels


def greys(victim: Softmax, slope: np.ndarray = SLOPE) -> Images:
    tokens, labels = made_up(0.4, 0.6, slope)
    return images_of(victim, (tokens,), labels)


def broken(attacked: AttackedImages) -> np.ndarray:
    return attacked.attacked.right_before & ~attacked.attacked.right_after


def test_of_a_linear_model_fgsm_and_pgd_break_exactly_what_can_be_broken_in_linf() -> None:
    victim = two_classes(Softmax, SLOPE)
    images = greys(victim)
    distance = margins(SLOPE, images.inputs, images.labels) / np.abs(SLOPE).sum()
    shares = set()
    for budget in (0.002, 0.005, 0.009):
        worst_case = images.right & (distance < budget)
        shares.add(int(worst_case.sum()))
        assert np.abs(distance - budget).min() > 1e-6
        np.testing.assert_array_equal(broken(fgsm(victim, images, budget)), worst_case)
        np.testing.assert_array_equal(broken(pgd(victim, images, "linf", budget)), worst_case)
    assert len(shares) == 3 and min(shares) > 10 and max(shares) < 90


def test_at_the_edge_of_what_a_pixel_can_be_the_worst_case_is_the_room_there_is() -> None:
    victim = two_classes(Softmax, SLOPE)
    tokens, labels = made_up(-0.2, 1.2)
    images = images_of(victim, (np.clip(tokens, 0, 1),), labels)
    flat = images.inputs.reshape(COUNT, -1).astype(np.float64)
    up = (SLOPE > 0) != (images.labels == 1)[:, None]
    for budget in (0.01, 0.02, 0.04):
        room = np.minimum(np.where(up, 1 - flat, flat), budget)
        reach = (np.abs(SLOPE) * room).sum(axis=-1)
        assert (reach < budget * np.abs(SLOPE).sum() * 0.95).any()
        worst_case = images.right & (margins(SLOPE, images.inputs, images.labels) < reach)
        assert 5 < worst_case.sum() < 88
        np.testing.assert_array_equal(broken(fgsm(victim, images, budget)), worst_case)
        np.testing.assert_array_equal(broken(pgd(victim, images, "linf", budget)), worst_case)


def test_of_a_linear_model_pgd_breaks_what_can_be_broken_in_l2_to_three_hundredths() -> None:
    victim = two_classes(Softmax, SLOPE)
    images = greys(victim)
    distance = margins(SLOPE, images.inputs, images.labels) / np.linalg.norm(SLOPE)
    for budget in (0.02, 0.05, 0.09):
        found = broken(pgd(victim, images, "l2", budget))
        assert not found[distance > budget].any()
        assert found[images.right & (distance < 0.97 * budget)].all()
        assert 10 < found.sum() < 90


def test_no_attack_leaves_its_ball_or_what_a_pixel_can_be() -> None:
    victim = two_classes(Softmax, SLOPE)
    tokens, labels = made_up(-0.2, 1.2)
    images = images_of(victim, (np.clip(tokens, 0, 1),), labels)
    for found in bounded_attacks(victim, images, LAYOUT, queries=17):
        one = found.attacked
        delta = sizes(found.inputs - images.inputs, "linf" if one.family == "linf" else "l2")
        assert delta.max() <= one.budget * (1 + 1e-5)
        assert found.inputs.min() >= 0 and found.inputs.max() <= 1
        np.testing.assert_array_equal(one.changed, np.where(one.right_before, delta, 0))


def test_images_that_are_wrong_already_are_neither_asked_about_nor_changed() -> None:
    victim = two_classes(Softmax, SLOPE)
    images = greys(victim)
    assert (~images.right).sum() == 11
    for found in bounded_attacks(victim, images, LAYOUT, queries=5):
        one = found.attacked
        for values in (one.queries, one.candidates, one.changed):
            assert not values[~images.right].any()
            assert values[images.right].all()
        assert not one.right_after[~images.right].any()
        np.testing.assert_array_equal(found.inputs[~images.right], images.inputs[~images.right])


def test_queries_are_the_forward_passes_that_the_victim_was_asked_for() -> None:
    victim = two_classes(Softmax, SLOPE)
    images = greys(victim)
    victim.asked = 0
    for found in bounded_attacks(victim, images, LAYOUT, queries=29):
        asked, victim.asked = victim.asked, 0
        assert found.attacked.queries.sum() == asked > 0


def test_what_holds_is_searched_to_the_end_and_what_falls_no_further() -> None:
    victim = two_classes(Softmax, SLOPE)
    images = greys(victim)
    none, everything = pgd(victim, images, "linf", 1e-6), pgd(victim, images, "linf", 0.3)
    assert not broken(none).any()
    # A verdict a place, and but for the starts one gradient or, of the margin, two; a last verdict ends it.
    assert set(none.attacked.queries[images.right]) == {RESTARTS * (STEPS + 1) + STEPS + 2 * STEPS + 1}
    assert broken(everything)[images.right].all()
    assert everything.attacked.queries.max() < STEPS


def test_a_saturated_softmax_hides_nothing_from_the_margin() -> None:
    victim = two_classes(Softmax, 1e5 * SLOPE)
    images = greys(victim)
    distance = margins(SLOPE, images.inputs, images.labels) / np.abs(SLOPE).sum()
    worst_case = images.right & (distance < 0.005)
    fast = fgsm(victim, images, 0.005)
    assert (fast.attacked.candidates[images.right] == 0).mean() > 0.9
    np.testing.assert_array_equal(broken(pgd(victim, images, "linf", 0.005)), worst_case)
    assert worst_case.sum() > broken(fast).sum() + 20


def test_a_hidden_gradient_stops_gradient_attacks_and_not_square() -> None:
    masked, bare = two_classes(Quantised, STRIPED_SLOPE), two_classes(Softmax, STRIPED_SLOPE)
    chance, budget = np.random.default_rng(1), 0.2
    labels = chance.integers(0, 2, COUNT)
    # A quarter of the budget on the right side: in reach of an attack, far from what a random move does.
    towards = (STRIPED_SLOPE > 0) == (labels == 1)[:, None]
    tokens = 0.5 + 0.05 * np.where(towards, 1, -1) + chance.uniform(-0.1, 0.1, (COUNT, PIXELS))
    tokens = tokens.reshape(COUNT, 25, 9).astype(np.float32)
    hidden, seen = (images_of(victim, (tokens,), labels) for victim in (masked, bare))
    assert hidden.right.all() and seen.right.all()
    still, climbed = fgsm(masked, hidden, budget), pgd(masked, hidden, "linf", budget)
    assert not broken(still).any() and not still.attacked.candidates.any()
    assert not broken(climbed).any() and set(climbed.attacked.candidates) == {RESTARTS}
    assert not broken(random_noise(masked, hidden, "linf", budget)).any()
    assert broken(square(masked, hidden, LAYOUT, budget)).mean() > 0.95
    assert broken(square(bare, seen, LAYOUT, budget)).mean() > 0.95
    assert broken(fgsm(bare, seen, budget)).all()


def test_square_finds_no_more_than_there_is_and_most_of_what_is_well_within_reach() -> None:
    victim = two_classes(Softmax, STRIPED_SLOPE)
    images = greys(victim, STRIPED_SLOPE)
    distance = margins(STRIPED_SLOPE, images.inputs, images.labels) / np.abs(STRIPED_SLOPE).sum()
    budget = float(np.quantile(distance[images.right], 0.7))
    found = broken(square(victim, images, LAYOUT, budget))
    assert not found[distance > budget].any()
    within = images.right & (distance < budget / 2)
    assert within.sum() > 20 and found[within].mean() > 0.95


def test_square_takes_smaller_squares_as_it_goes() -> None:
    sides = [side_at(query, 300, 28) for query in range(1, 300)]
    assert sides == sorted(sides, reverse=True)
    assert sides[0] == round((0.8 / 2) ** 0.5 * 28) and sides[-1] == 1
    assert side_at(5, 10_000, 28) == 25 and side_at(11, 10_000, 28) == 18


def test_of_a_constant_model_nothing_is_broken_and_nothing_is_divided_by_zero() -> None:
    victim = Softmax(np.zeros((PIXELS, 3)), np.array([0.0, 1.0, 0.5]))
    tokens = made_up(0, 1)[0]
    images = images_of(victim, (tokens,), np.ones(COUNT, dtype=np.int64))
    assert images.right.all()
    for found in bounded_attacks(victim, images, LAYOUT, queries=11):
        assert not broken(found).any()


def test_where_the_victim_is_always_wrong_there_is_nothing_to_attack() -> None:
    victim = Softmax(np.zeros((PIXELS, 3)), np.array([0.0, 1.0, 0.5]))
    images = images_of(victim, (made_up(0, 1)[0],), np.zeros(COUNT, dtype=np.int64))
    victim.asked = 0
    for found in bounded_attacks(victim, images, LAYOUT):
        assert not found.attacked.right_after.any() and not found.attacked.queries.any()
    assert victim.asked == 0


def test_random_noise_is_as_large_as_its_budget_after_clipping() -> None:
    victim = Softmax(np.zeros((PIXELS, 2)), np.array([1.0, 0.0]))
    black = np.zeros((7, 25, 9), np.float32)
    images = images_of(victim, (black,), np.zeros(7, dtype=np.int64))
    for norm, budget in (("linf", 0.3), ("l2", 2.0)):
        found = random_noise(victim, images, norm, budget)  # type: ignore[arg-type]
        np.testing.assert_allclose(found.attacked.changed, budget, rtol=1e-5)
        assert len({one.tobytes() for one in found.inputs}) == 7


@functools.cache
def digits() -> tuple[Softmax, Images, PatchLayout]:
    """Softmax regression fitted to real digits, and ninety of the test images."""
    linear = pytest.importorskip("sklearn.linear_model")
    from test_tasks_digits import images as real

    data = real()
    fitted = linear.LogisticRegression(max_iter=300, C=0.01).fit(
        data.train_inputs[0][:1000].reshape(1000, -1), data.train_targets[:1000]
    )
    victim = Softmax(fitted.coef_.T, fitted.intercept_)
    inputs = data.test_inputs[0][:90]
    return victim, images_of(victim, (inputs,), data.test_targets[:90]), PatchLayout.of(inputs)


def test_on_real_digits_attacks_are_ordered_as_they_should_be() -> None:
    victim, images, layout = digits()
    attacked = list(bounded_attacks(victim, images, layout, queries=60))
    fell = {(one.attacked.attack, one.attacked.budget): int(broken(one).sum()) for one in attacked}
    for budget in LINF_BUDGETS:
        assert fell["random_linf", budget] <= fell["square", budget] <= fell["pgd_linf", budget]
        assert fell["fgsm", budget] <= fell["pgd_linf", budget]
    for budget in L2_BUDGETS:
        assert fell["random_l2", budget] <= fell["pgd_l2", budget]
    for attack, budgets in (("pgd_linf", LINF_BUDGETS), ("pgd_l2", L2_BUDGETS)):
        counts = [fell[attack, budget] for budget in budgets]
        assert counts == sorted(counts) and counts[-1] > counts[0] + 40
    assert fell["pgd_linf", 0.3] == images.right.sum() and fell["random_linf", 0.3] < 20


def test_of_ten_classes_pgd_breaks_nearly_all_that_a_linear_model_can_lose() -> None:
    victim, images, _ = digits()
    pixels = images.inputs.reshape(len(images.labels), -1).astype(np.float64)
    scores = pixels @ victim.weights + victim.bias
    reachable = np.zeros(len(pixels), dtype=bool)
    for rival in range(10):
        slope = (victim.weights[:, [rival]] - victim.weights[:, images.labels]).T
        room = np.minimum(np.where(slope > 0, 1 - pixels, pixels), 0.1)
        gap = scores[np.arange(len(pixels)), images.labels] - scores[:, rival]
        reachable |= images.right & (images.labels != rival) & ((np.abs(slope) * room).sum(axis=-1) > gap)
    found = broken(pgd(victim, images, "linf", 0.1))
    assert not (found & ~reachable).any()
    assert found.sum() >= 0.95 * reachable.sum() > 15


def test_the_same_seed_gives_the_same_attacks_and_another_seed_others() -> None:
    victim, images, layout = digits()
    first, again, other = (
        [one.inputs for one in bounded_attacks(victim, images, layout, seed=seed, queries=7)]
        for seed in (3, 3, 4)
    )
    for one, same, different in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(one, same)
        assert one.shape == different.shape
    differing = [not np.array_equal(one, different) for one, different in zip(first, other, strict=True)]
    # All but FGSM, which draws nothing.
    assert sum(differing) == len(first) - len(LINF_BUDGETS)


def test_random_places_fill_the_ball() -> None:
    chance = np.random.default_rng(0)
    cube = within_ball(chance, (4001, 1, 3), "linf", 0.5)
    assert np.abs(cube).max() <= 0.5 and np.abs(cube).mean() == pytest.approx(0.25, abs=0.01)
    lengths = sizes(within_ball(chance, (4001, 1, 3), "l2", 2.0), "l2")
    # Uniform in a ball of three dimensions: half of it lies beyond 2 * 0.5^(1/3).
    assert lengths.max() <= 2.0 and np.median(lengths) == pytest.approx(2 * 0.5 ** (1 / 3), abs=0.03)


def test_projection_ends_in_the_ball_and_between_black_and_white() -> None:
    chance = np.random.default_rng(0)
    originals = chance.random((13, 5, 7)).astype(np.float32)
    points = originals + chance.standard_normal(originals.shape).astype(np.float32)
    for norm, budget in (("linf", 0.11), ("l2", 0.7)):
        inside = bounded(points, originals, norm, budget)  # type: ignore[arg-type]
        assert sizes(inside - originals, norm).max() <= budget * (1 + 1e-6)  # type: ignore[arg-type]
        assert inside.min() >= 0 and inside.max() <= 1
        np.testing.assert_allclose(bounded(inside, originals, norm, budget), inside, atol=1e-7)  # type: ignore[arg-type]


def test_a_saturated_gradient_still_has_a_direction_in_l2() -> None:
    victim = two_classes(Softmax, SLOPE * 1e-24)
    tokens, labels = made_up(0.4, 0.6)
    images = Images(inputs=tokens, labels=labels, right=np.ones(COUNT, dtype=bool))
    found = pgd(victim, images, "l2", 0.01, steps=3, restarts=1)
    assert found.attacked.candidates.max() == 4


def test_answers_that_are_not_numbers_are_no_robustness() -> None:
    victim = Softmax(np.full((PIXELS, 2), np.nan), np.zeros(2))
    tokens, labels = made_up(0, 1)
    with pytest.raises(ArithmeticError, match="softmax@numpy answered logits that are not finite"):
        images_of(victim, (tokens,), labels)
    images = Images(inputs=tokens, labels=labels, right=np.ones(COUNT, dtype=bool))
    with pytest.raises(ArithmeticError, match="a gradient that is not finite"):
        fgsm(victim, images, 0.1)


def test_what_makes_no_sense_is_refused() -> None:
    victim = two_classes(Softmax, SLOPE)
    tokens, labels = made_up(0, 1)
    with pytest.raises(ValueError, match="pixels in 0 to 1"):
        images_of(victim, (tokens * 2,), labels)
    with pytest.raises(ValueError, match="budget of an attack must be above 0, got 0"):
        fgsm(victim, greys(victim), 0)
