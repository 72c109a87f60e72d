"""Transfer between planted victims, and the expectation over redrawn randomness."""

import dataclasses

import numpy as np
import planted
import pytest

from suites.attacks.expectation import expectation
from suites.attacks.outcome import Attacked
from suites.attacks.text_subject import text_subject
from suites.attacks.texts import AttackedTexts
from suites.attacks.transfer import Transfer, transfer
from suites.tasks.data import Source, TaskData

SUBJECT = planted.reviews(20)
SWAP = dict(zip((*planted.GOOD, *planted.BAD), (*planted.BAD, *planted.GOOD), strict=True))


def turned(count: int) -> AttackedTexts:
    """The first `count` texts with their content words turned round, as an attack on `weak` might."""
    texts = tuple(
        " ".join(SWAP.get(word, word) for word in text.split()) if number < count else text
        for number, text in enumerate(SUBJECT.texts)
    )
    after = np.arange(20) >= count
    every = np.ones(20, dtype=bool)
    attacked = Attacked(
        attack="word_swap", kind="black_box", family="word", budget=50, unit="queries", right_before=every,
        right_after=after, queries=every.astype(int), changed=(~after) * 0.2, candidates=every.astype(int),
    )  # fmt: skip
    return AttackedTexts(attacked=attacked, texts=texts)


def test_what_fools_the_weak_victim_fools_itself_and_not_the_robust_one() -> None:
    found = {"weak@numpy": turned(12)}
    entries = [transfer(victim, SUBJECT, found)[0] for victim in (planted.weak(), planted.robust())]
    assert [(one.tried, one.fooled, one.share) for one in entries] == [(12, 12, 1.0), (12, 0, 0.0)]
    assert [(one.source, one.target) for one in entries] == [
        ("weak@numpy", "weak@numpy"),
        ("weak@numpy", "robust@numpy"),
    ]


def test_only_inputs_that_both_had_right_are_tried() -> None:
    labels = SUBJECT.labels.copy()
    labels[:5] = 1 - labels[:5]
    (entry,) = transfer(planted.weak(), dataclasses.replace(SUBJECT, labels=labels), {"other": turned(12)})
    assert (entry.tried, entry.fooled) == (7, 7)


def test_nothing_tried_is_no_share() -> None:
    (entry,) = transfer(planted.robust(), SUBJECT, {"other": turned(0)})
    assert entry == Transfer(
        source="other", target="robust@numpy", attack="word_swap", budget=50, tried=0, fooled=0
    )
    assert entry.share is None


def test_texts_of_other_examples_are_refused() -> None:
    short = dataclasses.replace(turned(3), texts=turned(3).texts[:5])
    with pytest.raises(ValueError, match="5 texts where 20"):
        transfer(planted.weak(), SUBJECT, {"other": short})


def test_an_expectation_is_the_mean_over_draws_worked_out_one_by_one() -> None:
    victim, texts = planted.Drawn({}), turned(20).texts
    inputs, changed = SUBJECT.encode(SUBJECT.texts), SUBJECT.encode(texts)
    found = expectation(
        victim, SUBJECT.labels, lambda: victim.logits(inputs), lambda: victim.logits(changed), seeds=(1, 2, 3)
    )
    clean, after = np.zeros(20), np.zeros(20)
    for seed in (1, 2, 3):
        victim.redraw(seed)
        right = victim.logits(inputs).argmax(-1) == SUBJECT.labels
        clean += right / 3
        after += (right & (victim.logits(changed).argmax(-1) == SUBJECT.labels)) / 3
    assert np.allclose(found.clean, clean) and np.allclose(found.attacked, after)
    assert found.draws == 3 and len(set(found.clean.tolist())) > 1


def test_what_draws_nothing_has_no_expectation() -> None:
    with pytest.raises(ValueError, match="no randomness"):
        expectation(planted.weak(), SUBJECT.labels, dict, dict)


def task_data(texts: tuple[str, ...], vocabulary: tuple[str, ...]) -> TaskData:
    inputs = SUBJECT.encode(texts)
    labels = np.zeros(len(texts), dtype=np.int64)
    return TaskData(
        train_inputs=inputs,
        train_targets=labels,
        test_inputs=inputs,
        test_targets=labels,
        loss="cross_entropy",
        score="accuracy",
        source=Source(name="", version="", sha256="", licence="", origin=""),
        test_texts=texts,
        vocabulary=vocabulary,
    )


def test_texts_are_attacked_as_the_model_reads_them() -> None:
    texts = ("The FILM, with a story!", "Boring " * 40)
    subject = text_subject(task_data(texts, planted.VOCABULARY), planted.LENGTH, 2)
    assert subject.texts == ("the film , with a story !", " ".join(["boring"] * planted.LENGTH))
    assert subject.known_share() == pytest.approx(22 / 24)
    ids, _ = subject.encode([subject.unknown_word()])
    assert (ids[0] > 0).sum() == 1 and ids[0, 0] == 1


def test_a_vocabulary_that_is_not_the_models_is_refused() -> None:
    with pytest.raises(ValueError, match="do not encode"):
        text_subject(task_data(SUBJECT.texts, planted.VOCABULARY[1:]), planted.LENGTH, 20)
