"""The dtype in which sums, angles and scores are kept that half precision would lose."""

from typing import Any

import keras


def at_least_float32(dtype: Any) -> str:
    """float32 for half precision, otherwise the dtype itself; `dtype` is a name or a backend's own."""
    return str(keras.backend.result_type(keras.backend.standardize_dtype(dtype), "float32"))
