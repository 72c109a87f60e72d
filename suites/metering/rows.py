"""Windows as the rows of an arm: joules a call, gross and net of idle, and each component apart.

A failure is never a zero: what a counter could not resolve has the status ``below_resolution`` and no value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from bench.counters import Component
from bench.schema import Arm, Measurement, Method, Step
from suites.metering.meter import HEADLINE, Part, weakest
from suites.metering.windows import Metered, Window

if TYPE_CHECKING:
    from bench.measuring import Bench

RESOLVED_TICKS = 20
COMPONENTS: tuple[Component, ...] = ("processor", "accelerator", "memory")
UNKNOWN = "unknown"


class Teller:
    """The windows of one step as rows, told with what the meter is made of."""

    def __init__(self, step: Step, bench: Bench, parts: Sequence[Part], metered: Metered) -> None:
        self.step, self.bench, self.metered = step, bench, metered
        self.parts = {part.component: part for part in parts}
        self.headline = tuple(part for part in parts if part.component in HEADLINE)
        self.method: Method = weakest(part.method for part in self.headline)
        self.tool = " + ".join(dict.fromkeys(part.tool for part in self.headline))

    def of(self, arm: Arm, windows: Sequence[Window], more: Mapping[str, str]) -> Iterator[Measurement]:
        """All rows of an arm."""
        told = {**self._told(windows), **more}
        bounded = {**told, **self._bounds(windows)}
        ticks = min(
            (w.reading.fewest_ticks for w in windows if w.reading.fewest_ticks is not None), default=None
        )
        gross = [w.reading.headline / w.calls for w in windows]
        yield self._joules(arm, "joules", gross, _too_few(ticks), self.method, self.tool, bounded)
        yield self._net(arm, windows, ticks, told)
        for component, part in self.parts.items():
            yield self._component(arm, component, part, windows, told)
        seconds = [w.seconds / w.calls for w in windows]
        yield self._row(arm, "window_seconds", "s", seconds, "measured", "perf_counter", told)
        loads = [w.outside_load for w in windows]
        yield self._row(arm, "outside_load", "fraction", loads, "measured", "psutil", told)

    def idle(self) -> Measurement:
        """Power while nothing ran, before and after."""
        arm = Arm(implementation=f"idle@{self.bench.job.framework}", role="yardstick", target="")
        watts = [w.reading.headline / w.seconds for w in self.metered.idle]
        told = self._told(self.metered.idle)
        told.pop("calls_per_window")
        return self._row(arm, "idle_watts", "W", watts, self.method, self.tool, told)

    def _net(
        self, arm: Arm, windows: Sequence[Window], ticks: float | None, told: dict[str, str]
    ) -> Measurement:
        """Gross less what idling would have taken in the same time."""
        idle = self.metered.idle_watts
        whole = [w.reading.headline - idle * w.seconds for w in windows]
        step = max((part.quantum_joules for part in self.headline), default=0.0)
        reason = _too_few(ticks)
        if not reason and min(whole) <= RESOLVED_TICKS * step:
            reason = f"a window took {min(whole):.3g} J more than idling would have: less than can be told"
        values = [joules / w.calls for joules, w in zip(whole, windows, strict=True)]
        details = {**told, "idle_watts": f"{idle:.4g}"}
        return self._joules(arm, "net_joules", values, reason, self.method, self.tool, details)

    def _component(
        self,
        arm: Arm,
        component: Component,
        part: Part,
        windows: Sequence[Window],
        told: Mapping[str, str],
    ) -> Measurement:
        ticks = min(
            (w.reading.ticks[component] for w in windows if component in w.reading.ticks), default=None
        )
        values = [w.reading.joules[component] / w.calls for w in windows]
        details = {**told, **_certainty(part.certainty.low, part.certainty.high, part.certainty.basis)}
        details.pop("model", None)
        if part.model:
            details["model"] = part.model
        return self._joules(
            arm, f"{component}_joules", values, _too_few(ticks), part.method, part.tool, details
        )

    def _told(self, windows: Sequence[Window]) -> dict[str, str]:
        """What every row of an arm says of its windows."""
        flagged = sum(window.flagged for window in windows)
        ticks = [w.reading.fewest_ticks for w in windows if w.reading.fewest_ticks is not None]
        models = "; ".join(part.model for part in self.headline if part.model)
        return {
            "windows": str(len(windows)),
            "calls_per_window": str(windows[0].calls),
            "window_seconds": f"{min(w.seconds for w in windows):.3f}",
            "flagged": f"{flagged} of {len(windows)}",
            "components": self._components(),
            "threads": str(self.bench.job.threads),
            **({"fewest_ticks": f"{min(ticks):.0f}"} if ticks else {}),
            **({"model": models} if models else {}),
        }

    def _components(self) -> str:
        return "; ".join(
            f"{name}: {self.parts[name].method}, {self.parts[name].tool}"
            if name in self.parts
            else f"{name}: none"
            for name in COMPONENTS
        )

    def _bounds(self, windows: Sequence[Window]) -> dict[str, str]:
        """The method's bounds on the headline: of its components, weighed by their energy."""
        joules = {
            part.component: sum(w.reading.joules[part.component] for w in windows) for part in self.headline
        }
        whole = sum(joules.values())
        low = high = 0.0
        for part in self.headline:
            if part.certainty.low is None or part.certainty.high is None or whole <= 0:
                return _certainty(None, None, self._basis)
            share = joules[part.component] / whole
            low, high = low + share * part.certainty.low, high + share * part.certainty.high
        return _certainty(low, high, self._basis)

    @property
    def _basis(self) -> str:
        return "; ".join(dict.fromkeys(part.certainty.basis for part in self.headline))

    def _joules(
        self,
        arm: Arm,
        metric: str,
        values: Sequence[float],
        reason: str,
        method: Method,
        tool: str,
        details: Mapping[str, str],
    ) -> Measurement:
        if not reason:
            return self._row(arm, metric, "J", values, method, tool, details)
        return self.bench.measurement(
            self.step,
            arm,
            metric=metric,
            unit="J",
            method=method,
            tool=tool,
            status="below_resolution",
            reason=reason,
            details=dict(details),
        )

    def _row(
        self,
        arm: Arm,
        metric: str,
        unit: str,
        values: Sequence[float],
        method: Method,
        tool: str,
        details: Mapping[str, str],
    ) -> Measurement:
        return self.bench.measurement(
            self.step,
            arm,
            metric=metric,
            unit=unit,
            values=values,
            method=method,
            tool=tool,
            details=dict(details),
        )


def _too_few(ticks: float | None) -> str:
    """Why the counters have not moved far enough to be believed; empty where they have, or nothing ticks."""
    if ticks is None or ticks >= RESOLVED_TICKS:
        return ""
    return f"a window moved the counter by {ticks:.1f} of its steps; {RESOLVED_TICKS} are needed"


def _certainty(low: float | None, high: float | None, basis: str) -> dict[str, str]:
    return {
        "method_low": UNKNOWN if low is None else f"{low:.2f}",
        "method_high": UNKNOWN if high is None else f"{high:.2f}",
        "method_basis": basis,
    }
