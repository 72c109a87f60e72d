"""What an image classifier is put through: noise, gradients, squares, corruptions, and other data.

Bounded attacks and their random control run at each size of the perturbation; all images are the first of the
test side, the same ones for every variant.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.schema import Task
from suites.attacks import out_of_distribution as elsewhere
from suites.attacks.calibration import figures_of
from suites.attacks.campaign import Campaign, Figure
from suites.attacks.gates import gates
from suites.attacks.image_attacks import all_corruptions, bounded_attacks
from suites.attacks.image_search import images_of
from suites.attacks.victim import Victim
from suites.attacks.victim_facts import victim_facts
from suites.tasks.data import DataMissing, TaskData
from suites.tasks.patches import PatchLayout


def attack(victim: Victim, data: TaskData, task: Task, examples: int, seed: int) -> Campaign:
    """Everything that is done to one model; raises ValueError for pixels outside 0 to 1."""
    inputs = [array[:examples] for array in data.test_inputs]
    images = images_of(victim, inputs, data.test_targets[:examples])
    layout = PatchLayout.of(images.inputs)
    attacked = [one.attacked for one in bounded_attacks(victim, images, layout, seed=seed)]
    unsupported: dict[str, str] = {}
    try:
        attacked += [one.attacked for one in all_corruptions(victim, images, layout, seed=seed)]
    except DataMissing as reason:
        unsupported["corruptions"] = str(reason)
    facts = victim_facts(victim, inputs, images.labels)
    figures: dict[Figure, np.ndarray] = {}
    try:
        figures.update(_figures(victim, data, layout, seed))
    except DataMissing as reason:
        unsupported["photographs"] = str(reason)
    return Campaign(
        right=images.right,
        attacked=tuple(attacked),
        gates=gates(facts, attacked),
        figures=figures,
        unsupported=unsupported,
    )


def _figures(
    victim: Victim, data: TaskData, layout: PatchLayout, seed: int
) -> Iterator[tuple[Figure, np.ndarray]]:
    own = data.test_inputs[0].astype(np.float32)
    logits = victim.logits((own,))
    for metric, values in figures_of(logits, data.test_targets).items():
        yield (metric, ""), values
    others = {
        "inverted": elsewhere.inverted(own),
        "rotated": elsewhere.rotated(own, layout),
        "uniform_noise": elsewhere.uniform_noise(own, seed),
    }
    if layout.channels == 1:
        others["photographs"] = elsewhere.photographs(layout, len(own))
    for name, tokens in others.items():
        foreign = victim.logits((tokens,))
        for score in elsewhere.SCORES:
            found = elsewhere.detection(score, name, logits, foreign)
            yield ("auroc", f"from {name}/{score}"), np.array([found.auroc])
            yield ("fpr95", f"from {name}/{score}"), np.array([found.fpr_at_95])
