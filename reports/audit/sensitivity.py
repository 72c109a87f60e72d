"""At which intensity, PUE, embodied share, request volume or length two variants would change places.

Each is worked out from the two variants' mean prices, everything else held as it is. A flip is a point
estimate; only variants that the evidence tells apart are asked about.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal, TypeAlias

from bench.statistics import judge
from reports import formatting
from reports.audit.asked import Asked
from reports.audit.carbon import Straight, crossing, crossing_on_logs
from reports.audit.prices import Price
from reports.audit.readings import Reading

Answer: TypeAlias = Literal["flips", "cannot flip", "no flip seen", "unknown"]
_LEVEL = 0.99
_ALIKE = "it multiplies the energy of both alike; embodied carbon, which it does not touch, is not in"
_NO_TIMES = "windows without times: nothing to allocate embodied carbon by"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """One thing that could change the order of two variants: where it does, or why it cannot."""

    cheaper: str
    dearer: str
    what: str
    now: str
    answer: Answer
    text: str
    at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The two prices of a functional unit; `over_requests` is what each costs over a life of n requests, a
    training and n inferences, where both were metered."""

    cheaper: Price
    dearer: Price
    over_requests: tuple[Straight, Straight] | None = None

    @property
    def both(self) -> tuple[Price, Price]:
        """The two, the cheaper first."""
        return self.cheaper, self.dearer

    def flip(self, what: str, now: str, answer: Answer, text: str, at: float | None = None) -> Flip:
        """A row on this pair."""
        names = {"cheaper": self.cheaper.name, "dearer": self.dearer.name}
        return Flip(**names, what=what, now=now, answer=answer, text=text, at=at)


def flips(pair: Pair, asked: Asked, curves: Sequence[Mapping[str, Mapping[int, Reading]]]) -> Iterator[Flip]:
    """All rows on one pair, in a fixed order."""
    yield intensity(pair, asked)
    yield pue(pair, asked)
    yield embodied(pair, asked)
    yield volume(pair)
    yield length(pair, curves)
    yield method(pair)


def intensity(pair: Pair, asked: Asked) -> Flip:
    """C(I) = E · PUE · I + M."""
    now = f"{asked.intensity.grams_per_kilowatt_hour:g} g/kWh" if asked.intensity else "not given"
    what = "carbon intensity"
    if asked.embodied is None:
        return pair.flip(what, now, "cannot flip", _ALIKE)
    if not all(price.embodied for price in pair.both):
        return pair.flip(what, now, "unknown", _NO_TIMES)
    lines = [Straight(fixed=fmean(p.embodied), slope=p.kilowatt_hours) for p in pair.both]
    at = crossing(*lines)
    if at is None or at <= 0:
        return pair.flip(what, now, "cannot flip", _both_less(pair))
    return pair.flip(what, now, "flips", f"at {_number(at)} g/kWh they cost the same", at)


def pue(pair: Pair, asked: Asked) -> Flip:
    """C(PUE) = E · I · PUE + M, from 1 upwards."""
    what, now = "PUE", f"{asked.pue:g}" if asked.pue is not None else "1 (none given)"
    if asked.embodied is None:
        return pair.flip(what, now, "cannot flip", _ALIKE)
    if asked.intensity is None:
        return pair.flip(what, now, "unknown", "energy and embodied carbon meet only at an intensity")
    if not all(price.embodied for price in pair.both):
        return pair.flip(what, now, "unknown", _NO_TIMES)
    lines = [
        Straight(fixed=fmean(p.embodied), slope=fmean(p.operational) / asked.applied_pue) for p in pair.both
    ]
    at = crossing(*lines)
    if at is None or at <= 0:
        return pair.flip(what, now, "cannot flip", _both_less(pair))
    if at < 1:
        return pair.flip(
            what, now, "cannot flip", f"it would have to be {_number(at)}, and none is below 1", at
        )
    return pair.flip(what, now, "flips", f"at a PUE of {_number(at)} they cost the same", at)


def embodied(pair: Pair, asked: Asked) -> Flip:
    """C(share) = O + share · M at share 1; without an estimate, what time says by itself."""
    what = "embodied share"
    if not all(price.seconds for price in pair.both):
        return pair.flip(what, "not given", "unknown", _NO_TIMES)
    if asked.embodied is None or asked.intensity is None:
        return _embodied_unknown(pair, asked)
    share, now = asked.embodied.share, f"{asked.embodied.share:g} of {asked.embodied.kilograms:g} kg"
    lines = [Straight(fixed=fmean(p.operational), slope=fmean(p.embodied) / share) for p in pair.both]
    at = crossing(*lines)
    if at is None or at <= 0:
        return pair.flip(what, now, "cannot flip", _both_less(pair))
    if at <= 1:
        return pair.flip(what, now, "flips", f"at a share of {_number(at)} they cost the same", at)
    kilograms = asked.embodied.kilograms * at / share
    text = (
        f"no share of this machine reaches it; at the present share it would take a machine of "
        f"{_number(kilograms)} kg"
    )
    return pair.flip(what, now, "cannot flip", text, at)


def _embodied_unknown(pair: Pair, asked: Asked) -> Flip:
    """Embodied carbon goes by time: where the cheaper one is also the faster, no amount of it matters."""
    what, now = "embodied share", "not given" if asked.embodied is None else f"{asked.embodied.share:g}"
    faster = fmean(pair.cheaper.seconds) <= fmean(pair.dearer.seconds)
    if faster:
        return pair.flip(what, now, "cannot flip", _both_less(pair))
    if asked.intensity is None:
        text = "the one that needs less energy is the slower: without an intensity nobody can say"
        return pair.flip(what, now, "unknown", text)
    lines = [Straight(fixed=fmean(p.operational), slope=fmean(p.seconds)) for p in pair.both]
    at = crossing(*lines)
    assert at is not None, "their times differ"
    text = f"the dearer one is the faster: above {_number(at * 3600)} g an hour of the machine it wins"
    return pair.flip(what, now, "flips", text, at * 3600)


def volume(pair: Pair) -> Flip:
    """Total(n) = training + n · serving, over the life of the model."""
    what, now = "request volume", "not given"
    if pair.over_requests is None:
        return pair.flip(what, now, "unknown", "a training and its inferences were not metered for both")
    lines, names = pair.over_requests, (pair.cheaper.name, pair.dearer.name)
    at = crossing(*lines)
    if at is None or at <= 0:
        least = min((0, 1), key=lambda place: (lines[place].fixed, lines[place].slope))
        text = f"{names[least]} costs no more to train and no more to serve"
        return pair.flip(what, now, "cannot flip", text)
    few = 0 if lines[0].fixed < lines[1].fixed else 1
    text = (
        f"training and serving together: up to {formatting.length(at)} requests {names[few]} costs less, "
        f"beyond them {names[1 - few]}"
    )
    return pair.flip(what, now, "flips", text, at)


def length(pair: Pair, curves: Sequence[Mapping[str, Mapping[int, Reading]]]) -> Flip:
    """Between which lengths, on made-up work, energy of the two crosses; nothing is told beyond them."""
    what, now = "sequence length", "that of the task"
    seen: list[int] = []
    for curve in curves:
        shared, costs = _on_lengths(curve.get(pair.cheaper.name, {}), curve.get(pair.dearer.name, {}))
        seen += shared
        for at, (start, end) in _crossings(shared, costs):
            longer = pair.cheaper.name if costs[0][end] < costs[1][end] else pair.dearer.name
            text = (
                f"near {formatting.length(at)} tokens on made-up work, between {formatting.length(start)} "
                f"and {formatting.length(end)} that were metered; {longer} needs less beyond"
            )
            open_ends = [n for n in (start, end) if not _told_apart(curve, pair, n)]
            if open_ends:
                text += f"; not told apart at {formatting.listed(list(map(formatting.length, open_ends)))}"
            return pair.flip(what, now, "flips", text, at)
    if len(set(seen)) < 2:
        return pair.flip(what, now, "unknown", "both were not metered at two lengths")
    span = f"{formatting.length(min(seen))} to {formatting.length(max(seen))} tokens"
    return pair.flip(what, now, "no flip seen", f"not from {span} on made-up work; beyond is not known")


def _told_apart(curve: Mapping[str, Mapping[int, Reading]], pair: Pair, tokens: int) -> bool:
    one, other = (curve[price.name][tokens].samples for price in pair.both)
    if len(one) != len(other):
        return False
    effects = [math.log(mine.joules / theirs.joules) for mine, theirs in zip(one, other, strict=True)]
    return judge(effects, level=_LEVEL, margin=0.0).word in ("better", "worse")


def _on_lengths(
    one: Mapping[int, Reading], other: Mapping[int, Reading]
) -> tuple[list[int], tuple[dict[int, float], dict[int, float]]]:
    shared = sorted(n for n in set(one) & set(other) if one[n].read and other[n].read)
    return shared, ({n: one[n].joules for n in shared}, {n: other[n].joules for n in shared})


def _crossings(
    shared: Sequence[int], costs: tuple[Mapping[int, float], Mapping[int, float]]
) -> Iterator[tuple[float, tuple[int, int]]]:
    for start, end in itertools.pairwise(shared):
        first, second = ((mine[start], mine[end]) for mine in costs)
        at = crossing_on_logs((start, end), first, second)
        if at is not None:
            yield at, (start, end)


def method(pair: Pair) -> Flip:
    """An error that both share cancels; one that they do not share would have to make up the gap."""
    gap = 1 - fmean(pair.cheaper.deciding) / fmean(pair.dearer.deciding)
    what, bounds = "error of the method", pair.cheaper.reading.method_bounds()
    now = f"true joules {bounds[0]:g} to {bounds[1]:g} times those told" if bounds else "nobody can say"
    text = f"what both share cancels; the error of one alone would have to make up {gap:.1%}"
    worst, best = pair.cheaper.with_method_error(), pair.dearer.with_method_error()
    if worst is None or best is None:
        return pair.flip(what, now, "unknown", text, gap)
    if worst[1] < best[0]:
        return pair.flip(what, now, "cannot flip", f"{text}, more than the method's bounds allow", gap)
    return pair.flip(what, now, "flips", f"{text}, which the method's bounds allow", gap)


def _both_less(pair: Pair) -> str:
    return f"{pair.cheaper.name} needs no more energy and no more time than {pair.dearer.name}"


def _number(value: float) -> str:
    """Three significant digits, thousands apart."""
    if not value or not math.isfinite(value):
        return f"{value:g}"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"
