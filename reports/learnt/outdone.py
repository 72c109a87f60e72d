"""Tasks on which a control or a baseline is at least as good as every variant: their scores say little of
attention, and the page says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports import formatting
from reports.directions import better, is_control
from reports.estimates import Figure

_TITLES = {"tfidf_logistic_regression": "TF-IDF with logistic regression"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outdone:
    """`rival` is a control or a baseline, `best` the best of the variants, `clearly` whether the rival's mean
    is better, not only as good."""

    rival: Figure
    best: Figure
    clearly: bool


def in_short(found: Sequence[Outdone]) -> list[str]:
    """Who they are and what they do, with their scores: who is better first, then who is as good."""
    return [_said(group) for group in _groups(found)]


def sentences(found: Sequence[Outdone]) -> list[str]:
    """The same with the variant that comes nearest."""
    return [
        f"{_said(group)[0].upper()}{_said(group)[1:]}: the best of them, {group[0].best.implementation}, has "
        f"{_shown(group[0].best)}."
        for group in _groups(found)
    ]


def _groups(found: Sequence[Outdone]) -> list[list[Outdone]]:
    groups = [[one for one in found if one.clearly], [one for one in found if not one.clearly]]
    return [group for group in groups if group]


def _said(group: Sequence[Outdone]) -> str:
    who = formatting.listed([f"{_name(one.rival)} ({_shown(one.rival)})" for one in group])
    several = len(group) > 1
    if group[0].clearly:
        return f"{who} {'beat' if several else 'beats'} every variant here"
    return f"{who} {'are' if several else 'is'} as good as every variant here"


def outdone(
    figures: Sequence[Figure], subject: str, metric: str, environment: str = ""
) -> tuple[Outdone, ...]:
    """Controls and baselines whose mean score is at least every variant's, the best first; those of one
    environment where it is named."""
    sign = -1.0 if better("accuracy", metric) == "lower" else 1.0
    scored = {
        f: sign * f.estimate
        for f in figures
        if (f.suite, f.subject, f.metric) == ("accuracy", subject, metric)
        and f.estimate is not None
        and environment in ("", f.environment_id)
    }
    rivals = [f for f in scored if f.role == "baseline" or is_control(f.variant)]
    variants = [f for f in scored if f not in rivals and f.role in ("reference", "candidate")]
    if not variants:
        return ()
    best = max(variants, key=scored.__getitem__)
    return tuple(
        Outdone(rival=rival, best=best, clearly=scored[rival] > scored[best])
        for rival in sorted(rivals, key=scored.__getitem__, reverse=True)
        if scored[rival] >= scored[best]
    )


def _name(figure: Figure) -> str:
    if figure.role == "baseline":
        return _TITLES.get(figure.variant, figure.variant.replace("_", " "))
    return f"the control {figure.implementation}"


def _shown(figure: Figure) -> str:
    return formatting.quantity(figure.estimate, figure.unit)
