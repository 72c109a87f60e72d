"""Sliding-window attention, arXiv:2004.05150, section 3.1, sinks as in arXiv:2309.17453, section 3.2."""

import numpy as np

from implementations.definitions.pattern import seen_through
from implementations.definitions.projected import Array


def neighbourhood(length: int, causal: bool, window: int = 256, sinks: int = 0) -> Array:
    """``[length, length]``: True where query i may see key j, the future left to causality."""
    near: Array = np.zeros((length, length), dtype=bool)
    for i in range(length):
        for j in range(length):
            within = i - window < j <= i if causal else abs(i - j) <= window // 2
            near[i, j] = within or j < sinks
    return near


layer = seen_through(neighbourhood)
"""Softmax attention over the keys near each query and over the first `sinks`."""
