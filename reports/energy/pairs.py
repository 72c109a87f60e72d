"""Energy of each candidate against the reference that was metered beside it.

Windows of the arms were interleaved, so value i of one pairs with value i of the other; a launch gives the
mean of its windows' log ratios. Several launches are the evidence where there are some. A single launch has
its windows only: their interval holds what differs from window to window, and nothing of what differs from
process to process, so that verdict is provisional. Few launches are planned, and the one look on the way
(`bench.decisions`) is held to the level of a schedule of more: what it spends of the error rate is next to
nothing, so the verdict is taken at the whole of it.

Energy that was modelled or assumed is time multiplied by a power that nobody read: a verdict on it would
be the verdict on time once more. It is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any, TypeAlias

from bench.schema import Method, Verdict
from bench.statistics import judge
from bench.tiers import READ, weakest
from reports.comparison import Comparison, Effects, compared, with_estimate
from reports.frame import Results

SUITES = ("energy", "task_energy")
HEADLINE = "joules"
NOTHING_NEW = "energy here adds nothing to latency, so it is not ranked"

Launch: TypeAlias = tuple[str, int, int]
Windows: TypeAlias = dict[Launch, tuple[float, ...]]


def metered(results: Results, *metrics: str) -> Any:
    """The rows of both energy suites, of some metrics or of all."""
    rows = results.frame[results.frame["suite"].isin(SUITES)]
    return rows[rows["metric"].isin(metrics)] if metrics else rows


def energies(results: Results) -> Iterator[Comparison]:
    """A comparison for each candidate that has gross joules on work that its reference has them on."""
    rows = metered(results, HEADLINE)
    fine = rows[rows["status"] == "ok"]
    for (environment, _, _, subject), group in fine.groupby(
        ["environment_id", "framework", "suite", "subject"], sort=False
    ):
        reference = group[group["role"] == "reference"]
        candidates = group[group["role"] == "candidate"]
        if reference.empty:
            continue
        for implementation, mine in candidates.groupby("implementation", sort=False):
            names = (reference["implementation"].iloc[0], implementation, environment, subject)
            yield _comparison(results, reference, mine, names)


def unranked(comparison: Comparison) -> bool:
    """Whether its joules were modelled or assumed, so that no number of windows would decide it."""
    return comparison.axis == "energy" and comparison.method not in READ


def _comparison(results: Results, reference: Any, mine: Any, names: tuple[str, str, str, str]) -> Comparison:
    method = weakest([*reference["method"], *mine["method"]])
    first = mine.iloc[0]
    launches, reason = _launches(reference, mine, method)
    several = len(launches) > 1
    effects = tuple(map(fmean, launches)) if several else launches[0] if launches else ()
    common: dict[str, Any] = {
        "axis": "energy",
        "phase": first["phase"],
        "unit": "ratio",
        "series": first["series"],
        "planned": max(1, len(launches)),
        "method": method,
        "unit_of_evidence": "launch" if several else "window",
        "remarks": _remarks(reference, mine),
    }
    verdict = _refused(results, reason) if reason else _judged(results, effects, len(launches))
    return compared(first, names, **common, effects=effects, verdict=verdict)


def _judged(results: Results, effects: Effects, launches: int) -> Verdict:
    verdict = judge(effects, level=1 - results.alpha, margin=results.margin, better="lower")
    return replace(with_estimate(verdict, math.exp(fmean(effects)), "window"), launches=launches)


def _refused(results: Results, reason: str) -> Verdict:
    return Verdict(
        word="undecided",
        ratio=None,
        low=None,
        high=None,
        level=1 - results.alpha,
        margin=results.margin,
        launches=0,
        reason=reason,
    )


def _launches(reference: Any, mine: Any, method: Method) -> tuple[list[Effects], str]:
    """Log ratios of the windows of each launch, or none and the reason for that."""
    if method not in READ:
        told = "modelled" if method == "modelled" else "modelled with an assumed power"
        return [], f"{told}: {NOTHING_NEW}"
    beside, here = _windows(reference), _windows(mine)
    shared = sorted(set(beside) & set(here))
    if not shared:
        return [], "never metered in the same launch as its reference"
    paired = [launch for launch in shared if len(beside[launch]) == len(here[launch])]
    if not paired:
        counts = f"{len(here[shared[0]])} beside the reference's {len(beside[shared[0]])}"
        return [], f"its windows cannot be paired: {counts}"
    if any(min(*beside[launch], *here[launch]) <= 0 for launch in paired):
        return [], "the energy of a window is not above zero"
    return [_log_ratios(beside[launch], here[launch]) for launch in paired], ""


def _windows(rows: Any) -> Windows:
    keys = zip(rows["run"], rows["launch"], rows["seed"], strict=True)
    return {
        (run, int(launch), int(seed)): tuple(values)
        for (run, launch, seed), values in zip(keys, rows["values"], strict=True)
    }


def _log_ratios(reference: Sequence[float], mine: Sequence[float]) -> Effects:
    return tuple(math.log(own / other) for own, other in zip(mine, reference, strict=True))


def _remarks(reference: Any, mine: Any) -> tuple[str, ...]:
    here, beside = flagged(mine), flagged(reference)
    if not here[0] and not beside[0]:
        return ()
    counts = f"{here[0]} of {here[1]} windows, {beside[0]} of {beside[1]} of the reference's"
    return (f"load from outside above 10%: {counts}",)


def flagged(rows: Any) -> tuple[int, int]:
    """How many windows of some rows had a load from outside above a tenth of the machine, and of how many."""
    told = [re.fullmatch(r"(\d+) of (\d+)", str(details.get("flagged", ""))) for details in rows["details"]]
    counts = [(int(found[1]), int(found[2])) for found in told if found]
    return sum(count for count, _ in counts), sum(windows for _, windows in counts)
