"""Do texts that fool one variant fool another? One row of the transfer matrix for each victim, one at a time.

Of a source's adversarial texts those count that both had right before, so that an entry tells about the
attack and not about what the target could not do anyway (Papernot et al. 2016, arXiv 1605.07277).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from suites.attacks.text_subject import TextSubject
from suites.attacks.texts import AttackedTexts
from suites.attacks.victim import Victim


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """How many of the texts that fooled `source`, `tried` on `target`, fooled it too."""

    source: str
    target: str
    attack: str
    budget: float
    tried: int
    fooled: int

    @property
    def share(self) -> float | None:
        """``fooled / tried``; None where no text could be tried."""
        return self.fooled / self.tried if self.tried else None


def transfer(
    victim: Victim, subject: TextSubject, found: Mapping[str, AttackedTexts]
) -> tuple[Transfer, ...]:
    """One entry for each source in `found`, with this victim as the target; itself among them is a check.

    Raises:
        ValueError: texts of a source are not one for each of the subject's.
    """
    right = subject.right(victim, subject.texts)
    entries = []
    for source, attacked in found.items():
        if len(attacked.texts) != len(subject.texts):
            raise ValueError(
                f"{source} has {len(attacked.texts)} texts where {len(subject.texts)} were attacked"
            )
        tried = attacked.fooled() & right
        stands = subject.right(victim, attacked.texts)
        entries.append(
            Transfer(
                source=source,
                target=victim.name,
                attack=attacked.attacked.attack,
                budget=attacked.attacked.budget,
                tried=int(tried.sum()),
                fooled=int((tried & ~stands).sum()),
            )
        )
    return tuple(entries)
