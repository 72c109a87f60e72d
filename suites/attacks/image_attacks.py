"""Every attack on an image classifier, at every budget, in the order that a report tells them."""

from __future__ import annotations

from collections.abc import Iterator

from suites.attacks.corruptions import CORRUPTIONS, SEVERITIES, corruption
from suites.attacks.gradient_attacks import fgsm, pgd
from suites.attacks.image_search import L2_BUDGETS, LINF_BUDGETS, AttackedImages, Images
from suites.attacks.noise import random_noise
from suites.attacks.square_attack import QUERIES, square
from suites.attacks.victim import Victim
from suites.tasks.patches import PatchLayout


def bounded_attacks(
    victim: Victim, images: Images, layout: PatchLayout, *, seed: int = 0, queries: int = QUERIES
) -> Iterator[AttackedImages]:
    """The random control and the attacks, in Linf and then in L2, budget by budget from the smallest."""
    for budget in LINF_BUDGETS:
        yield random_noise(victim, images, "linf", budget, seed=seed)
        yield square(victim, images, layout, budget, seed=seed, queries=queries)
        yield fgsm(victim, images, budget)
        yield pgd(victim, images, "linf", budget, seed=seed)
    for budget in L2_BUDGETS:
        yield random_noise(victim, images, "l2", budget, seed=seed)
        yield pgd(victim, images, "l2", budget, seed=seed)


def all_corruptions(
    victim: Victim, images: Images, layout: PatchLayout, *, seed: int = 0
) -> Iterator[AttackedImages]:
    """Every corruption at every severity; raises DataMissing where JPEG cannot be written."""
    for name in CORRUPTIONS:
        for severity in SEVERITIES:
            yield corruption(victim, images, layout, name, severity, seed=seed)
