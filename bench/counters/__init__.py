"""Energy counters: RAPL through Linux's powercap files, and NVML for NVIDIA's GPUs.

    found = open_counters()
    with Reader(found.counters):
        before = [counter.joules() for counter in found.counters]
        work()
        spent = [counter.joules() - start for counter, start in zip(found.counters, before)]

A GPU works on after a call has returned: synchronise it before each of the two readings. A counter either
tells joules that can be believed or raises `CounterError` with the reason; it never tells 0 for a failure.
No framework is imported here, and nothing is modelled: what has no counter has none.
"""

from bench.counters.counter import Component, Counter, CounterError, Domain, Found, Refusal
from bench.counters.found import open_counters
from bench.counters.reader import Reader

__all__ = [
    "Component",
    "Counter",
    "CounterError",
    "Domain",
    "Found",
    "Reader",
    "Refusal",
    "open_counters",
]
