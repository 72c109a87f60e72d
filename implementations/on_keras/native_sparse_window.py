"""The window of native sparse attention: softmax over the tokens near each query.

Queries are cut into blocks as long as the window reaches; each block is multiplied with its own keys and
those of the blocks beside it. The scores that exist are n times two or three windows, never n x n.
"""

from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.keras_types import Tensor
from implementations.on_keras.visibility import HIDDEN_SCORE, softmax_over_keys


def attend_to_window(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads source head_width"],
    value: Float[Tensor, "batch heads source head_width"],
    padding: Bool[Tensor, "batch source"] | None,
    *,
    causal: bool,
    window: int | None,
) -> Float[Tensor, "batch heads time head_width"]:
    """The values near each query; `query` is scaled. Zeros where no real key is near.

    `window` counts tokens as in sliding-window attention; None lets every query see every key.
    """
    if window is None:
        return ops.matmul(softmax_over_keys(ops.matmul(query, ops.swapaxes(key, -1, -2))), value)
    length = query.shape[2]
    before = min(window - 1 if causal else window // 2, length - 1)
    after = 0 if causal else before
    size = max(1, before)
    front, back = -(-before // size), -(-after // size)
    blocks = -(-length // size)
    queries = _blocks(query, size, (0, blocks * size - length))
    margins = (front * size, (blocks + back) * size - length)
    keys, values = (_joined(_blocks(part, size, margins), blocks) for part in (key, value))
    seen = _seen(length, padding, size, before, after, margins, blocks)
    scores = ops.matmul(queries, ops.swapaxes(keys, -1, -2))
    scores = ops.where(seen, scores, ops.cast(HIDDEN_SCORE, scores.dtype))
    weights = softmax_over_keys(scores)
    mixed = ops.matmul(ops.where(seen, weights, ops.zeros_like(weights)), values)
    flat = ops.reshape(mixed, (-1, query.shape[1], blocks * size, value.shape[-1]))
    return flat[:, :, :length]


def _seen(
    length: int,
    padding: Tensor | None,
    size: int,
    before: int,
    after: int,
    margins: tuple[int, int],
    blocks: int,
) -> Tensor:
    """True where a query sees a key of its window, ``[batch or 1, 1, blocks, size, keys]``."""
    real = ops.ones((1, length), dtype="bool") if padding is None else padding
    real = _blocks(ops.cast(real, "int32")[:, None, :, None], size, margins)
    real = ops.swapaxes(_joined(real, blocks), -1, -2) > 0
    offset = ops.arange(real.shape[-1])[None, :] - margins[0] - ops.arange(size)[:, None]
    return ops.logical_and(real, ops.logical_and(offset >= -before, offset <= after))


def _blocks(tokens: Tensor, size: int, margins: tuple[int, int]) -> Tensor:
    """``[batch, heads, time, width]`` with margins, to ``[batch, heads, blocks, size, width]``."""
    _, heads, length, width = tokens.shape
    filled = ops.pad(tokens, ((0, 0), (0, 0), margins, (0, 0)))
    return ops.reshape(filled, (-1, heads, (length + sum(margins)) // size, size, width))


def _joined(tokens: Tensor, blocks: int) -> Tensor:
    """For each of the first blocks: itself and those after it that its window reaches, in a row."""
    reach = tokens.shape[2] - blocks + 1
    return ops.concatenate([tokens[:, :, shift : shift + blocks] for shift in range(reach)], axis=3)
