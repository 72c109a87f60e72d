"""Windows as the rows of an arm: joules a call, gross and net of idle, and each component apart.

A failure is never a zero: what a counter could not resolve has the status ``below_resolution`` and no value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench.counters import Component
from bench.schema import Arm, Measurement, Method, Status, Step
from bench.tiers import weakest
from suites.metering.meter import HEADLINE, Certainty, Part
from suites.metering.windows import FLAGGED_LOAD, Metered, Window

if TYPE_CHECKING:
    from bench.measuring import Bench

RESOLVED_TICKS = 20
COMPONENTS: tuple[Component, ...] = ("processor", "accelerator", "memory")
UNKNOWN = "unknown"
CLOCK = "perf_counter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One metric of an arm: its values, one a window, or the reason why they cannot be told."""

    metric: str
    values: Sequence[float]
    method: Method
    tool: str
    unit: str = "J"
    status: Status = "ok"
    reason: str = ""


class Teller:
    """The windows of one step as rows, told with what the meter is made of."""

    def __init__(self, step: Step, bench: Bench, parts: Sequence[Part], metered: Metered) -> None:
        self.step, self.bench, self.metered = step, bench, metered
        self.parts = {part.component: part for part in parts}
        self.headline = tuple(part for part in parts if part.component in HEADLINE)
        self.method: Method = weakest(part.method for part in self.headline)
        self.tool = " + ".join(dict.fromkeys(part.tool for part in self.headline))

    def of(self, arm: Arm, windows: Sequence[Window], more: Mapping[str, str]) -> Iterator[Measurement]:
        """All rows of an arm; `more` is what its details say beside what the windows do."""
        told = {**self._told(windows), **more}
        yield self._row(arm, self._gross(windows), {**told, **self._bounds(windows)})
        yield self._row(arm, self._net(windows), {**told, "idle_watts": f"{self.metered.idle_watts:.4g}"})
        for component, part in self.parts.items():
            yield self._row(arm, _of_component(component, part, windows), {**told, **_about(part)})
        seconds = [w.seconds / w.calls for w in windows]
        time = Figure(metric="window_seconds", values=seconds, unit="s", method="measured", tool=CLOCK)
        yield self._row(arm, time, told)
        loads = [w.outside_load for w in windows]
        load = Figure(metric="outside_load", values=loads, unit="fraction", method="measured", tool="psutil")
        yield self._row(arm, load, told)

    def idle(self) -> Measurement:
        """Power while nothing ran, before and after."""
        arm = Arm(implementation=f"idle@{self.bench.job.framework}", role="yardstick", target="")
        watts = [w.reading.headline / w.seconds for w in self.metered.idle]
        figure = Figure(metric="idle_watts", values=watts, unit="W", method=self.method, tool=self.tool)
        told = self._told(self.metered.idle)
        del told["calls_per_window"]
        return self._row(arm, figure, told)

    def _gross(self, windows: Sequence[Window]) -> Figure:
        values = [w.reading.headline / w.calls for w in windows]
        whole = Figure(metric="joules", values=values, method=self.method, tool=self.tool)
        return _resolved(whole, _headline_ticks(windows))

    def _net(self, windows: Sequence[Window]) -> Figure:
        """Gross less what idling would have taken in the same time, as far as idling was idle."""
        more = [w.reading.headline - self.metered.idle_watts * w.seconds for w in windows]
        values = [joules / w.calls for joules, w in zip(more, windows, strict=True)]
        net = Figure(metric="net_joules", values=values, method=self.method, tool=self.tool)
        net = _resolved(net, _headline_ticks(windows))
        busiest = max(window.outside_load for window in self.metered.idle)
        least = RESOLVED_TICKS * max((part.quantum_joules for part in self.headline), default=0.0)
        if net.reason:
            return net
        if busiest > FLAGGED_LOAD:
            reason = f"others used {busiest:.0%} of the processor while idling was metered: it is not known"
            return replace(net, status="inconclusive", reason=reason)
        if min(more) <= least:
            reason = f"a window took {min(more):.3g} J more than idling would have: less than can be told"
            return replace(net, values=(), status="below_resolution", reason=reason)
        return net

    def _told(self, windows: Sequence[Window]) -> dict[str, str]:
        """What every row of an arm says of its windows."""
        flagged = sum(window.flagged for window in windows)
        ticks = _headline_ticks(windows)
        models = "; ".join(part.model for part in self.headline if part.model)
        return {
            "windows": str(len(windows)),
            "calls_per_window": str(windows[0].calls),
            "window_seconds": f"{min(w.seconds for w in windows):.3f}",
            "flagged": f"{flagged} of {len(windows)}",
            "components": "; ".join(map(self._component, COMPONENTS)),
            "threads": str(self.bench.job.threads),
            **({} if ticks is None else {"fewest_ticks": f"{ticks:.0f}"}),
            **({"model": models} if models else {}),
        }

    def _component(self, component: Component) -> str:
        part = self.parts.get(component)
        return f"{component}: {f'{part.method}, {part.tool}' if part else 'none'}"

    def _bounds(self, windows: Sequence[Window]) -> dict[str, str]:
        """The method's bounds on the headline: of its components, weighed by their energy."""
        basis = "; ".join(dict.fromkeys(part.certainty.basis for part in self.headline))
        weights = {
            part.component: sum(w.reading.joules[part.component] for w in windows) for part in self.headline
        }
        low = high = 0.0
        for part in self.headline:
            if part.certainty.low is None or part.certainty.high is None:
                return _certainty(Certainty(low=None, high=None, basis=basis))
            share = weights[part.component] / sum(weights.values())
            low, high = low + share * part.certainty.low, high + share * part.certainty.high
        return _certainty(Certainty(low=low, high=high, basis=basis))

    def _row(self, arm: Arm, figure: Figure, details: Mapping[str, str]) -> Measurement:
        return self.bench.measurement(
            self.step,
            arm,
            metric=figure.metric,
            unit=figure.unit,
            values=figure.values,
            method=figure.method,
            tool=figure.tool,
            status=figure.status,
            reason=figure.reason,
            details=dict(details),
        )


def _of_component(component: Component, part: Part, windows: Sequence[Window]) -> Figure:
    values = [w.reading.joules[component] / w.calls for w in windows]
    figure = Figure(metric=f"{component}_joules", values=values, method=part.method, tool=part.tool)
    ticks = [w.reading.ticks[component] for w in windows if component in w.reading.ticks]
    return _resolved(figure, min(ticks, default=None))


def _headline_ticks(windows: Sequence[Window]) -> float | None:
    """The fewest steps by which a counter of the headline moved in any window; None where nothing ticks."""
    ticks = [w.reading.fewest_ticks for w in windows]
    return min((one for one in ticks if one is not None), default=None)


def _resolved(figure: Figure, ticks: float | None) -> Figure:
    """The figure, without values where a counter has not moved far enough to be believed."""
    if ticks is None or ticks >= RESOLVED_TICKS:
        return figure
    reason = f"a counter moved {ticks:.1f} times in a window; {RESOLVED_TICKS} are needed"
    return replace(figure, values=(), status="below_resolution", reason=reason)


def _about(part: Part) -> dict[str, str]:
    """What is said of one component beside the windows; no model where it has none."""
    return {**_certainty(part.certainty), "model": part.model or "none"}


def _certainty(certainty: Certainty) -> dict[str, str]:
    low, high = certainty.low, certainty.high
    return {
        "method_low": UNKNOWN if low is None else f"{low:.2f}",
        "method_high": UNKNOWN if high is None else f"{high:.2f}",
        "method_basis": certainty.basis,
    }
