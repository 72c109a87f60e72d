"""All arms of a step that are ready to run, metered against each other and told as rows."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.measuring import arm_key, explain, failure
from bench.schema import Arm, Measurement, Step
from suites.metering.meter import Meter
from suites.metering.opening import open_meter
from suites.metering.rows import Teller
from suites.metering.windows import Metered, Surroundings, Unit, Windows

if TYPE_CHECKING:
    from bench.measuring import Bench


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """An arm with the unit that is metered. `told` is asked once all windows are taken."""

    arm: Arm
    unit: Unit
    told: Callable[[], Mapping[str, str]] = field(default=dict)


def in_windows(
    step: Step,
    bench: Bench,
    ready: list[Ready],
    *,
    opened: Callable[[str], Meter] | None = None,
    surroundings: Surroundings | None = None,
) -> list[Measurement]:
    """The rows of all arms that are ready, and of idling. An arm that breaks has its own row with the reason;
    where the meter fails, every arm has one."""
    if not ready:
        return []
    rows: list[Measurement] = []
    by_key = {arm_key(one.arm): one for one in ready}

    def attempt(key: str, run: Callable[[], tuple[int, float]]) -> tuple[int, float] | None:
        ran, failed = bench.attempt(step, by_key[key].arm, run)
        rows.extend([failed] if failed is not None else [])
        return ran

    try:
        with (opened or open_meter)(bench.job.device) as meter:
            windows = Windows(
                meter,
                count=step.windows,
                seconds=step.seconds,
                synchronise=bench.framework.synchronise,
                surroundings=surroundings,
            )
            units = {key: one.unit for key, one in by_key.items()}
            metered = windows.take(units, attempt, random.Random(step.seed))
            teller = Teller(step, bench, meter.parts, metered)
    # A meter may break in as many ways as a variant, and must not take the other steps with it.
    except Exception as error:  # noqa: BLE001
        return [*rows, *_meter_failed(step, bench, ready, rows, error)]
    return [*rows, *_told(teller, by_key, metered)]


def _told(teller: Teller, by_key: Mapping[str, Ready], metered: Metered) -> list[Measurement]:
    rows = [
        row
        for key, windows in metered.windows.items()
        for row in teller.of(by_key[key].arm, windows, by_key[key].told())
    ]
    return [*rows, teller.idle()] if rows else []


def _meter_failed(
    step: Step, bench: Bench, ready: list[Ready], told: list[Measurement], error: Exception
) -> list[Measurement]:
    """A row for each arm that has none yet, which says what became of the meter."""
    reason, _, status = explain(error)
    broken = {(row.implementation, row.role) for row in told}
    return [
        failure(bench.job, step, one.arm, reason, cause="meter", status=status)
        for one in ready
        if (one.arm.implementation, one.arm.role) not in broken
    ]
