"""Intervals, decisions and false-alarm control over launches.

The unit of evidence is one launch's median log ratio; intervals are Student's t over launches, whose
scatter holds what a single process cannot show (memory layout, thread placement, the neighbours).
Looks before the last launch spend their share of the error rate by the function that Lan and DeMets
(1983) give for O'Brien and Fleming's boundaries, ``2 - 2 Phi(z(alpha / 2) / sqrt(t))``: early looks stop
for what is plain, and leave the last one nearly all of `alpha`. Each look is tested at the share it adds,
so that by the union bound the looks together raise at most `alpha` false alarms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean, median

from bench.schema import Better, Verdict, VerdictWord

LOOK_FRACTIONS = (1 / 8, 1 / 4, 1 / 2, 1.0)


def paired_log_ratio(reference: Sequence[float], candidate: Sequence[float]) -> float:
    """Median of ``log(candidate / reference)`` over the blocks of one launch.

    Value i of either arm was taken in block i. Raises ValueError when the arms are not equally long
    or a value is not positive: a ratio of unequal arms is the design that this project avoids.
    """
    if len(reference) != len(candidate) or not reference:
        raise ValueError(
            f"arms must be equally long and not empty, got {len(reference)} and {len(candidate)} values"
        )
    if min(*reference, *candidate) <= 0:
        raise ValueError("a ratio needs positive values")
    return median(math.log(c / r) for r, c in zip(reference, candidate, strict=True))


def _t_quantile(probability: float, degrees: int) -> float:
    from scipy.special import stdtrit  # scipy.stats costs half a second more to import

    return float(stdtrit(degrees, probability))


def _standard_error(values: Sequence[float]) -> float:
    mean = fmean(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1) / len(values))


def interval(values: Sequence[float], level: float) -> tuple[float, float, float]:
    """Mean, lower and upper end of the t interval at confidence `level` over two or more launches."""
    if len(values) < 2:
        raise ValueError(f"an interval over launches needs at least 2 of them, got {len(values)}")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    mean = fmean(values)
    half = _t_quantile(0.5 + level / 2, len(values) - 1) * _standard_error(values)
    return mean, mean - half, mean + half


def p_value(values: Sequence[float]) -> float:
    """Two-sided p of Student's t test that the launches' mean is 0."""
    from scipy.special import stdtr

    if len(values) < 2:
        raise ValueError(f"a test over launches needs at least 2 of them, got {len(values)}")
    error = _standard_error(values)
    mean = fmean(values)
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stdtr(len(values) - 1, -abs(mean / error)))


def look_schedule(planned: int) -> tuple[int, ...]:
    """After how many launches a decision may be taken: 1/8, 1/4, 1/2 and all of the planned ones.

    One launch has no scatter, so no look is taken before the second.
    """
    if planned < 1:
        raise ValueError(f"at least one launch must be planned, got {planned}")
    looks = {max(2, math.ceil(planned * fraction)) for fraction in LOOK_FRACTIONS}
    return tuple(sorted(look for look in looks if look <= max(planned, 2)))


def _spent(fraction: float, alpha: float) -> float:
    from scipy.special import ndtr, ndtri

    return float(2 * ndtr(ndtri(alpha / 2) / math.sqrt(min(fraction, 1.0))))


def decision_level(launches: int, planned: int, alpha: float) -> float:
    """Confidence level at which a decision after `launches` of `planned` may be taken.

    Between two looks (a run that was cut short) the next look's share is used.
    """
    looks = look_schedule(planned)
    position = next((i for i, look in enumerate(looks) if look >= launches), len(looks) - 1)
    before = _spent(looks[position - 1] / planned, alpha) if position else 0.0
    return 1 - (_spent(looks[position] / planned, alpha) - before)


def _word(low: float, high: float, same_low: float, same_high: float, better: Better) -> VerdictWord:
    if same_low <= low and high <= same_high:
        return "same"
    if high < 0 or low > 0:
        return "better" if (high < 0) == (better == "lower") else "worse"
    return "undecided"


def _undecided(count: int, level: float, margin: float, what: str) -> Verdict:
    reason = f"{count} {what}: an interval needs at least 2"
    return Verdict(
        word="undecided",
        ratio=None,
        low=None,
        high=None,
        level=level,
        margin=margin,
        launches=count,
        reason=reason,
    )


def judge(log_ratios: Sequence[float], *, level: float, margin: float, better: Better = "lower") -> Verdict:
    """Verdict on candidate / reference from the launches' log ratios.

    `same` when the whole interval lies within 1 / (1 + margin) to 1 + margin, otherwise `better` or
    `worse` when it leaves out 1, otherwise `undecided`. Ratio and interval are given as ratios.
    """
    allowed = math.log1p(margin)
    return _judged(log_ratios, allowed, _exp, "launches", level=level, margin=margin, better=better)


def _exp(value: float) -> float:
    """A t interval over two launches can be wider than a float: it ends at the largest finite one."""
    return math.exp(min(value, 700.0))


def judge_differences(
    differences: Sequence[float], *, level: float, margin: float, better: Better
) -> Verdict:
    """Verdict on candidate - reference from one difference a seed, in the metric's own unit."""
    return _judged(differences, margin, float, "seeds", level=level, margin=margin, better=better)


def _judged(
    effects: Sequence[float],
    allowed: float,
    shown: Callable[[float], float],
    what: str,
    *,
    level: float,
    margin: float,
    better: Better,
) -> Verdict:
    """Verdict on effects of which up to `allowed` counts as none; `shown` gives them as readers want them."""
    if len(effects) < 2:
        return _undecided(len(effects), level, margin, what)
    mean, low, high = interval(effects, level)
    word = _word(low, high, -allowed, allowed, better)
    return Verdict(
        word=word,
        ratio=shown(mean),
        low=shown(low),
        high=shown(high),
        level=level,
        margin=margin,
        launches=len(effects),
        reason="the interval holds both a change and none" if word == "undecided" else "",
    )


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values (Benjamini and Hochberg 1995): calling those at or below q keeps the share of
    false discoveries at or below q."""
    count = len(p_values)
    adjusted = [1.0] * count
    smallest = 1.0
    for rank, index in sorted(enumerate(sorted(range(count), key=p_values.__getitem__), 1), reverse=True):
        smallest = min(smallest, p_values[index] * count / rank)
        adjusted[index] = smallest
    return adjusted


def false_alarms(control_log_ratios: Sequence[Sequence[float]], alpha: float) -> tuple[int, int]:
    """Of the cells that compare the reference with its own copy over two or more launches: how many
    differ at `alpha`, and how many such cells there are."""
    cells = [cell for cell in control_log_ratios if len(cell) >= 2]
    return sum(p_value(cell) < alpha for cell in cells), len(cells)


def launch_scatter(control_log_ratios: Sequence[Sequence[float]]) -> float | None:
    """Standard deviation of one launch's log ratio of the reference to its own copy.

    The true value is known to be 0, so every launch adds a degree of freedom. None without launches.
    """
    values = [value for cell in control_log_ratios for value in cell]
    return math.sqrt(fmean(value * value for value in values)) if values else None


def smallest_detectable_change(
    control_log_ratios: Sequence[Sequence[float]], launches: int, alpha: float, power: float = 0.95
) -> float | None:
    """The change, as a fraction, that `launches` launches find with probability `power` at `alpha`."""
    scatter = launch_scatter(control_log_ratios)
    if scatter is None or launches < 2:
        return None
    degrees = launches - 1
    factor = _t_quantile(1 - alpha / 2, degrees) + _t_quantile(power, degrees)
    return math.expm1(min(factor * scatter / math.sqrt(launches), 700.0))


def fit_exponent(
    lengths: Sequence[float], costs: Sequence[float], level: float = 0.95
) -> tuple[float, float, float]:
    """Slope of log cost over log length by least squares, with its t interval; needs three lengths."""
    if len(lengths) != len(costs) or len(set(lengths)) < 3:
        raise ValueError(f"a fit with an interval needs at least 3 lengths, got {sorted(set(lengths))}")
    x = [math.log(length) for length in lengths]
    y = [math.log(cost) for cost in costs]
    centre, height = fmean(x), fmean(y)
    spread = sum((xi - centre) ** 2 for xi in x)
    slope = sum((xi - centre) * (yi - height) for xi, yi in zip(x, y, strict=True)) / spread
    residuals = sum((yi - height - slope * (xi - centre)) ** 2 for xi, yi in zip(x, y, strict=True))
    half = _t_quantile(0.5 + level / 2, len(x) - 2) * math.sqrt(residuals / (len(x) - 2) / spread)
    return slope, slope - half, slope + half
