"""What the two suites of energy tell, and in how many windows. Imports no framework."""

from __future__ import annotations

from bench.schema import Metric

# Long enough for 50 updates of a counter that moves ten times a second, and enough of them to tell how much
# they scatter.
WINDOW_SECONDS = 5.0
WINDOWS = 5


def _energy(name: str, title: str, unit: str = "J", *, ranks: bool = True) -> Metric:
    return Metric(name=name, title=title, unit=unit, better="lower", ranks=ranks)


ENERGY_METRICS = (
    _energy("joules", "energy a call, processor and accelerator"),
    _energy("net_joules", "energy a call, less idling"),
    _energy("processor_joules", "energy a call, processor", ranks=False),
    _energy("accelerator_joules", "energy a call, accelerator", ranks=False),
    _energy("memory_joules", "energy a call, memory", ranks=False),
    _energy("window_seconds", "time a call, in the same windows", "s"),
    _energy("outside_load", "load from outside", "fraction", ranks=False),
    _energy("idle_watts", "power while idle", "W", ranks=False),
)
