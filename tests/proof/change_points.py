"""How the detector of change points fares: ``python tests/proof/change_points.py [--page PATH]``.

Series of noise with and without a step, from fixed seeds; ours, the one asv publishes with, and the best that
could be done by one who knows the noise. Others answer if their interpreters are named:

    --ruptures PYTHON  an environment with ruptures 1.1.10
    --otava PYTHON     an environment with apache-otava 0.8.0 (it needs an older NumPy)

Each looks at every night with what is known that night, as a nightly job would. A false alarm is a 90-night
series without a step in which anything was called on any night. Takes about ten minutes, one core.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from marked_tables import write
from simulated_noise import KINDS, noise, oracle_scores

Values: TypeAlias = npt.NDArray[np.float64]
Alarms: TypeAlias = npt.NDArray[np.bool_]
Detector: TypeAlias = Callable[[Values, int], Alarms]
"""``[series, nights]`` of values to whether something is called on each night, from the given one on."""

NIGHTS, HAPPENED = 90, 60
TARGETS = ((0.006, 0.02, 3, 0.95), (0.02, 0.04, 7, 0.90))
"""Noise, step, nights until it must be found, share of series in which it must be."""
BASELINES = (30, 60, 90, 180, 270, 365)
HERE = Path(__file__).parent


def ours(values: Values, since: int) -> Alarms:
    """The score of every night over the threshold, as `find_steps` takes it for the first step."""
    from bench.changes.pools import no_pool, stacked
    from bench.changes.scan import scores

    return np.concatenate(
        [
            scores(part, part[:, :0], 0.0, stacked([no_pool(part.shape[1])] * len(part)), since)[0] >= 1
            for part in np.array_split(values, -(-len(values) // 500))
        ]
    )


def asv(values: Values, since: int) -> Alarms:
    """asv's detector of steps, called where it sees more than one level, whatever the sign. asv's pages then
    show only regressions of 5% unless told otherwise: of the sizes here, none."""
    from asv.step_detect import detect_steps

    answer = np.zeros(values.shape, dtype=bool)
    for row, series in enumerate(np.exp(values)):
        for night in range(max(10, since), values.shape[1]):
            answer[row, night] = len(detect_steps(series[: night + 1].tolist())) > 1
    return answer


def elsewhere(python: str, what: str) -> Detector:
    """A detector that runs under another interpreter: series as JSON in, alarms as JSON out."""

    def detect(values: Values, since: int) -> Alarms:
        command = [python, str(HERE / "other_detectors.py"), what, str(since)]
        asked = json.dumps(values.tolist())
        done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{what} failed: {done.stderr[-2000:]}")
        return np.array(json.loads(done.stdout), dtype=bool)

    return detect


def false_alarms(detect: Detector, kind: str, count: int, seed: int) -> float:
    """Share of 90-night series without a step in which something is called, in per cent."""
    chance = np.random.default_rng([seed, KINDS.index(kind)])
    return 100 * float(detect(0.006 * noise(kind, count, NIGHTS, chance), 0).any(axis=1).mean())


def found(
    detect: Detector, kind: str, target: Sequence[float], count: int, seed: int, happened: int = HAPPENED
) -> tuple[float, float]:
    """Of series that were quiet the night before: in which a step is found by its n-th night, and by the n-th
    night after its first, in per cent."""
    scatter, step, within, _ = target
    within = int(within)
    chance = np.random.default_rng([seed, KINDS.index(kind), happened, within])
    values = scatter * noise(kind, count, happened + within + 1, chance)
    values[:, happened:] += np.log1p(step)
    alarms = detect(values, happened - 1)
    quiet = ~alarms[:, happened - 1]
    after = alarms[quiet, happened:]
    return 100 * float(after[:, :within].any(axis=1).mean()), 100 * float(after.any(axis=1).mean())


def oracle(kind: str, target: Sequence[float], count: int) -> Detector:
    """One who knows level, scatter, correlation and law of the noise and the size of the step, with a
    threshold that gives 1% of false alarms: nobody who must learn these can do better."""
    size = float(np.log1p(target[1]) / target[0])
    chance = np.random.default_rng([99, KINDS.index(kind)])
    limit = np.quantile(oracle_scores(kind, noise(kind, count, NIGHTS, chance), size).max(axis=1), 0.99)
    return lambda values, _: np.asarray(oracle_scores(kind, values / target[0], size) > limit)


def _likelihood_ratios(values: Values) -> Values:
    """Student's t of each night's best window against all nights before it, the scatter being theirs."""
    from bench.changes.scan import NOISE_NIGHTS, WINDOWS

    sums = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
    squares = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values**2, axis=1)], axis=1)
    highest = np.zeros_like(values)
    for start in range(NOISE_NIGHTS, values.shape[1]):
        level = sums[:, start] / start
        scatter = np.sqrt((squares[:, start] - start * level**2) / (start - 1))
        for window in WINDOWS:
            stop = start + window
            if stop > values.shape[1]:
                break
            moved = np.abs((sums[:, stop] - sums[:, start]) / window - level)
            ratio = moved / scatter / np.sqrt(1 / window + 1 / start) * (1 - 3 / start)
            highest[:, stop - 1] = np.maximum(highest[:, stop - 1], ratio)
    return highest


def believer(count: int) -> tuple[Detector, int, int]:
    """One who believes that noise is Gaussian and nights independent, and learns level and scatter as ours
    does: what robustness costs, and what one gets without it."""
    quiet = noise(KINDS[0], 2 * count, NIGHTS, np.random.default_rng(98))
    limit = np.quantile(_likelihood_ratios(quiet).max(axis=1), 0.99)
    return (lambda values, _: np.asarray(_likelihood_ratios(values) > limit)), count, count // 4


def table(
    detectors: Mapping[str, tuple[Detector, int, int]], seed: int, kinds: Sequence[str] = KINDS
) -> list[str]:
    """A row a detector and kind of noise. The numbers beside a detector are how many series it is shown."""
    lines = [
        "| detector | noise | series | false alarms, % | 2% step at 0.6%: by the 3rd night, % "
        "| 3 nights on, % | 4% step at 2%: by the 7th night, % | 7 nights on, % |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, (detect, quiet, stepped) in detectors.items():
        for kind in kinds:
            cells = [f"{false_alarms(detect, kind, quiet, seed):.2f}"]
            cells += [
                f"{share:.1f}" for target in TARGETS for share in found(detect, kind, target, stepped, seed)
            ]
            lines.append(f"| {name} | {kind} | {quiet:,} / {stepped:,} | {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    return lines


def oracles(seed: int) -> list[str]:
    """The rows of one who knows the noise."""
    lines = []
    for kind in KINDS:
        shares = [
            f"{share:.1f}"
            for target in TARGETS
            for share in found(oracle(kind, target, 20_000), kind, target, 20_000, seed)
        ]
        lines.append(f"| one who knows the noise | {kind} | 20,000 / 20,000 | 1.00 | {' | '.join(shares)} |")
        print(lines[-1], flush=True)
    return lines


def by_baseline(count: int, seed: int) -> list[str]:
    """How ours grows with the nights before the step: Gaussian noise, and the worst kind for false alarms."""
    lines = [
        "| nights before | 2% step at 0.6%, 3 nights on, % | 4% step at 2%, 7 nights on, % "
        "| false alarms in the 90 nights after, Gaussian, % | the worst noise, % |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for happened in BASELINES:
        shares = [found(ours, KINDS[0], target, count, seed, happened)[1] for target in TARGETS]
        later = {kind: _later_alarms(kind, happened, count, seed) for kind in KINDS}
        worst = max(later, key=lambda kind: later[kind])
        cells = [
            *(f"{share:.1f}" for share in shares),
            f"{later[KINDS[0]]:.2f}",
            f"{later[worst]:.2f} ({worst})",
        ]
        lines.append(f"| {happened} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return lines


def with_a_mark(count: int, seed: int) -> list[str]:
    """90 nights whose environment changes on night 45 and moves the level by 3%: what is called, and where a
    step of 2% is found that comes 15 nights after the mark."""
    from bench.changes import find_steps

    lines = [
        "| noise, 0.6% | called with no step, % | called at the mark, % "
        "| 2% step 15 nights after, 3 nights on, % | of those found: put on the right night, % "
        "| within one night, % |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    mark, after = NIGHTS // 2, NIGHTS // 2 + 15
    for kind in KINDS:
        chance = np.random.default_rng([seed, KINDS.index(kind), mark])
        quiet = 0.006 * noise(kind, count, NIGHTS, chance)
        quiet[:, mark:] += 0.03
        called = [[step for step in one if not step.marked] for one in find_steps(quiet, [[mark]] * count)]
        stepped = quiet[:, : after + 4].copy()
        stepped[:, after:] += np.log1p(0.02)
        steps = [step for one in find_steps(stepped, [[mark]] * count) for step in one]
        found_at = [step.at for step in steps if not step.marked and step.found >= after]
        cells = [100 * sum(map(bool, called)) / count]
        cells += [100 * sum(any(abs(step.at - mark) < 3 for step in one) for one in called) / count]
        cells += [100 * len(found_at) / count]
        cells += [
            100 * sum(abs(at - after) <= off for at in found_at) / max(1, len(found_at)) for off in (0, 1)
        ]
        lines.append(f"| {kind} | " + " | ".join(f"{cell:.1f}" for cell in cells) + " |")
        print(lines[-1], flush=True)
    return lines


def _later_alarms(kind: str, before: int, count: int, seed: int) -> float:
    """Of series quiet for so many nights: in which something is called in the 90 after, in per cent."""
    chance = np.random.default_rng([seed, KINDS.index(kind), before])
    alarms = ours(0.006 * noise(kind, count, before + NIGHTS, chance), 0)
    quiet = ~alarms[:, :before].any(axis=1)
    return 100 * float(alarms[quiet, before:].any(axis=1).mean())


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--series", type=int, default=10_000, help="series without a step shown to ours")
    asked.add_argument("--few", type=int, default=150, help="series shown to the slow ones")
    asked.add_argument("--seed", type=int, default=20)
    asked.add_argument("--ruptures", default="", metavar="PYTHON")
    asked.add_argument("--otava", default="", metavar="PYTHON")
    asked.add_argument(
        "--only", choices=("detectors", "believer", "baselines", "marks"), help="one of the tables"
    )
    asked.add_argument("--page", type=Path, help="Markdown file whose tables are written anew")
    given = asked.parse_args()
    detectors: dict[str, tuple[Detector, int, int]] = {"ours": (ours, given.series, given.series // 4)}
    detectors["asv 0.6.6"] = (asv, given.few, given.few)
    for name, python in (("ruptures 1.1.10", given.ruptures), ("apache-otava 0.8.0", given.otava)):
        if python:
            detectors[name] = (elsewhere(python, name.partition(" ")[0]), given.few, given.few)
        else:
            print(f"{name}: not run")
    makers = {
        "detectors": lambda: table(detectors, given.seed) + oracles(given.seed),
        "believer": lambda: table(
            {"Gaussian likelihood ratio": believer(given.series)}, given.seed, KINDS[:4]
        ),
        "baselines": lambda: by_baseline(given.series // 4, given.seed),
        "marks": lambda: with_a_mark(given.series // 4, given.seed),
    }
    tables = {name: make() for name, make in makers.items() if given.only in (None, name)}
    if given.page:
        write(given.page, tables)


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    main()
