"""How joules came to be known, line by line: components and tiers, the method's error, idle, windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Any

from bench.tiers import READ
from reports import formatting
from reports.energy.pairs import HEADLINE, flagged


def known(rows: Any) -> list[tuple[str, str]]:
    """Lines on all rows of the energy suites; a thing that no row tells of has none."""
    fine = rows[rows["status"] == "ok"]
    gross = fine[fine["metric"] == HEADLINE]
    lines = [
        ("Tier", _tiers(gross)),
        ("Components", _told(gross, "components")),
        ("Read with", formatting.listed(list(dict.fromkeys(gross["tool"])))),
        ("Model", _told(gross, "model")),
        ("Error of the method", "; ".join(_method_errors(gross))),
        ("Idle power", "; ".join(_idle(fine[fine["metric"] == "idle_watts"]))),
        ("Windows", _windows(gross)),
        ("Load from outside", _load(gross, fine[fine["metric"] == "outside_load"])),
        ("Weights", _weights(gross)),
    ]
    return [(title, text) for title, text in lines if text]


def _tiers(rows: Any) -> str:
    """Each tier with how many of the figures have it, where there are several."""
    counts = {method: int((rows["method"] == method).sum()) for method in dict.fromkeys(rows["method"])}
    if len(counts) < 2:
        return "".join(counts)
    return ", ".join(f"{method} ({count} of {len(rows)})" for method, count in counts.items())


def _details(rows: Any, *names: str) -> list[tuple[str, ...]]:
    """What the rows tell under some names, each combination once; those that tell nothing left out."""
    found = [tuple(str(details.get(name, "")) for name in names) for details in rows["details"]]
    return [texts for texts in dict.fromkeys(found) if any(texts)]


def _told(rows: Any, name: str) -> str:
    return "; or ".join(text for (text,) in _details(rows, name))


def _method_errors(rows: Any) -> Iterator[str]:
    for low, high, basis in _details(rows, "method_low", "method_high", "method_basis"):
        bounds = (
            f"the true joules may lie between {low} and {high} times these"
            if _is_number(low) and _is_number(high)
            else "nobody can say how far off"
        )
        yield f"{bounds}: {basis}" if basis else bounds


def _is_number(text: str) -> bool:
    try:
        return float(text) >= 0
    except ValueError:
        return False


def _idle(rows: Any) -> Iterator[str]:
    """Before and after, averaged over all the work that it was measured around."""
    names = ["environment_id", "implementation", "method"]
    several = rows["environment_id"].nunique() > 1
    for (environment, name, method), mine in rows.groupby(names, sort=False):
        readings = [value for values in mine["values"] for value in values]
        before, after = fmean(v[0] for v in mine["values"]), fmean(v[-1] for v in mine["values"])
        spread = f"{_watts(min(readings))} to {_watts(max(readings))} in {len(readings)} readings"
        place = f" on {environment}" if several else ""
        yield f"{name}{place} {_watts(before)} before and {_watts(after)} after ({spread}), {method}"


def _watts(watts: float) -> str:
    return formatting.quantity(watts, "W")


def _windows(rows: Any) -> str:
    """How many there were, and the shortest and the coarsest of them."""
    count = sum(len(values) for values in rows["values"])
    if not count:
        return ""
    read = rows[rows["method"].isin(READ)]
    told = [formatting.plural(count, "window")]
    shortest, fewest = _least(rows, "window_seconds"), _least(read, "fewest_ticks")
    if shortest is not None:
        told.append(f"the shortest {formatting.quantity(shortest, 's')}")
    if fewest is not None:
        told.append(f"at least {formatting.plural(int(fewest), 'step')} of the counter in each")
    launches = max(rows.groupby(["environment_id", "suite", "subject", "implementation"]).size())
    return f"{', '.join(told)}; {formatting.plural(int(launches), 'launch')}"


def _least(rows: Any, name: str) -> float | None:
    numbers = [float(text) for (text,) in _details(rows, name) if _is_number(text)]
    return min(numbers, default=None)


def _load(gross: Any, loads: Any) -> str:
    count, windows = flagged(gross)
    shares = [value for values in loads["values"] for value in values]
    told = [f"{count} of {formatting.plural(windows, 'window')} above 10% of the machine"] if windows else []
    if shares:
        told.append(f"{max(shares):.0%} at most")
    return ", ".join(told)


def _weights(rows: Any) -> str:
    """Whether trainings ended in the weights that the other suites worked on."""
    trained = [details for details in rows["details"] if details.get("phase") == "training_run"]
    told = [str(details["same_weights"]) for details in trained if "same_weights" in details]
    if not told:
        return ""
    other = _names(rows, lambda details: details.get("same_weights") == "no")
    if not other:
        return "every metered training ended in the very weights of its checkpoint"
    return (
        f"other weights than the checkpoint's came out of the metered training of {formatting.listed(other)}"
    )


def _names(rows: Any, holds: Any) -> Sequence[str]:
    pairs = zip(rows["implementation"], rows["details"], strict=True)
    return list(dict.fromkeys(name for name, details in pairs if holds(details)))
