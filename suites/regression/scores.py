"""What a small training with fixed seeds and data comes to, and what attacks leave of it."""

from __future__ import annotations

from statistics import fmean

from .engine import TIMEOUT, ask, chosen, reasoned, rows, skipped, values

TASK = "digits"


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
        """One less accuracy under attack, the mean over those attacks that could be believed."""
        found = rows(folder, implementation, "robustness", "robust_accuracy")
        attacked = [row for row in found if not row["subject"].startswith(f"{TASK}/random")]
        believed = [row for row in attacked if row["status"] == "ok"]
        if not believed:
            skipped(attacked[0]["reason"] if attacked else "no attack was made")
        return 1.0 - fmean(fmean(taken) for taken in values(believed))
