"""Numbers as the reports' JSON holds them."""

from __future__ import annotations

import math
from typing import Any

_SIGNIFICANT_DIGITS = 6


def rounded(value: Any) -> Any:
    """Numbers to six significant digits, so that two machines write the same file from the same run."""
    if isinstance(value, dict):
        return {str(name): rounded(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(inner) for inner in value]
    if isinstance(value, float) and value and math.isfinite(value):
        return round(value, _SIGNIFICANT_DIGITS - 1 - math.floor(math.log10(abs(value))))
    return value
