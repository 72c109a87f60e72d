"""Numbers as a reader wants them: three significant digits, thousands apart, the unit beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

_SCALES = {
    "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")),
    "B": ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")),
    "J": ((1e6, "MJ"), (1e3, "kJ"), (1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ"), (1e-9, "nJ")),
    "g": ((1e3, "kg"), (1.0, "g"), (1e-3, "mg"), (1e-6, "µg"), (1e-9, "ng")),
    "kWh": ((1.0, "kWh"), (1e-3, "Wh"), (1e-6, "mWh"), (1e-9, "µWh"), (1e-12, "nWh")),
    "FLOP/s": ((1e12, "TFLOP/s"), (1e9, "GFLOP/s"), (1e6, "MFLOP/s"), (1.0, "FLOP/s")),
    "items/s": ((1e6, "M items/s"), (1.0, "items/s")),
    "tokens/s": ((1e6, "M tokens/s"), (1.0, "tokens/s")),
    "count": ((1e12, "T"), (1e9, "G"), (1.0, "")),
}
_DECIMALS = {
    "fraction": 3,
    "dB": 2,
    "ssim": 3,
    "index": 3,
    "share": 3,
    "bits": 3,
    "nats": 3,
    "score": 3,
    "chrF": 1,
    "BLEU": 1,
}
_UNNAMED = {"fraction", "ssim", "index", "share", "loss", "norm", "score", "1"}


def length(tokens: float) -> str:
    """A length in tokens: 1,024."""
    return f"{int(tokens):,}"


def quantity(number: float | None, unit: str, *, signed: bool = False) -> str:
    """`number` in a fitting multiple of its unit: 0.0123 s is "12.3 ms", a ratio is "0.163×"."""
    return with_bounds(number, None, None, unit, signed=signed)[0]


def with_bounds(
    estimate: float | None, low: float | None, high: float | None, unit: str, *, signed: bool = False
) -> tuple[str, str]:
    """An estimate with its unit, and its interval in the same multiple of it with the same decimals.

    As many decimals as keep three significant digits, more where the interval would close on itself.
    "no estimate" and "no interval" stand for what there is none of.
    """
    if estimate is None:
        return "no estimate", "no interval"
    size, name = _scale(estimate, unit)
    scaled = [number / size for number in (estimate, low, high) if number is not None]
    decimals = _DECIMALS[unit] if unit in _DECIMALS else _decimals(scaled, unit)
    texts = [_written(number, decimals, signed) for number in scaled]
    shown = f"{texts[0]}{name}" if unit == "ratio" else f"{texts[0]} {name}".strip()
    return shown, f"{texts[1]} to {texts[2]}" if len(texts) == 3 else "no interval"


def _scale(number: float, unit: str) -> tuple[float, str]:
    named = "" if unit in _UNNAMED else "×" if unit == "ratio" else unit
    scales = _SCALES.get(unit, ((1.0, named),))
    return next(((size, name) for size, name in scales if abs(number) >= size), scales[-1])


def _decimals(numbers: Sequence[float], unit: str) -> int:
    """Decimals for an estimate alone or with both ends of its interval; negative ones round to tens."""
    needed = [_significant(number, 3) for number in numbers]
    if unit == "count" and all(number == int(number) for number in numbers):
        return 0
    if len(numbers) < 3:
        return needed[0]
    decimals = max(needed[0], min(needed[1], needed[0] + 1))
    while decimals < needed[0] + 2 and round(numbers[1], decimals) == round(numbers[2], decimals):
        decimals += 1
    return decimals


def _significant(number: float, digits: int) -> int:
    """How many decimals keep that many significant digits."""
    if number == 0 or not math.isfinite(number):
        return 0
    return digits - 1 - math.floor(math.log10(abs(number)))


def _written(number: float, decimals: int, signed: bool) -> str:
    if abs(number) >= 1e15:
        return f"{number:.2g}"
    text = f"{round(number, decimals):{'+' if signed else ''},.{max(0, decimals)}f}"
    return text.replace("-", "−")


def tick(number: float, unit: str) -> str:
    """A value on an axis: as few digits as it needs."""
    size, name = _scale(number, unit)
    return f"{number / size:g} {name}"


def moment(text: str) -> str:
    """A time of the store, such as 2026-01-02T03:04:05+00:00, to the minute in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def listed(texts: Sequence[str], ending: str = "and") -> str:
    """Words in a sentence: "a, b and c"."""
    return f" {ending} ".join(filter(None, (", ".join(texts[:-1]), *texts[-1:])))


def plural(count: int, noun: str) -> str:
    """ "1 launch", "8 launches"."""
    if count == 1:
        return f"1 {noun}"
    if noun.endswith("y"):
        return f"{count:,} {noun[:-1]}ies"
    return f"{count:,} {noun}{'es' if noun.endswith('ch') else 's'}"
