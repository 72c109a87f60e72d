"""TextAttack's searches on planted victims: what they must find, and the gates where they find nothing."""

import functools
import itertools
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import planted
import pytest

from suites.attacks import lexicon as wordnet
from suites.attacks.gates import gates, inconclusive
from suites.attacks.random_edits import control, edit_characters, matched_share, random_edits
from suites.attacks.recipes import RECIPES, UNSUPPORTED
from suites.attacks.replacements import Replacements
from suites.attacks.text_attacks import attack_texts
from suites.attacks.text_subject import TextSubject
from suites.attacks.textattack_home import STOPWORDS, AttackUnsupported, stopwords
from suites.attacks.texts import AttackedTexts
from suites.attacks.victim_facts import victim_facts

SUBJECT = planted.reviews(30)
BUDGETS = (4, 13, 200)
# Every word may become any that another kind of text has.
TABLE = Replacements(
    of=dict.fromkeys((*planted.GOOD, *planted.ABOUT_GOOD), planted.ABOUT_BAD)
    | dict.fromkeys((*planted.BAD, *planted.ABOUT_BAD), planted.ABOUT_GOOD),
    source="planted",
    notes="",
)
TEXT_ATTACKS = tuple(RECIPES)


@functools.cache
def attacked(victim: str, name: str) -> tuple[AttackedTexts, ...]:
    return attack_texts(getattr(planted, victim)(), SUBJECT, name, replacements=TABLE, budgets=BUDGETS)


IMPORT = """
import os, socket, logging
def refuse(*arguments): raise AssertionError(f"a connection to {arguments[-1]}")
socket.socket.connect = socket.getaddrinfo = refuse
mine, quiet = logging.getLogger("mine"), logging.getLogger("quiet")
quiet.disabled = True
before = dict(os.environ)
from suites.attacks.textattack_home import textattack
textattack().transformations
caches = ("HOME", "HF_HOME", "XDG_CACHE_HOME", "TFHUB_CACHE_DIR", "MPLCONFIGDIR", "TORCHINDUCTOR_CACHE_DIR")
for name in (*before, *caches, "USE_TF", "TOKENIZERS_PARALLELISM"):
    assert os.environ.get(name) == before.get(name), name
assert quiet.disabled and not mine.disabled
"""


def test_textattack_is_imported_without_network_without_a_word_and_without_a_trace(tmp_path: Path) -> None:
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT],
        env={
            "HOME": str(home),
            "TMPDIR": str(temporary),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": ":".join(filter(None, sys.path)),
        },
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(home.rglob("*")) == [] and list(temporary.rglob("*")) == []


def test_stop_words_are_ours_and_spare_negations() -> None:
    assert STOPWORDS.is_file() and {"not", "never", "n't", "the", "without"} <= stopwords()
    assert not stopwords() & {"good", "bad", "film"}


@pytest.mark.parametrize("name", TEXT_ATTACKS)
def test_an_attack_breaks_the_weak_victim_and_not_the_robust_one(name: str) -> None:
    weak, robust = (attacked(victim, name)[-1].attacked for victim in ("weak", "robust"))
    assert weak.right_before.all() and robust.right_before.all()
    assert weak.right_after.mean() < 0.5
    assert robust.right_after.all()
    assert robust.candidates.min() > 0


@pytest.mark.parametrize("name", TEXT_ATTACKS)
def test_the_texts_found_fool_the_victim_and_the_others_are_as_they_were(name: str) -> None:
    victim = planted.weak()
    for found in attacked("weak", name):
        right = SUBJECT.right(victim, found.texts)
        assert np.array_equal(right, found.attacked.right_after)
        kept = [text == original for text, original in zip(found.texts, SUBJECT.texts, strict=True)]
        assert np.array_equal(kept, found.attacked.right_after)
        assert np.array_equal(found.attacked.changed > 0, ~found.attacked.right_after)


@pytest.mark.parametrize("name", TEXT_ATTACKS)
def test_one_run_read_off_at_a_budget_is_the_run_with_that_budget(name: str) -> None:
    for found, budget in zip(attacked("weak", name), BUDGETS, strict=True):
        (alone,) = attack_texts(planted.weak(), SUBJECT, name, replacements=TABLE, budgets=(budget,))
        assert alone.texts == found.texts
        assert np.array_equal(alone.attacked.queries, found.attacked.queries)
        assert np.array_equal(alone.attacked.candidates, found.attacked.candidates)


@pytest.mark.parametrize("name", TEXT_ATTACKS)
def test_more_queries_never_leave_more_right_and_no_budget_is_overdrawn(name: str) -> None:
    runs = [found.attacked for found in attacked("weak", name)]
    for smaller, larger in itertools.pairwise(runs):
        assert not (larger.right_after & ~smaller.right_after).any()
    assert all(run.queries.max() <= run.budget for run in runs)
    assert runs[0].right_after.mean() > runs[-1].right_after.mean(), "the smallest budget should bind"


def test_wrong_answers_are_not_attacked_and_count_as_wrong() -> None:
    flipped = TextSubject(
        texts=SUBJECT.texts[:6], labels=1 - SUBJECT.labels[:6], vocabulary=SUBJECT.vocabulary, max_length=17
    )
    (found,) = attack_texts(planted.weak(), flipped, "deepwordbug", budgets=(20,))
    assert not found.attacked.right_before.any() and not found.attacked.right_after.any()
    assert not found.attacked.queries.any() and found.texts == flipped.texts


def test_function_words_are_never_changed() -> None:
    for name in TEXT_ATTACKS:
        for text, original in zip(attacked("weak", name)[-1].texts, SUBJECT.texts, strict=True):
            kept = [word in (planted.FOR, planted.AGAINST) for word in original.split()]
            assert [w for w, k in zip(text.split(), kept, strict=True) if k] == [
                w for w, k in zip(original.split(), kept, strict=True) if k
            ]


def test_limits_on_words_hold() -> None:
    changed = attacked("weak", "pruthi")[-1].attacked.changed
    assert changed.max() == pytest.approx(1 / 11)
    assert (
        attacked("weak", "word_swap")[-1].attacked.changed.max() <= 3 / 11
    )  # a quarter of eleven, rounded up


def test_global_generators_are_left_as_they_were() -> None:
    random.seed(5)
    np.random.seed(5)
    before = random.getstate(), np.random.get_state()[1].tolist()
    attack_texts(planted.weak(), SUBJECT, "deepwordbug", budgets=(20,))
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before


@pytest.mark.parametrize("name", ["deepwordbug", "pruthi"])
def test_an_attack_depends_on_its_own_seed_alone(name: str) -> None:
    def texts(state: int, seed: int) -> tuple[str, ...]:
        random.seed(state)
        np.random.seed(state)
        return attack_texts(planted.weak(), SUBJECT, name, budgets=(60,), seed=seed)[0].texts

    assert texts(1, 0) == texts(2, 0) != texts(1, 1)


@pytest.mark.parametrize("name", TEXT_ATTACKS)
def test_a_word_masked_to_see_what_it_weighs_is_no_success_and_no_candidate(name: str) -> None:
    for found in attacked("weak", name):
        assert not any(SUBJECT.unknown_word() in text.split() for text in found.texts)
    # Four queries: the text as it is, and at most three others, which all but Pruthi spend on masks.
    assert (attacked("weak", name)[0].attacked.candidates.max() == 0) == (name != "pruthi")


def everything(victim: planted.BagOfWords, subject: TextSubject = SUBJECT) -> tuple:
    facts = victim_facts(
        victim, subject.encode(subject.texts), subject.labels, known_share=subject.known_share()
    )
    found = [
        attack_texts(victim, subject, name, replacements=TABLE, budgets=BUDGETS)
        for name in ("deepwordbug", "word_swap")
    ]
    controls = [control(victim, subject, runs[-1], seed=0) for runs in found]
    runs = [run for runs in found for run in runs]
    return gates(facts, [one.attacked for one in (*runs, *controls)]), runs


def test_every_gate_holds_for_the_weak_victim_and_for_the_robust_one() -> None:
    for victim in (planted.weak(), planted.robust()):
        found, _ = everything(victim)
        assert [gate for gate in found if not gate.holds] == []
        assert {"candidates", "stronger than random", "more budget no easier"} <= {
            gate.name for gate in found
        }


def failures(victim: planted.BagOfWords, subject: TextSubject = SUBJECT) -> set[str]:
    return {gate.name for gate in everything(victim, subject)[0] if not gate.holds}


def test_a_constant_victim_is_inconclusive_by_name() -> None:
    assert {"not constant", "above chance"} <= failures(planted.Constant({}))


def test_a_victim_that_wavers_is_inconclusive_by_name() -> None:
    assert "deterministic" in failures(planted.Wavering({planted.FOR: 1.0, planted.AGAINST: -1.0}))


def test_a_vocabulary_that_does_not_match_is_no_robustness() -> None:
    # All words but the two function words are unknown to the model: nothing an attack does reaches it.
    foreign = TextSubject(
        texts=SUBJECT.texts,
        labels=SUBJECT.labels,
        vocabulary=tuple(
            word if word in (planted.FOR, planted.AGAINST) else f"{word}{word}" for word in SUBJECT.vocabulary
        ),
        max_length=17,
    )
    found, runs = everything(planted.robust(), foreign)
    assert all(run.attacked.right_after.all() for run in runs)
    assert {"vocabulary", "candidates"} <= {gate.name for gate in found if not gate.holds}
    assert "tokens are known" in inconclusive(found, "deepwordbug", 200)
    assert runs[0].attacked.candidates.max() == 0


def test_a_random_control_depends_on_seed_and_text_and_keeps_its_size() -> None:
    def made(victim: planted.BagOfWords, seed: int) -> AttackedTexts:
        return random_edits(
            victim, SUBJECT, name="random", family="character", change=edit_characters, share=0.3, seed=seed
        )

    one, same, other = made(planted.weak(), 1), made(planted.robust(), 1), made(planted.weak(), 2)
    assert one.texts == same.texts != other.texts
    assert one.attacked.changed.max() <= 3 / 11 + 1e-9


def test_a_control_changes_as_many_words_as_its_attack_did_where_it_succeeded() -> None:
    for name, family in (("pruthi", "character"), ("word_swap", "word")):
        attack = attacked("weak", name)[-1]
        found = control(planted.weak(), SUBJECT, attack, seed=0).attacked
        assert (found.kind, found.family, found.attack) == ("random", family, f"random_as_{name}")
        assert matched_share(found) <= matched_share(attack.attacked) + 1e-9
        assert found.right_after.mean() > attack.attacked.right_after.mean()


def test_a_word_attack_without_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="table"):
        attack_texts(planted.weak(), SUBJECT, "pwws")
    with pytest.raises(ValueError, match="2 queries"):
        attack_texts(planted.weak(), SUBJECT, "deepwordbug", budgets=(1,))


def test_logits_that_are_not_numbers_are_an_error() -> None:
    class Broken(planted.BagOfWords):
        def logits_of_embedded(self, embedded, padding):
            logits = super().logits_of_embedded(embedded, padding)
            return np.where(np.arange(len(logits))[:, None] == 2, np.nan, logits)

    with pytest.raises(ArithmeticError, match="finite"):
        attack_texts(Broken({planted.FOR: 1.0, planted.AGAINST: -1.0}), SUBJECT, "deepwordbug", budgets=(20,))


def test_attacks_that_cannot_be_made_say_why() -> None:
    assert {"textfooler", "textbugger", "bae", "clare"} <= set(UNSUPPORTED)
    assert not set(UNSUPPORTED) & set(RECIPES) and all(len(reason) > 20 for reason in UNSUPPORTED.values())


def test_without_wordnet_the_reason_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wordnet, "places", tuple)
    wordnet.lexicon.cache_clear()
    with pytest.raises(AttackUnsupported, match="wordnet-base"):
        wordnet.lexicon()
