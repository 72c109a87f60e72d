"""What every attention layer here promises about its arguments, and how it says that they do not fit."""

import keras

from implementations.on_keras.keras_types import Tensor


def head_width_of(width: int, heads: int, head_width: int | None) -> int:
    """`head_width` where it is given, otherwise ``width // heads``.

    Raises ValueError when a number is below 1, or when `heads` does not divide `width`.
    """
    for name, number in (("width", width), ("heads", heads), ("head_width", head_width)):
        if number is not None and number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")
    if head_width is None and width % heads:
        raise ValueError(f"heads must divide width, got width {width} and heads {heads}; or give head_width")
    return width // heads if head_width is None else head_width


def require_tokens(name: str, tokens: Tensor, width: int) -> None:
    """Raise ValueError unless `tokens` have the shape ``[batch, length, width]``."""
    if len(tokens.shape) != 3 or tokens.shape[-1] != width:
        raise ValueError(f"{name} must have shape [batch, length, {width}], got {list(tokens.shape)}")


def require_padding(padding: Tensor, source: Tensor) -> None:
    """Raise ValueError unless `padding` is boolean and has one entry for each token of `source`."""
    dtype = keras.backend.standardize_dtype(padding.dtype)
    expected, got = list(source.shape[:2]), list(padding.shape)
    if dtype != "bool" or len(got) != 2 or not all(map(_may_agree, expected, got)):
        raise ValueError(
            f"padding must be bool of shape [batch, source] = {expected}, got {dtype} of shape {got}"
        )


def require_equal_lengths(length: int | Tensor, source: int | Tensor) -> None:
    """Raise ValueError for causal attention between two lengths that are known to differ."""
    if not _may_agree(length, source):
        raise ValueError(
            f"causal attention needs as many keys as queries, got {length} queries and {source} keys; "
            "attend to a context of another length without it"
        )


def _may_agree(one: int | Tensor | None, other: int | Tensor | None) -> bool:
    """Backends that trace leave lengths open (None, or a tensor): those are taken to agree."""
    return not (isinstance(one, int) and isinstance(other, int) and one != other)
