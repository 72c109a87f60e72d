"""What a text classifier is put through: random edits, characters, words, embeddings, and fresh draws.

Black-box attacks run once at the largest budget of queries and are read off at the smaller ones; white-box
attacks run at each size. Every family has a random perturbation of its size, which an attack must beat.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from bench.schema import Task
from suites.attacks import embedding_attack
from suites.attacks.calibration import figures_of
from suites.attacks.campaign import Adversarial, Campaign, Figure
from suites.attacks.expectation import expectation
from suites.attacks.gates import Gate, gates
from suites.attacks.outcome import Attacked
from suites.attacks.random_edits import control
from suites.attacks.recipes import RECIPES, UNSUPPORTED
from suites.attacks.replacements import Replacements, content_words, in_glove, in_own_embedding, synonyms
from suites.attacks.text_attacks import BUDGETS, attack_texts
from suites.attacks.text_subject import TextSubject, text_subject
from suites.attacks.textattack_home import AttackUnsupported
from suites.attacks.texts import AttackedTexts
from suites.attacks.victim import Victim
from suites.attacks.victim_facts import victim_facts
from suites.tasks.data import TaskData

# A smoke run shows that an attack runs, not what it can do.
FEW_EXAMPLES, FEW_QUERIES = 20, (20,)


def attack(victim: Victim, data: TaskData, task: Task, examples: int, seed: int) -> Campaign:
    """Everything that is done to one model; `examples` test texts, the same ones for every variant."""
    subject = text_subject(data, task.max_length, examples)
    return OnTexts(victim=victim, data=data, subject=subject, seed=seed).campaign()


@dataclass(kw_only=True)
class OnTexts:
    """One campaign under way."""

    victim: Victim
    data: TaskData
    subject: TextSubject
    seed: int
    attacked: list[Attacked] = field(default_factory=list)
    adversarial: list[AttackedTexts] = field(default_factory=list)
    unsupported: dict[str, str] = field(default_factory=lambda: dict(UNSUPPORTED))

    def campaign(self) -> Campaign:
        """All attacks, one after another, and what the gates say of them."""
        for name in RECIPES:
            self._searched(name)
        self._embedded()
        inputs = self.subject.encode(self.subject.texts)
        facts = victim_facts(self.victim, inputs, self.subject.labels, known_share=self.subject.known_share())
        found: tuple[Gate, ...] = gates(facts, self.attacked)
        return Campaign(
            right=facts.right,
            attacked=tuple(self.attacked),
            gates=found,
            figures=dict(self._figures()),
            unsupported=self.unsupported,
            adversarial=tuple(map(_kept, self.adversarial)),
        )

    def _searched(self, name: str) -> None:
        budgets = FEW_QUERIES if len(self.subject.texts) <= FEW_EXAMPLES else BUDGETS
        try:
            table = self._replacements(name)
            found = attack_texts(
                self.victim, self.subject, name, replacements=table, budgets=budgets, seed=self.seed
            )
        except AttackUnsupported as reason:
            self.unsupported[name] = str(reason)
            return
        beside = control(self.victim, self.subject, found[-1], self.seed)
        self.attacked += [*(one.attacked for one in found), beside.attacked]
        self.adversarial.append(found[-1])

    def _replacements(self, name: str) -> Replacements | None:
        if not RECIPES[name].words:
            return None
        if name == "pwws":
            return synonyms(content_words(self.subject))
        try:
            return in_glove(self.subject)
        except AttackUnsupported:
            return in_own_embedding(self.victim, self.subject)

    def _embedded(self) -> None:
        ids, padding = self.subject.encode(self.subject.texts)
        tokens = embedding_attack.embedded_tokens(self.victim, ids, padding, self.subject.labels)
        for size in embedding_attack.SIZES:
            for way in (embedding_attack.pgd, embedding_attack.random_step):
                self.attacked.append(way(self.victim, tokens, size, seed=self.seed).attacked)
        # The check on gradients needs one size, and takes as many passes as all of the others.
        largest = embedding_attack.spsa(self.victim, tokens, embedding_attack.SIZES[-1], seed=self.seed)
        self.attacked.append(largest.attacked)

    def _figures(self) -> Iterator[tuple[Figure, np.ndarray]]:
        logits = self.victim.logits(self.data.test_inputs)
        for metric, values in figures_of(logits, self.data.test_targets).items():
            yield (metric, ""), values
        if self.victim.draws:
            for found in self.adversarial:
                yield (
                    ("expected_accuracy", f"{found.attacked.attack}/{found.attacked.budget:g}"),
                    self._expected(found),
                )

    def _expected(self, found: AttackedTexts) -> np.ndarray:
        clean, attacked = (self.subject.encode(texts) for texts in (self.subject.texts, found.texts))
        victim, seen = self.victim, self.subject.labels
        found_in_draws = expectation(
            victim, seen, lambda: victim.logits(clean), lambda: victim.logits(attacked)
        )
        return found_in_draws.attacked


def _kept(found: AttackedTexts) -> Adversarial:
    return Adversarial(
        attack=found.attacked.attack,
        budget=found.attacked.budget,
        family=found.attacked.family,
        texts=found.texts,
        fooled=tuple(found.fooled().tolist()),
    )
