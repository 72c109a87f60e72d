"""Neighbouring blocks of tokens as one stretch of keys, without a copy of those that stretches share."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


class _Overlapping(torch.autograd.Function):
    """Views of `reach` neighbouring blocks: ``[rows, blocks, size, width]`` to ``[…, reach * size, width]``.

    The gradient of a strided view adds up element by element; here it is `reach` additions of slices.
    """

    @staticmethod
    def forward(ctx: Any, blocks: Tensor, reach: int) -> Tensor:
        rows, count, size, width = blocks.shape
        ctx.reach = reach
        shape = (rows, count - reach + 1, reach * size, width)
        return blocks.as_strided(shape, (count * size * width, size * width, width, 1))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        rows, views, span, width = gradient.shape
        size = span // ctx.reach
        total = gradient.new_zeros(rows, views + ctx.reach - 1, size, width)
        for shift in range(ctx.reach):
            total[:, shift : shift + views] += gradient[:, :, shift * size : (shift + 1) * size]
        return total, None


def overlapping(
    blocks: Float[Tensor, "rows blocks size width"], reach: int
) -> Float[Tensor, "rows views span width"]:
    """Each stretch of `reach` neighbouring blocks, ``span = reach * size``, as a view."""
    views: Tensor = _Overlapping.apply(blocks.contiguous(), reach)  # type: ignore[no-untyped-call]  # torch has no types for it
    return views
