"""How far each way of metering may be off, by what is published; where nothing is, that is said.

Bounds are factors on the joules told. An error of up to 40% of the true energy means that the truth lies
between 1 / 1.4 and 1 / 0.6 of what was told.
"""

from __future__ import annotations

from bench.counters import Domain
from suites.metering.meter import Certainty

RAPL = Certainty(
    low=None,
    high=None,
    basis="RAPL follows power at the plug closely (Khan et al. 2018, doi:10.1145/3177754); no bound is"
    " published for each processor, and recent ones measure where older ones modelled",
)
NVML = Certainty(
    low=None,
    high=None,
    basis="the sensors of some GPUs look at a quarter of the time only (Yang, Adámek and Armour 2024,"
    " arXiv:2312.02741); windows of repeated work average that out, by an amount nobody has published"
    " for each GPU",
)
KNOWN_PROCESSOR = Certainty(
    low=1 / 1.4,
    high=1 / 0.6,
    basis="codecarbon was off by up to 40% of what external meters measured, on other machines"
    " (Fischer 2025, arXiv:2509.22092)",
)
UNKNOWN_PROCESSOR = Certainty(
    low=None,
    high=None,
    basis="codecarbon does not know this processor and guesses its power; nobody has published how far that"
    " is off",
)
CODECARBON_METER = Certainty(
    low=None, high=None, basis="read by codecarbon; no bound is published for this sensor"
)
MEMORY_GUESS = Certainty(
    low=None,
    high=None,
    basis="codecarbon guesses how many modules of memory there are from their size, and 5 W for each of the"
    " first; nobody has published how far that is off",
)


def of_counter(domain: Domain) -> Certainty:
    """What is known of a counter's error."""
    return NVML if domain.component == "accelerator" else RAPL
