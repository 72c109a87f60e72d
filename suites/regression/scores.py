"""What a small training with fixed seeds and data comes to, and what attacks leave of it."""

from __future__ import annotations

from statistics import fmean

from .engine import TIMEOUT, ask, chosen, reasoned, rows, values

TASK = "digits"
# At sizes that leave about two thirds of what is right. Always these: the mean of those that happen to pass
# their gates would move with which they are.
ATTACKS = ("square/0.01", "pgd_linf/0.01", "pgd_l2/0.1")


class Scores:
    """Three trainings each, and attacks on the first one's weights.

    To save minutes: on PyTorch only, and not for what computes what the reference computes.

    Three seeds tell of these trainings: a change here asks for `attnbench gate`, it proves none.
    """

    params = (tuple(name for name in chosen() if name.endswith("@torch") and name != "sdpa@torch"),)
    param_names = ("implementation",)
    timeout = TIMEOUT
    version = "1"
    unit = "fraction"

    def setup_cache(self) -> str:
        """One run of the commit's engine for all that is followed here."""
        options = ("--profile", "quick", "--task", TASK, "--seed", "0")
        return ask("scores", ("accuracy", "robustness"), options, self.params[0])

    setup_cache.timeout = TIMEOUT  # type: ignore[attr-defined]

    @reasoned
    def track_accuracy_lost(self, folder: str, implementation: str) -> float:
        """One less accuracy on the task's test examples, the mean over seeds."""
        return 1.0 - _mean(folder, implementation, "accuracy", "accuracy", TASK)

    @reasoned
    def track_robust_accuracy_lost(self, folder: str, implementation: str) -> float:
        """One less accuracy under attack, the mean over `ATTACKS`; n/a where a gate doubts one of them."""
        attacked = ("robustness", "robust_accuracy")
        return 1.0 - fmean(_mean(folder, implementation, *attacked, f"{TASK}/{name}") for name in ATTACKS)


def _mean(folder: str, implementation: str, suite: str, metric: str, subject: str) -> float:
    return fmean(fmean(taken) for taken in values(rows(folder, implementation, suite, metric, subject)))
