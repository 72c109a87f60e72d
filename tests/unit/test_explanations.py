"""Occlusion, AOPC, rollout and the randomisation test on models small enough to know the answer."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.measuring import Finding
from suites.explanations import aopc, randomisation, rollout
from suites.explanations.occlusion import Example, features_of, filler_of
from suites.explanations.rows import entropy, largest_logit, seen
from suites.explanations.shown import shown
from suites.explanations.study import Budget, Study, choose, study
from suites.explanations.written_out import WrittenOut
from suites.interpretability import UNITS, rows_of
from suites.tasks.data import Source, TaskData

WORDS = ("dull", "a", "film", "of", "rare", "charm", "and", "wit", "but", "long", "very", "slow")
BUDGET = Budget(examples=5, rolled=4, normalised=3, beam=2, draws=2, fewest=3, most=9)


class NoGradients:
    """What a victim has beside its logits, and nobody here asks for."""

    name = "made-up@numpy"
    classes = 2
    draws = False

    def loss_gradient(self, *given: Any) -> Any:
        raise AssertionError("explanations ask for no gradient")

    embed = logits_of_embedded = embedded_loss_gradient = redraw = loss_gradient


class BagOfWords(NoGradients):
    """Log-odds of class 1: the sum of the real tokens' weights; padding and the unknown word have none."""

    def __init__(self, weights: np.ndarray) -> None:
        self.weights = weights.astype(float)
        self.asked = 0

    def logits(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        tokens, padding = inputs
        self.asked += len(tokens)
        score = (self.weights[tokens] * padding).sum(axis=1)
        return np.stack([-score / 2, score / 2], axis=1)


class Tangled(NoGradients):
    """Any answer at all for each set of hidden patches: nothing is additive."""

    def __init__(self, seed: int, patches: int) -> None:
        self.odds = np.random.default_rng(seed).normal(size=2**patches) * 3

    def logits(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        (patches,) = inputs
        places = (patches[:, :, 0] @ 2 ** np.arange(patches.shape[1])).astype(int)
        return np.stack([np.zeros(len(places)), self.odds[places]], axis=1)


def weights_of_words() -> np.ndarray:
    return np.concatenate([[0.0, 0.0], np.random.default_rng(3).permutation(np.linspace(-1.1, 1.9, 12))])


def text_data(lengths: Sequence[int] = (7, 2, 5, 9, 12, 6, 4, 8)) -> TaskData:
    generator = np.random.default_rng(5)
    tokens = np.zeros((len(lengths), 13), dtype=np.int64)
    for row, length in zip(tokens, lengths, strict=True):
        row[:length] = generator.choice(np.arange(2, 14), length, replace=False)
    return _data((tokens, tokens != 0), vocabulary=WORDS)


def _data(inputs: tuple[np.ndarray, ...], **more: Any) -> TaskData:
    targets = np.zeros(len(inputs[0]), dtype=np.int64)
    return TaskData(
        train_inputs=inputs,
        train_targets=targets,
        test_inputs=inputs,
        test_targets=targets,
        loss="cross_entropy",
        score="accuracy",
        source=Source(name="made up", version="3", sha256="beef", licence="none", origin="this file"),
        **more,
    )


def example_of(victim: Any, row: int = 0) -> Example:
    data = text_data()
    inputs = tuple(array[row] for array in data.test_inputs)
    return Example(victim, inputs, filler_of(data), features_of(inputs, 64))


def tangled(patches: int, seed: int) -> Example:
    inputs = (np.ones((patches, 1)),)
    return Example(Tangled(seed, patches), inputs, np.zeros(1), features_of(inputs, 64))


def test_occlusion_of_a_linear_model_orders_words_by_their_weights() -> None:
    weights = weights_of_words()
    example = example_of(BagOfWords(weights))
    own = weights[example.inputs[0][: example.features]]
    toward = own if example.label == 1 else -own
    np.testing.assert_array_equal(aopc.falling(example.importance()), aopc.falling(toward))
    total = own.sum() if example.label == 1 else -own.sum()
    expected = np.log1p(np.exp(-(total - toward))) - np.log1p(np.exp(-total))
    np.testing.assert_allclose(example.importance(), expected, rtol=1e-12)


def test_occlusion_hides_real_tokens_only_and_counts_what_it_asks() -> None:
    victim = BagOfWords(weights_of_words())
    example = example_of(victim)
    importance = example.importance()
    assert example.features == 7 == len(importance)
    assert example.passes == victim.asked == 8
    assert example.gathered(np.arange(13.0)).tolist() == [0, 1, 2, 3, 4, 5, 6]
    before = example.inputs[0].copy()
    example.log_probabilities(np.ones((1, 7), dtype=bool))
    np.testing.assert_array_equal(example.inputs[0], before)


def test_hidden_patches_become_the_mean_patch_of_training() -> None:
    patches = np.random.default_rng(0).random((11, 5, 3))
    filler = filler_of(_data((patches,)))
    np.testing.assert_allclose(filler, patches.reshape(-1, 3).mean(axis=0))


def test_an_image_of_many_patches_is_hidden_in_square_blocks() -> None:
    whole = features_of((np.zeros((9, 4)),), 16)
    assert [places.tolist() for places in whole] == [[place] for place in range(9)]
    blocks = features_of((np.zeros((36, 1)),), 9)
    assert len(blocks) == 9 and blocks[0].tolist() == [0, 1, 6, 7] and blocks[5].tolist() == [16, 17, 22, 23]
    uneven = features_of((np.zeros((25, 1)),), 9)
    assert [len(places) for places in uneven] == [4, 4, 2, 4, 4, 2, 2, 2, 1]
    stretches = features_of((np.zeros((10, 1)),), 3)
    assert [places.tolist() for places in stretches] == [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9]]


def test_what_is_hidden_together_answers_as_its_parts_hidden_at_once() -> None:
    inputs, victim = (np.ones((4, 1)),), Tangled(0, 4)
    example = Example(victim, inputs, np.zeros(1), [np.array([0, 3]), np.array([1, 2])])
    apart = Example(victim, inputs, np.zeros(1), features_of(inputs, 4))
    together = apart.log_probabilities(np.array([[True, False, False, True], [False, True, True, False]]))
    np.testing.assert_array_equal(example.log_probabilities(np.eye(2, dtype=bool)), together)
    assert example.gathered(np.array([0.1, 0.2, 0.3, 0.4])) == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("row", [0, 2, 3])
def test_the_exact_order_has_a_normalised_aopc_of_one_and_its_reverse_of_zero(row: int) -> None:
    """Both for exact limits (5 and 7 words) and for a beam of one (9 words)."""
    example = example_of(BagOfWords(weights_of_words()), row)
    found = aopc.limits(example, beam=1)
    comprehensiveness, sufficiency = aopc.both_ends(example, example.importance())
    assert found.exact == (example.features <= aopc.EXACT_FEATURES)
    assert found.normalised(comprehensiveness) == pytest.approx(1.0, abs=1e-9)
    assert found.normalised(sufficiency) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_exact_limits_are_those_of_all_orders(seed: int) -> None:
    example = tangled(5, seed)
    all_orders = [aopc.aopc(example, np.array(order)) for order in itertools.permutations(range(5))]
    found = aopc.limits(example, beam=1)
    assert found.exact
    assert (found.lowest, found.highest) == pytest.approx((min(all_orders), max(all_orders)), abs=1e-12)


def test_a_beam_stays_within_the_exact_limits_and_reaches_them_once_it_is_wide(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    narrow_misses = 0
    for seed in range(8):
        example = tangled(7, seed)
        exact = aopc.limits(example, beam=1)
        with monkeypatch.context() as patched:
            patched.setattr(aopc, "EXACT_FEATURES", 0)
            narrow = aopc.limits(example, beam=1)
            patched.setattr(aopc, "EXACT_FEATURES", 0)
            wide = aopc._search(example, 35, highest=False), aopc._search(example, 35, highest=True)
        assert exact.lowest - 1e-12 <= narrow.lowest <= narrow.highest <= exact.highest + 1e-12
        narrow_misses += narrow.highest < exact.highest - 1e-9
        assert example.probability - wide[0] == pytest.approx(exact.highest, abs=1e-12)
        assert example.probability - wide[1] == pytest.approx(exact.lowest, abs=1e-12)
    assert narrow_misses


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), patches=st.integers(2, 11), beam=st.integers(1, 3))
def test_normalised_aopc_lies_within_zero_and_one_for_any_order(seed: int, patches: int, beam: int) -> None:
    example = tangled(patches, seed)
    ends = aopc.both_ends(example, np.random.default_rng(seed).normal(size=patches))
    found = aopc.limits(example, beam).widened(ends)
    for end in ends:
        place = found.normalised(end)
        assert place is not None and 0.0 <= place <= 1.0


def test_a_model_that_nothing_changes_has_no_normalised_aopc() -> None:
    example = example_of(BagOfWords(np.zeros(14)))
    assert aopc.limits(example, beam=2).normalised(0.0) is None


def test_an_order_must_name_each_feature_once() -> None:
    with pytest.raises(ValueError, match="each of 7 features once"):
        aopc.aopc(example_of(BagOfWords(weights_of_words())), np.zeros(7, dtype=int))
    with pytest.raises(ValueError, match="at least 1 order"):
        aopc.limits(example_of(BagOfWords(weights_of_words())), beam=0)


def test_rollout_of_two_layers_is_that_done_by_hand() -> None:
    first = np.array([[1.0, 0.0], [0.5, 0.5]])
    second = np.array([[0.2, 0.8], [0.6, 0.4]])
    rows = np.stack([first, second])[:, None, None]
    # A_1 = [[1, 0], [.25, .75]], A_2 = [[.6, .4], [.3, .7]], R = A_2 A_1.
    np.testing.assert_allclose(rollout.rollout(rows)[0], [[0.7, 0.3], [0.475, 0.525]], rtol=1e-12)
    shares = rollout.importance([first[None, None], second[None, None]], np.ones((1, 2), dtype=bool))
    np.testing.assert_allclose(shares, [[0.5875, 0.4125]], rtol=1e-12)


def test_rollout_averages_heads_takes_sizes_and_leaves_blind_queries_to_themselves() -> None:
    heads = np.zeros((1, 1, 2, 3, 3))
    heads[0, 0, 0, 0], heads[0, 0, 1, 0] = [0.5, -1.5, 0.0], [0.5, -0.5, 1.0]
    heads[0, 0, :, 1] = [0.0, 0.0, 5.0]
    expected = [[0.5 + 0.125, 0.25, 0.125], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]]
    np.testing.assert_allclose(rollout.rollout(heads)[0], expected, rtol=1e-12)
    with pytest.raises(ValueError, match=r"\[layers, n, heads, time, time\]"):
        rollout.rollout(heads[0])


def test_padding_gets_no_share_of_a_rollout() -> None:
    rows = np.full((1, 2, 5, 5), 0.25)
    rows[..., 4] = 0.0
    padding = np.array([[True] * 4 + [False]])
    shares = rollout.importance([rows], padding)
    np.testing.assert_allclose(shares, [[0.25, 0.25, 0.25, 0.25, 0.0]], rtol=1e-12)


def test_entropy_is_the_logarithm_of_what_is_seen_for_even_weights_and_nothing_for_one_token() -> None:
    padding = np.array([[True, True, True, False], [True, True, True, True]])
    visible = seen(4, padding, causal=False)
    even = visible[:, None] / np.maximum(visible.sum(axis=-1), 1)[:, None, :, None]
    nats, share = entropy(even, visible)
    assert share == pytest.approx(1.0) and nats == pytest.approx((3 * np.log(3) + 4 * np.log(4)) / 7)
    assert entropy(np.eye(4)[None, None].repeat(2, axis=0), visible) == pytest.approx((0.0, 0.0))
    with pytest.raises(ValueError, match="more than one token"):
        entropy(np.ones((1, 1, 1, 1)), np.ones((1, 1, 1), dtype=bool))


def test_the_largest_logit_is_one_that_is_seen() -> None:
    scores = np.array([[[[1.0, 2.0, 90.0], [-3.0, 0.5, 70.0], [60.0, 50.0, 40.0]]]])
    rows = np.array([[[[0.4, 0.0, 0.0], [0.1, 0.9, 0.0], [0.3, 0.3, 0.4]]]])
    padding = np.array([[True, True, False]])
    visible = seen(3, padding, causal=False)
    assert largest_logit(rows, scores, visible) == 1.0
    doubled = np.concatenate([scores, scores + 5], axis=1)
    assert largest_logit(rows, doubled, visible) == 6.0


def test_redrawn_weights_keep_their_numbers_and_lose_their_order() -> None:
    weights = {"a.kernel": np.arange(30.0).reshape(5, 6), "norm.scale": np.ones(4), "longest": np.array(7)}
    again = randomisation.redrawn(weights, 1)
    assert sorted(again["a.kernel"].ravel()) == sorted(weights["a.kernel"].ravel())
    assert (again["a.kernel"] != weights["a.kernel"]).mean() > 0.5
    assert again["longest"] is weights["longest"] and (again["norm.scale"] == 1).all()
    np.testing.assert_array_equal(again["a.kernel"], randomisation.redrawn(weights, 1)["a.kernel"])
    assert (again["a.kernel"] != randomisation.redrawn(weights, 2)["a.kernel"]).any()


def test_rank_correlation_and_what_it_is_without_ranks() -> None:
    falling = np.array([4.0, 3.0, 2.0, -8.0])
    assert randomisation.rank_correlation(falling, np.array([9.0, 2.0, 1.5, 1.0])) == pytest.approx(1.0)
    assert randomisation.rank_correlation(falling, -falling) == pytest.approx(-1.0)
    assert randomisation.rank_correlation(falling, np.ones(4)) == 0.0
    assert randomisation.rank_correlation(np.ones(4), np.ones(4)) == 1.0
    with pytest.raises(ValueError, match="at least 2"):
        randomisation.rank_correlation(np.ones(1), np.ones(1))


def test_the_gate_fires_beyond_its_threshold_and_not_at_it() -> None:
    assert randomisation.verdict([0.5, 0.5]) == ""
    assert randomisation.verdict([0.2, -0.3, 0.1]) == ""
    assert "explains the architecture, not the model" in randomisation.verdict([0.9, 0.4])
    assert "correlate by -0.80" in randomisation.verdict([-0.8])
    with pytest.raises(ValueError, match="at least one"):
        randomisation.verdict([])


def no_rows() -> WrittenOut:
    raise NotImplementedError("it is a bag of words")


def studied(victim: BagOfWords, insert: Any = None, budget: Budget = BUDGET) -> Study:
    def set_weights(weights: Mapping[str, np.ndarray]) -> None:
        victim.weights = weights["words"]

    weights = {"words": victim.weights.copy()}
    return study(victim, text_data(), weights, insert or set_weights, no_rows, budget)


def test_examples_are_the_first_that_fit_the_budget() -> None:
    assert choose(text_data(), BUDGET) == [0, 2, 3, 5, 6]
    with pytest.raises(Finding, match="no test example has 3 to 9 tokens"):
        choose(text_data((1, 2, 12)), BUDGET)
    with pytest.raises(NotImplementedError, match="hidden one by one"):
        choose(_data((np.zeros((3, 4, 4, 3)),)), BUDGET)


def test_a_budget_is_in_proportion_and_depends_on_lengths_alone() -> None:
    assert Budget.of(100) == Budget() and Budget.of(0).examples == Budget.of(0).rolled == 2
    assert Budget.of(500).examples == 160 and Budget.of(500).beam == Budget().beam
    assert [Budget().looked_at(length) for length in (13, 64, 128, 196)] == [16, 16, 4, 2]
    two = studied(BagOfWords(weights_of_words()), budget=replace(BUDGET, searched=256 + 64))
    assert two.faithfulness["occlusion"].normalised == (0, 2) and two.searched == 2
    none = studied(BagOfWords(weights_of_words()), budget=replace(BUDGET, longest=12))
    assert "attention of 13 tokens is not looked at" in none.refused


def test_a_study_scores_every_example_and_leaves_the_weights_as_they_were() -> None:
    victim = BagOfWords(weights_of_words())
    found = studied(victim)
    one = found.faithfulness["occlusion"]
    assert one.chosen == (0, 2, 3, 5, 6) and one.normalised == (0, 2, 3)
    assert one.naopc == pytest.approx((1.0, 1.0, 1.0), abs=1e-9)
    assert all(c >= s for c, s in zip(one.comprehensiveness, one.sufficiency, strict=True))
    assert found.refused == "it is a bag of words" and found.passes == victim.asked
    np.testing.assert_array_equal(victim.weights, weights_of_words())


def test_an_explanation_that_ignores_the_weights_is_inconclusive_and_has_no_figure() -> None:
    """This victim keeps its weights whatever is set: its explanation cannot be one of what was learnt."""
    found = studied(BagOfWords(weights_of_words()), insert=lambda weights: None)
    rows = {row["metric"]: row for row in rows_of(found, text_data(), BUDGET)}
    assert rows["randomisation_correlation"]["values"] == pytest.approx((1.0,) * 5)
    for metric in ("naopc", "aopc_comprehensiveness", "aopc_sufficiency"):
        assert rows[metric]["status"] == "inconclusive" and rows[metric]["values"] == ()
        assert "explains the architecture, not the model" in rows[metric]["reason"]


def test_every_metric_has_a_row_and_what_there_is_not_says_why() -> None:
    rows = {
        row["metric"]: row for row in rows_of(studied(BagOfWords(weights_of_words())), text_data(), BUDGET)
    }
    assert set(rows) == set(UNITS)
    assert rows["naopc"]["status"] == "ok" and len(rows["naopc"]["values"]) == 3
    assert json.loads(rows["naopc"]["details"]["examples"]) == [0, 2, 3]
    assert rows["naopc"]["details"]["exact_limits"] == "2 of 3"
    for metric in ("naopc_rollout", "rollout_occlusion_correlation", "attention_entropy", "largest_logit"):
        assert (rows[metric]["status"], rows[metric]["reason"]) == ("unsupported", "it is a bag of words")


def test_a_model_that_nothing_changes_is_no_figure_either() -> None:
    rows = {row["metric"]: row for row in rows_of(studied(BagOfWords(np.zeros(14))), text_data(), BUDGET)}
    # All importances are 0, trained or not: that alone keeps them from being believed.
    assert rows["naopc"]["status"] == "inconclusive"


def test_the_example_shown_has_an_importance_for_each_word() -> None:
    data = text_data()
    told = json.loads(shown(studied(BagOfWords(weights_of_words())), data))
    assert told["kind"] == "text" and len(told["words"]) == len(told["occlusion"]) == 7
    assert told["words"] == [WORDS[number - 2] for number in data.test_inputs[0][0][:7]]
    assert told["rollout"] is None


@pytest.mark.parametrize(
    ("shape", "side", "pixels"), [((9, 4), 3, (6, 6)), ((9, 5), 3, (3, 3)), ((6, 4), 6, (1, 6))]
)
def test_the_image_shown_is_put_together_from_its_patches(
    shape: tuple[int, int], side: int, pixels: tuple[int, int]
) -> None:
    patches = np.random.default_rng(1).random((7, *shape))
    data = _data((patches,))

    class Brightness(BagOfWords):
        def logits(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
            score = (inputs[0].mean(axis=2) @ np.linspace(-1, 1, shape[0])) * self.weights[0]
            return np.stack([-score, score], axis=1)

    victim = Brightness(np.array([2.0]))
    told = json.loads(shown(study(victim, data, {}, lambda weights: None, no_rows, BUDGET), data))
    assert (told["side"], np.shape(told["pixels"]), len(told["occlusion"])) == (side, pixels, shape[0])
    if pixels == (6, 6):
        # Second patch of the first row: columns 2 and 3 of the first two rows.
        np.testing.assert_allclose(np.array(told["pixels"])[:2, 2:4], patches[0, 1].reshape(2, 2), atol=1e-4)
