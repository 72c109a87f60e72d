"""Detectors that are no dependencies of ours, run where they are: ``PYTHON FILE WHICH SINCE``.

Takes series as JSON lists of log ratios on standard input and answers, for every night from SINCE on, whether
the detector sees a change in what was known that night.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence

FEWEST = 10


def ruptures_sees(values: Sequence[float]) -> bool:
    """PELT on the mean (the linear kernel) after whitening by the median and its deviation, with the penalty
    of the Bayesian information criterion for a mean and a place: 3 log n."""
    import numpy as np
    import ruptures

    array = np.asarray(values)
    middle = np.median(array)
    spread = np.median(np.abs(array - middle)) * 1.4826
    whitened = ((array - middle) / spread).reshape(-1, 1)
    search = ruptures.KernelCPD(kernel="linear", min_size=3).fit(whitened)
    return len(search.predict(pen=3 * math.log(len(array)))) > 1


def otava_sees(values: Sequence[float]) -> bool:
    """Otava's analysis at its defaults (window 50, p below 0.001), on ratios, without a smallest change."""
    from otava.analysis import compute_change_points

    points, _ = compute_change_points([math.exp(value) for value in values], window_len=50, max_pvalue=0.001)
    return len(points) > 0


DETECTORS: dict[str, Callable[[Sequence[float]], bool]] = {
    "ruptures": ruptures_sees,
    "apache-otava": otava_sees,
}


def main() -> None:
    sees, since = DETECTORS[sys.argv[1]], int(sys.argv[2])
    answers = [
        [
            night >= max(FEWEST, since) and sees(series[: night + 1])
            for night in range(len(series))
        ]
        for series in json.load(sys.stdin)
    ]  # fmt: skip
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
