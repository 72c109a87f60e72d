"""What a small training with fixed seeds and data comes to, and what attacks leave of it."""

from __future__ import annotations

from statistics import fmean

from .engine import TIMEOUT, ask, chosen, reasoned, rows, values

TASK = "digits"
# At sizes that leave something of a model that was trained for twenty steps, and no other attacks ever: the
# mean of those that happened to pass their gates would move with which they are.
ATTACKS = ("square/0.01", "pgd_linf/0.01", "pgd_l2/0.1")


class Scores:
    """One training each, at one rate and seed, and attacks on its weights; on PyTorch only, to save minutes.

    One seed tells of this training and of no other: a change here asks for `attnbench gate`, it proves none.
    """

    params = (tuple(name for name in chosen() if name.endswith("@torch")),)
    param_names = ("implementation",)
    timeout = TIMEOUT
    version = "1"
    unit = "fraction"

    def setup_cache(self) -> str:
        """One run of the commit's engine for all that is followed here."""
        options = ("--profile", "smoke", "--task", TASK, "--seed", "0")
        return ask("scores", ("accuracy", "robustness"), options, self.params[0])

    setup_cache.timeout = TIMEOUT  # type: ignore[attr-defined]

    @reasoned
    def track_accuracy_lost(self, folder: str, implementation: str) -> float:
        """One less accuracy on the task's test examples."""
        (taken,) = values(rows(folder, implementation, "accuracy", "accuracy", TASK))
        return 1.0 - fmean(taken)

    @reasoned
    def track_robust_accuracy_lost(self, folder: str, implementation: str) -> float:
        """One less accuracy under attack, the mean over `ATTACKS`; n/a where a gate doubts one of them."""
        shares = []
        for attack in ATTACKS:
            subject = f"{TASK}/{attack}"
            (taken,) = values(rows(folder, implementation, "robustness", "robust_accuracy", subject))
            shares.append(fmean(taken))
        return 1.0 - fmean(shares)
