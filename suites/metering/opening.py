"""Which meter there is for what: counters where they count, codecarbon for the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.counters import Component, Counter, Found, open_counters
from suites.metering.counting import CounterMeter
from suites.metering.meter import Meter, MeterError, Meters
from suites.metering.modelling import CodecarbonMeter

REPLAYED = "replayed"


def open_meter(
    device: str,
    *,
    counters: Callable[[], Found] = open_counters,
    model: Callable[[Sequence[Component]], Meter] = CodecarbonMeter,
) -> Meter:
    """The meter of work on `device`: processor and memory, and accelerators where it runs on one.

    An accelerator that the work does not use is left out: what others do on it must not count here. A
    replayed one stands for one in use.
    Raises NotImplementedError where an accelerator in use has no counter, since the processor alone would
    look cheap, and MeterError where codecarbon fails.
    """
    found = counters()
    wanted: tuple[Component, ...] = ("processor", "memory")
    if device != "cpu" or any(_replayed_accelerator(counter) for counter in found.counters):
        wanted = ("processor", "accelerator", "memory")
    used = [counter for counter in found.counters if counter.domain.component in wanted]
    counted = {counter.domain.component for counter in used}
    rest = tuple(component for component in wanted if component not in counted)
    meters: list[Meter] = [CounterMeter(used)] if used else []
    if rest:
        try:
            meters.append(model(rest))
        except MeterError as error:
            if "accelerator" not in rest:
                raise
            reasons = "; ".join(f"{one.subject}: {one.reason}" for one in found.refusals)
            raise NotImplementedError(f"no energy counter for {device}: {reasons or error}") from error
    return Meters(meters)


def _replayed_accelerator(counter: Counter) -> bool:
    return counter.domain.component == "accelerator" and REPLAYED in counter.domain.tool
