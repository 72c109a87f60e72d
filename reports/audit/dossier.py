"""Everything that the sections of an audit are written from, worked out once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reports import formatting
from reports.audit.asked import Asked, Unit
from reports.audit.carbon import Estimate, Straight
from reports.audit.cases import Case, cases, over_lengths
from reports.audit.prices import Price, no_score, prices
from reports.audit.ranking import Ranking, rank
from reports.audit.readings import Reading, readings
from reports.audit.sensitivity import Flip, Pair, flips
from reports.frame import Results


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """A case with the price of one functional unit of each variant, their order, and what would change it."""

    case: Case
    prices: Mapping[str, Price]
    ranking: Ranking
    flips: tuple[Flip, ...] = ()
    no_score: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """The results, the auditor's inputs, and what follows from both. `written_at` is a moment in UTC, as ISO
    8601 text."""

    results: Results
    asked: Asked
    readings: tuple[Reading, ...]
    weighed: tuple[Weighed, ...]
    written_at: str
    curves: Mapping[tuple[str, str, str], Mapping[str, Mapping[int, Reading]]] = field(default_factory=dict)

    @property
    def cases(self) -> tuple[Case, ...]:
        """The cases, without prices."""
        return tuple(one.case for one in self.weighed)

    @property
    def modelled(self) -> tuple[Reading, ...]:
        """The readings whose energy no meter read."""
        return tuple(reading for reading in self.readings if not reading.read)


def dossier(results: Results, asked: Asked, written_at: str) -> Dossier:
    """Work everything out; raises ValueError for runs that hold no energy at all."""
    found = readings(results)
    suites = results.frame["suite"].isin(["energy", "task_energy"])
    if not found and not suites.any():
        raise ValueError(
            "these runs hold no energy: measure it with "
            "`attnbench run … --suite accuracy --suite task_energy --suite energy`"
        )
    curves = over_lengths(found)
    weighed = tuple(_weighed(results, case, asked, curves) for case in cases(results, found))
    return Dossier(
        results=results, asked=asked, readings=found, weighed=weighed, written_at=written_at, curves=curves
    )


def _weighed(
    results: Results,
    case: Case,
    asked: Asked,
    curves: Mapping[tuple[str, str, str], Mapping[str, Mapping[int, Reading]]],
) -> Weighed:
    found = prices(case, asked, asked.unit)
    ranking = rank(case, found, results.margin)
    mine = [
        curve
        for (environment, _, framework), curve in curves.items()
        if (environment, framework) == (case.environment_id, case.framework)
    ]
    mine = [curve for curve in mine if _of_phase(curve, asked.unit)]
    serving, training = prices(case, asked, "inference"), prices(case, asked, "training")
    found_flips = [
        flip
        for neighbours in ranking.neighbours
        if neighbours.told_apart
        for flip in flips(
            _pair(found, serving, training, (neighbours.cheaper, neighbours.dearer)), asked, mine
        )
    ]
    return Weighed(
        case=case,
        prices=found,
        ranking=ranking,
        flips=tuple(found_flips),
        no_score=no_score(case, asked, found),
    )


def _of_phase(curve: Mapping[str, Mapping[int, Reading]], unit: Unit) -> bool:
    """Whether made-up work is of the kind that the unit counts: steps for a training, forward passes else."""
    wanted = "train_step" if unit == "training" else "forward"
    return any(reading.phase == wanted for lengths in curve.values() for reading in lengths.values())


def _pair(
    found: Mapping[str, Price],
    serving: Mapping[str, Price],
    training: Mapping[str, Price],
    names: tuple[str, str],
) -> Pair:
    lines = [over_requests(serving.get(name), training.get(name)) for name in names]
    both = (lines[0], lines[1]) if lines[0] is not None and lines[1] is not None else None
    return Pair(cheaper=found[names[0]], dearer=found[names[1]], over_requests=both)


def over_requests(serving: Price | None, training: Price | None) -> Straight | None:
    """What n requests cost with their training; None where one of the two was not metered."""
    if serving is None or training is None or bool(serving.total) != bool(training.total):
        return None
    return Straight(
        fixed=training.estimate(training.deciding).mean, slope=serving.estimate(serving.deciding).mean
    )


def shown(estimate: Estimate, unit: str) -> tuple[str, str]:
    """An estimate and its interval in words."""
    return formatting.with_bounds(estimate.mean, estimate.low, estimate.high, unit)
