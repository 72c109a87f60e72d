"""Writes the streams beside it: ``python make_up.py``. They are made up: no such machine was recorded."""

import json
import random
from pathlib import Path

SECONDS = 30
HERE = Path(__file__).parent


def pieces(generator: random.Random, idle: float, load: float) -> list[tuple[float, float]]:
    """Work that comes and goes: seconds and watts, 30 s in all."""
    told, left = [], float(SECONDS)
    while left > 0:
        long = min(left, round(generator.uniform(0.3, 2.5), 2))
        told.append((long, round(generator.choice((idle, load)) * generator.uniform(0.9, 1.1), 1)))
        left = round(left - long, 2)
    return told


def write(
    name: str, told: list[tuple[float, float]], *, step: float, counts: int, span: int, first: int
) -> None:
    pairs, joules, index, left = [], 0.0, 0, told[0][0]
    for tick in range(round(SECONDS / step) + 1):
        pairs.append((round(tick * step, 3), (first + int(joules * counts)) % span))
        wanted = step
        while wanted > 1e-9 and index < len(told):
            part = min(wanted, left)
            joules, wanted, left = joules + part * told[index][1], wanted - part, left - part
            if left <= 1e-9:
                index += 1
                left = told[index][0] if index < len(told) else 0.0
    held = {
        "source": "made up by make_up.py: no such machine was recorded",
        "counts_a_joule": counts,
        "span": span,
        "seconds": SECONDS,
        "joules": round(sum(long * watts for long, watts in told), 6),
        "seconds_and_watts": told,
        "pairs": pairs,
    }
    (HERE / name).write_text(json.dumps(held) + "\n")


generator = random.Random(5)
# It wraps some seconds after its start.
write(
    "package.json",
    pieces(generator, 38, 171),
    step=0.01,
    counts=1_000_000,
    span=262_143_328_850,
    first=261_000_000_000,
)
write(
    "dram.json", pieces(generator, 4, 11), step=0.01, counts=1_000_000, span=65_712_999_613, first=7_000_000
)
write("gpu.json", pieces(generator, 62, 340), step=0.1, counts=1000, span=1 << 62, first=812_000_000)
