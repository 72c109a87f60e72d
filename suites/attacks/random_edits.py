"""Random changes of the same size as an attack's: what an attack must beat to be called one."""

from __future__ import annotations

import random
import string
from collections.abc import Callable

import numpy as np

from suites.attacks.outcome import Attacked
from suites.attacks.text_subject import TextSubject, editable
from suites.attacks.texts import AttackedTexts, changed_share, verdict
from suites.attacks.victim import Victim

# Taken where the attack to be matched never succeeded: the usual limit of what still reads as the same text.
UNMATCHED_SHARE = 0.2

Change = Callable[[str, random.Random], str]


def edit_characters(word: str, chance: random.Random) -> str:
    """One random edit, as DeepWordBug's: neighbours swapped, a letter replaced, left out or put in."""
    kind = chance.choice(("swap", "replace", "delete", "insert"))
    place = chance.randrange(len(word) - 1 if kind == "swap" else len(word))
    letter = chance.choice(string.ascii_lowercase)
    if kind == "swap":
        return word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    if kind == "replace":
        return word[:place] + letter + word[place + 1 :]
    return word[:place] + (letter + word[place:] if kind == "insert" else word[place + 1 :])


def substitute_words(subject: TextSubject) -> Change:
    """A change of a word for any other of the vocabulary that an attack might choose."""
    words = [subject.vocabulary[place] for place in editable(subject.vocabulary)]

    def change(word: str, chance: random.Random) -> str:
        return chance.choice(words) if words else word

    return change


def matched_share(attacked: Attacked) -> float:
    """The median share of words that an attack changed where it succeeded."""
    fooled = attacked.right_before & ~attacked.right_after
    return float(np.median(attacked.changed[fooled])) if fooled.any() else UNMATCHED_SHARE


def control(victim: Victim, subject: TextSubject, found: AttackedTexts, seed: int) -> AttackedTexts:
    """Random changes of the family and the median size of an attack: its own control."""
    attack = found.attacked
    return random_edits(
        victim,
        subject,
        name=f"random_as_{attack.attack}",
        family=attack.family,
        change=edit_characters if attack.family == "character" else substitute_words(subject),
        share=matched_share(attack),
        seed=seed,
    )


def random_edits(
    victim: Victim, subject: TextSubject, *, name: str, family: str, change: Change, share: float, seed: int
) -> AttackedTexts:
    """One random perturbation a text, of `share` of its words (at least one).

    Which words and how depends on the seed and the text alone, so that variants given the same share are
    given the same texts.
    """
    texts = []
    for number, text in enumerate(subject.texts):
        words, chance = text.split(" "), random.Random(f"{seed}/{name}/{number}")
        places = editable(words)
        chance.shuffle(places)
        for place in places[: max(1, round(share * len(words)))]:
            words[place] = change(words[place], chance)
        texts.append(" ".join(words))
    right_before, right_after = verdict(victim, subject, texts)
    different = (subject.encode(texts)[0] != subject.encode(subject.texts)[0]).any(axis=1)
    attacked = Attacked(
        attack=name,
        kind="random",
        family=family,
        budget=1,
        unit="queries",
        right_before=right_before,
        right_after=right_after,
        queries=right_before.astype(int),
        changed=np.where(right_before, changed_share(subject.texts, texts), 0.0),
        candidates=(right_before & different).astype(int),
    )
    return AttackedTexts(attacked=attacked, texts=tuple(texts))
