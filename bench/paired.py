"""Two trained models on the same test examples: what can be said of other examples like them.

The unit of inference of a score is the training, that is the seed (`bench.statistics`). What stands here
takes two trained models as they are: beside several seeds it is a diagnostic, and the main evidence only
where one seed was measured. Verdicts use exact and score methods, as few examples differ between good
models: the percentiles of a bootstrap close on a point where none does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.schema import Verdict, VerdictWord

RESAMPLES = 2000
_AT_ONCE, _FEW = 100, 32
_HALVINGS = 60


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided p of McNemar's exact test: of the examples that only one of two models has right, each is as
    likely the first's as the second's. 1 where there is no such example."""
    from scipy.special import bdtr

    differing = only_first + only_second
    if not differing:
        return 1.0
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), differing, 0.5)))


def wilson(right: int, tried: int, level: float) -> tuple[float, float]:
    """Wilson's score interval (1927) of a share at confidence `level`; raises ValueError for none tried."""
    if tried < 1:
        raise ValueError(f"a share needs at least 1 example, got {tried}")
    z = _normal_quantile(level)
    share, shrunk = right / tried, 1 + z * z / tried
    centre = (share + z * z / (2 * tried)) / shrunk
    half = z / shrunk * math.sqrt(share * (1 - share) / tried + (z / (2 * tried)) ** 2)
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap(values: Sequence[float], level: float, *, seed: int = 0) -> tuple[float, float, float]:
    """Mean of one value an example, with the percentile interval of `RESAMPLES` draws of as many examples.

    For two models the values are differences on the same example, averaged over the seeds of both. The same
    values and seed give the same interval. Raises ValueError for no values.
    """
    import numpy as np

    if not len(values):
        raise ValueError("a bootstrap needs at least 1 example, got 0")
    drawn_from = np.asarray(values, dtype=np.float64)
    distinct, counts = np.unique(drawn_from, return_counts=True)
    total, generator = len(drawn_from), np.random.default_rng(seed)

    def means() -> list[float]:
        # How often each distinct value is drawn is multinomial: cheaper where values are few, as 1 and 0.
        if len(distinct) <= _FEW:
            drawn = generator.multinomial(total, counts / total, size=_AT_ONCE) @ distinct / total
        else:
            drawn = drawn_from[generator.integers(0, total, (_AT_ONCE, total))].mean(axis=1)
        return list(map(float, drawn))

    resampled = [mean for _ in range(RESAMPLES // _AT_ONCE) for mean in means()]
    low, high = np.quantile(resampled, [0.5 - level / 2, 0.5 + level / 2])
    return float(drawn_from.mean()), float(low), float(high)


def share_difference(
    only_first: int, only_second: int, tried: int, level: float
) -> tuple[float, float, float]:
    """Share that the first model has right less the second's, on the same `tried` examples, with Tango's
    score interval (1998, Statistics in Medicine 17:891). Raises ValueError for nothing tried.

    Without a differing example it still reaches to ``± z^2 / (tried + z^2)``.
    """
    if tried < 1 or only_first + only_second > tried:
        raise ValueError(f"{only_first} + {only_second} of {tried} examples cannot differ")
    z = _normal_quantile(level)
    high = _upper_end(only_first, only_second, tried, z)
    low = -_upper_end(only_second, only_first, tried, z)
    return (only_first - only_second) / tried, low, high


def _normal_quantile(level: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(0.5 + level / 2))


def _upper_end(only_first: int, only_second: int, tried: int, z: float) -> float:
    """The difference at which the score statistic, which falls from 0, has come to ``-z``."""
    below, above = (only_first - only_second) / tried, 1.0
    for _ in range(_HALVINGS):
        middle = (below + above) / 2
        if _score(middle, only_first, only_second, tried) > -z:
            below = middle
        else:
            above = middle
    return above


def _score(difference: float, only_first: int, only_second: int, tried: int) -> float:
    """Tango's statistic: the share of `only_second` is its likeliest value under the difference."""
    linear = (2 * tried - only_first + only_second) * difference - only_first - only_second
    constant = -only_second * difference * (1 - difference)
    likeliest = (math.sqrt(max(0.0, linear * linear - 8 * tried * constant)) - linear) / (4 * tried)
    variance = tried * (2 * likeliest + difference * (1 - difference))
    gap = only_first - only_second - tried * difference
    return gap / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, gap)


def judge_pairs(
    only_candidate: int, only_reference: int, tried: int, *, level: float, margin: float
) -> Verdict:
    """Verdict on a candidate's share of right examples less the reference's, from one trained model of each.

    `same` only where the whole score interval lies within the margin; `better` or `worse` where McNemar's
    exact p is at most ``1 - level``; otherwise `undecided`.
    """
    difference, low, high = share_difference(only_candidate, only_reference, tried, level)
    word: VerdictWord = "undecided"
    if -margin <= low and high <= margin:
        word = "same"
    elif mcnemar(only_candidate, only_reference) <= 1 - level:
        word = "better" if difference > 0 else "worse"
    return Verdict(
        word=word,
        ratio=difference,
        low=low,
        high=high,
        level=level,
        margin=margin,
        launches=1,
        reason="the interval holds both a change and none" if word == "undecided" else "",
    )
