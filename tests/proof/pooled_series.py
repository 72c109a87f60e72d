"""Change points in pools of series that one machine measures: ``python tests/proof/pooled_series.py``.

Thirty series a pool, from fixed seeds: of one kind of noise, of all six kinds mixed, of Gaussian noise with
one member that is otherwise, and of members that share half of their variance (their reference's). Steps
come in five of the thirty. ``--page PATH`` writes the tables into that file. Takes about eight minutes,
one core.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

HERE = Path(__file__).parent
TABLES = ("pools", "pooled steps", "pooled later", "references", "launches")
sys.path.insert(0, str(HERE))
from change_points import NIGHTS, TARGETS  # noqa: E402
from marked_tables import write  # noqa: E402
from simulated_noise import KINDS, noise  # noqa: E402

Values: TypeAlias = npt.NDArray[np.float64]
Alarms: TypeAlias = npt.NDArray[np.bool_]

MEMBERS, STEPPED = 30, 5
BASELINES = (30, 60, 90, 180, 365)
SHARED = "half of the variance shared"
ODD = {f"one {kind} among Gaussian": kind for kind in ("AR(1) 0.3", "AR(1) 0.6", "spikes 5%")}


def pool(kind: str, nights: int, chance: np.random.Generator) -> Values:
    """``[members, nights]`` with a standard deviation of 1; an odd member is the first."""
    if kind == SHARED:
        return (noise(KINDS[0], MEMBERS, nights, chance) + noise(KINDS[0], 1, nights, chance)) / np.sqrt(2)
    if kind in ODD:
        rest = noise(KINDS[0], MEMBERS - 1, nights, chance)
        return np.concatenate([noise(ODD[kind], 1, nights, chance), rest])
    if kind == "mixed":
        return np.concatenate([noise(one, MEMBERS // len(KINDS), nights, chance) for one in KINDS])
    return noise(kind, MEMBERS, nights, chance)


def alarms(pools: Sequence[Values], judged: slice, since: int) -> Alarms:
    """``[pools, judged members, nights]``: whether something is called, each night with what it knew."""
    from bench.changes.pools import Shape, shape, stacked
    from bench.changes.scan import WINDOWS, scores

    answers = []
    for values in pools:
        told = shape(values, np.zeros(values.shape, dtype=np.int64), since - WINDOWS[-1])
        members = values[judged]
        known: Shape = stacked([told] * len(members))
        answers.append(scores(members, members[:, :0], 0.0, known, since)[0] >= 1)
    return np.stack(answers)


def false_alarms(kind: str, count: int, seed: int, before: int = 0) -> npt.NDArray[np.float64]:
    """Of judged series that were quiet before: in which something is called in the 90 nights after, in per
    cent, for each member."""
    judged = slice(0, 1) if kind in ODD else slice(None)
    chance = np.random.default_rng([seed, len(kind), before])
    called = alarms([0.006 * pool(kind, before + NIGHTS, chance) for _ in range(count)], judged, before)
    return np.asarray(100 * called.any(axis=2).mean(axis=0))


def found(kind: str, target: Sequence[float], count: int, seed: int, happened: int) -> tuple[float, float]:
    """As in `change_points.found`, for the members that step."""
    scatter, step, within, _ = target
    chance = np.random.default_rng([seed, len(kind), happened, int(within)])
    pools = [scatter * pool(kind, happened + int(within) + 1, chance) for _ in range(count)]
    for values in pools:
        values[:STEPPED, happened:] += np.log1p(step)
    called = alarms(pools, slice(0, STEPPED), happened - 1)
    after = called[:, :, happened:][~called[:, :, happened - 1]]
    return 100 * float(after[:, : int(within)].any(axis=1).mean()), 100 * float(after.any(axis=1).mean())


def alarm_table(series: int, seed: int) -> list[str]:
    """False alarms of each kind of pool; those of a mixed one by its members' kinds."""
    lines = ["| pool of 30 | judged | false alarms, % |", "| --- | ---: | ---: |"]

    def add(name: str, judged: int, share: float) -> None:
        lines.append(f"| {name} | {judged:,} | {share:.2f} |")
        print(lines[-1], flush=True)

    for kind in (*KINDS, SHARED):
        add(kind, series, false_alarms(kind, series // MEMBERS, seed).mean())
    each = MEMBERS // len(KINDS)
    mixed = false_alarms("mixed", series // MEMBERS * 2, seed).reshape(len(KINDS), each).mean(axis=1)
    for kind, share in zip(KINDS, mixed, strict=True):
        add(f"all six kinds mixed: {kind}", series // MEMBERS * 2 * each, share)
    for kind in ODD:
        add(f"{kind}: that one", series // 3, false_alarms(kind, series // 3, seed)[0])
    return lines


def later_table(series: int, seed: int) -> list[str]:
    """False alarms in the 90 nights after many are known."""
    lines = ["| pool of 30 | after 180 nights, % | after 365 nights, % |", "| --- | ---: | ---: |"]
    for kind in KINDS:
        cells = [f"{false_alarms(kind, series // MEMBERS, seed, before).mean():.2f}" for before in (180, 365)]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return lines


def found_table(count: int, seed: int) -> list[str]:
    """Steps found in pools of one kind, by the nights before them."""
    lines = [
        "| pool of 30 | step | " + " | ".join(f"{nights} nights known, %" for nights in BASELINES) + " |",
        "| --- | --- | " + " | ".join("---:" for _ in BASELINES) + " |",
    ]
    for kind in (*KINDS, SHARED):
        for target, name in zip(TARGETS, ("2% at 0.6%, 3 nights on", "4% at 2%, 7 nights on"), strict=True):
            shares = [f"{found(kind, target, count, seed, known)[1]:.1f}" for known in BASELINES]
            lines.append(f"| {kind} | {name} | {' | '.join(shares)} |")
            print(lines[-1], flush=True)
    return lines


REFERRED = 12
MOVES = {
    "one moves by 2%": [1.02],
    "three move by 2%": [1.02] * 3,
    "all move by 2%: the reference": [1 / 1.02] * REFERRED,
    "all move by 2% one way, one by 2% the other: that one": [1.02] + [1 / 1.02] * (REFERRED - 1),
}


def reference_table(count: int, seed: int) -> list[str]:
    """Twelve ratios to one reference, half of whose variance is the reference's, ten nights after moves
    on the 91st: whose these are said to be, judged on those that moved apart from the rest, or on all."""
    from bench.changes import Night, changes

    lines = [
        "| twelve ratios to one reference | noise, 0.6% | judged | the reference's, % | its own, % "
        "| not called, % |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for kind in (KINDS[0], "spikes 2%"):
        for name, factors in MOVES.items():
            chance = np.random.default_rng([seed, len(name), len(kind)])
            pools = noise(kind, count * REFERRED, NIGHTS + 10, chance).reshape(count, REFERRED, -1)
            pools = 0.006 * (pools + noise(kind, count, NIGHTS + 10, chance)[:, None]) / np.sqrt(2)
            pools[:, : len(factors), NIGHTS:] += np.log(factors)[None, :, None]
            nights = [
                [
                    Night(value=value, started_at=f"{night:03d}", commit="", environment="")
                    for night, value in enumerate(series)
                ]
                for series in np.exp(pools.reshape(count * REFERRED, -1))
            ]
            of = [place // REFERRED for place in range(len(nights))]
            told = changes(
                nights,
                better=["lower"] * len(nights),
                ratios=[True] * len(nights),
                smallest=[0.005] * len(nights),
                pools=of,
                references=of,
            )
            judged = 1 if len(set(factors)) > 1 else len(factors)
            kinds = [
                next((change.kind for change in one if change.first >= NIGHTS - 2), "none")
                for place, one in enumerate(told)
                if place % REFERRED < judged
            ]
            shares = [100 * kinds.count("reference") / len(kinds), 100 * kinds.count("none") / len(kinds)]
            cells = f"{shares[0]:.1f} | {100 - sum(shares):.1f} | {shares[1]:.1f}"
            lines.append(f"| {name} | {kind} | {len(kinds):,} | {cells} |")
            print(lines[-1], flush=True)
    return lines


def launch_table(count: int, seed: int) -> list[str]:
    """Scatter of a night's figure by mean and by median of its launches, in those of Gaussian launches' mean,
    when half or none of the variance of one launch is the night's own."""
    lines = [
        "| launches | of a launch's variance the night's | launches astray, % | mean: scatter "
        "| nights beyond 3.5, % | median: scatter | nights beyond 3.5, % |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    chance = np.random.default_rng(seed)
    for launches in (3, 5):
        for common in (0.0, 0.5):
            scatter = np.sqrt(common + (1 - common) / launches)
            for kind in (KINDS[0], "spikes 2%", "spikes 5%"):
                night = chance.standard_normal((count, 1)) * np.sqrt(common)
                each = night + np.sqrt(1 - common) * noise(kind, count, launches, chance)
                cells = []
                for figure in (each.mean(axis=1), np.median(each, axis=1)):
                    away = np.abs(figure) / scatter
                    cells += [f"{np.sqrt(np.mean(away**2)):.2f}", f"{100 * np.mean(away > 3.5):.2f}"]
                astray = "0" if kind == KINDS[0] else kind.split()[1].rstrip("%")
                lines.append(f"| {launches} | {common} | {astray} | {' | '.join(cells)} |")
                print(lines[-1], flush=True)
    return lines


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--series", type=int, default=4_500, help="series without a step of each kind")
    asked.add_argument("--pools", type=int, default=120, help="pools of each kind with steps in five members")
    asked.add_argument("--seed", type=int, default=51)
    asked.add_argument("--only", choices=TABLES)
    asked.add_argument("--page", type=Path, help="Markdown file whose tables are written anew")
    given = asked.parse_args()
    makers = {
        "launches": lambda: launch_table(200_000, given.seed),
        "references": lambda: reference_table(2 * given.pools, given.seed),
        "pools": lambda: alarm_table(given.series, given.seed),
        "pooled steps": lambda: found_table(given.pools, given.seed),
        "pooled later": lambda: later_table(given.series // 2, given.seed),
    }
    tables = {name: make() for name, make in makers.items() if given.only in (None, name)}
    if given.page:
        write(given.page, tables)


if __name__ == "__main__":
    main()
