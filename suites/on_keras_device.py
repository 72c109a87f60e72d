"""Where Keras runs and with how many threads, and in which dtype."""

from __future__ import annotations

import os
from typing import Any

from bench.schema import DTYPES


def limit_threads(tensorflow: Any, threads: int) -> None:
    """`threads` within an operation and one operation at a time.

    Raises RuntimeError where TensorFlow, which fixes them at its first call, already runs with others.
    """
    for kind, number in (("intra", threads), ("inter", 1)):
        read = getattr(tensorflow.config.threading, f"get_{kind}_op_parallelism_threads")
        write = getattr(tensorflow.config.threading, f"set_{kind}_op_parallelism_threads")
        # Where nothing was set it follows the variable, as that was at its first call.
        if number in (read(), read() or int(os.environ.get(f"TF_NUM_{kind.upper()}OP_THREADS", 0))):
            continue
        try:
            write(number)
        except RuntimeError as error:
            raise RuntimeError(
                f"TensorFlow already runs with {read() or 'its own number of'} threads and cannot be"
                f" limited to {number} any more: open Keras before anything runs on TensorFlow"
            ) from error


def keras_device(name: str) -> str:
    """Keras's name of the device: torch's ``cuda`` is every backend's ``gpu``."""
    kind, _, number = name.partition(":")
    kinds = {"cpu": "cpu", "cuda": "gpu", "gpu": "gpu"}
    if kind not in kinds or not (number or "0").isdigit():
        raise ValueError(f"Keras knows no device {name!r}; expected 'cpu', 'cuda' or 'cuda:N'")
    return f"{kinds[kind]}:{number or '0'}"


def checked_dtype(name: str) -> str:
    """The name, if Keras is measured in it; raises ValueError for another."""
    if name not in DTYPES:
        raise ValueError(f"Keras is measured in {', '.join(DTYPES)}, got dtype {name!r}")
    return name
