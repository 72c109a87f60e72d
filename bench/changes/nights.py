"""Steps of a nightly series told as what people act on: between which commits, which way, by how much."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from bench.changes.moved_together import common_steps
from bench.changes.walk import Step, find_steps
from bench.schema import Better

Kind: TypeAlias = Literal["worse", "better", "environment", "reference"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """One night of a series: `started_at` as the store writes it, `commit` "" where it is unknown."""

    value: float
    started_at: str
    commit: str
    environment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A step: `first` is the first night that carries it, `found` the night that said so.

    It came with a commit after `after_commit` up to `commit`. `change` is relative (0.03: 3% more) for a
    series of ratios and in the metric's unit otherwise. An `environment` change is no verdict on any commit.
    Of a `reference` one most series that are told against the same reference moved alike: it is the reference
    that moved, the other way.
    """

    kind: Kind
    first: int
    found: int
    change: float
    after_commit: str
    commit: str

    @property
    def commits(self) -> str:
        """The range as git takes it, shortened; says so where a commit is unknown or did not move."""
        before, after = (text[:10] or "unknown" for text in (self.after_commit, self.commit))
        return f"{before}..{after}" if before != after else f"at {after}"


def changes(
    series: Sequence[Sequence[Night]],
    *,
    better: Sequence[Better],
    ratios: Sequence[bool],
    smallest: Sequence[float],
    pools: Sequence[Hashable] | None = None,
    references: Sequence[Hashable] | None = None,
) -> list[list[Change]]:
    """The changes of each series of nights in their order in time; `better` says which way each improves.

    Where `ratios` is true, values are ratios or positive figures and steps are relative. `smallest` is the
    smallest change of a series worth a word, in the same terms. Series of one pool have the same smallest,
    and so have those that are ratios to one reference (None: to none).
    """
    answers: list[list[Change]] = [[] for _ in series]
    moments = _moments(series)
    for limit in sorted(set(smallest)):
        chosen = [i for i in range(len(series)) if smallest[i] == limit]
        values = [_values(series[i], ratios[i]) for i in chosen]
        marks = [environment_marks(series[i]) for i in chosen]
        mine = [moments[i] for i in chosen]
        steps = find_steps(
            values,
            marks,
            smallest=limit,
            pools=None if pools is None else [pools[i] for i in chosen],
            nights=mine,
        )
        told = [None if references is None else references[i] for i in chosen]
        shared = common_steps(values, mine, steps, told)
        for i, found, alike in zip(chosen, steps, shared, strict=True):
            answers[i] = [
                _change(series[i], step, "reference" if common else _kind(step, better[i]), ratios[i])
                for step, common in zip(found, alike, strict=True)
            ]
    return answers


def environment_marks(nights: Sequence[Night]) -> list[int]:
    """The nights that were measured in another environment than the night before."""
    return [i for i in range(1, len(nights)) if nights[i].environment != nights[i - 1].environment]


def _moments(series: Sequence[Sequence[Night]]) -> list[list[int]]:
    """Each night's place among all nights of all series."""
    places = {at: place for place, at in enumerate(sorted({n.started_at for one in series for n in one}))}
    return [[places[night.started_at] for night in one] for one in series]


def _values(nights: Sequence[Night], ratio: bool) -> list[float]:
    return [math.log(night.value) if ratio else night.value for night in nights]


def _change(nights: Sequence[Night], step: Step, kind: Kind, ratio: bool) -> Change:
    return Change(
        kind=kind,
        first=step.at,
        found=step.found,
        change=math.expm1(step.size) if ratio else step.size,
        after_commit=nights[step.at - 1].commit,
        commit=nights[step.at].commit,
    )


def _kind(step: Step, better: Better) -> Kind:
    if step.marked:
        return "environment"
    return "better" if (step.size < 0) == (better == "lower") else "worse"
