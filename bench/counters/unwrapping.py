"""The arithmetic of a register that counts energy and starts again at 0 when it is full.

Two readings tell the energy between them only if the register cannot have gone round unseen and if what it
gained is energy that the part can have drawn. Everything else is refused: a register that was set back
looks like one that wrapped, only with far too much power.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.counters.counter import CounterError

# A reading may be this much older than its moment: NVML moves about every 0.1 s.
STALE_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """What is known of a counter's register.

    A register that is set to 0 less than `most_watts` times the time between two readings below its end
    cannot be told from one that wraps: the energy made up by that is less than the same product, so it is
    read often.

    Attributes:
        span: Counts from one 0 to the next. powercap names the largest reading, one step of the hardware
            (15 to 61 microjoules) less: that is the error of a wrap.
        unit: Of a count, for messages.
        in_joules: Counts to joules.
        most_watts: More than the part can draw.
    """

    span: int
    unit: str
    in_joules: Callable[[float], float]
    most_watts: float

    @property
    def safe_seconds(self) -> float:
        """The longest time between two readings: half the span at the most watts."""
        return self.in_joules(self.span / 2) / self.most_watts

    def gained(self, before: int, after: int, seconds: float) -> int:
        """Counts from one reading to the next, `seconds` later at most.

        Raises CounterError where it was read too late, went back, jumped, or holds what it cannot hold.
        """
        if not 0 <= after <= self.span:
            raise CounterError(f"reads {after:,} {self.unit}, which is beyond its range of {self.span:,}")
        if seconds > self.safe_seconds:
            raise CounterError(
                f"was not read for {seconds:.1f} s: in more than {self.safe_seconds:.1f} s it can wrap unseen"
            )
        counts = after - before if after >= before else after - before + self.span
        believable = self.most_watts * (seconds + STALE_SECONDS)
        if 2 * counts <= self.span and self.in_joules(counts) <= believable:
            return counts
        moved = f"from {before:,} to {after:,} {self.unit} within {seconds:.2f} s"
        if after < before:
            raise CounterError(f"went back {moved}: a wrap would take more than {self.most_watts:,.0f} W")
        raise CounterError(f"jumped {moved}, which is more than {self.most_watts:,.0f} W")
