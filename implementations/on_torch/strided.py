"""Softmax attention to the near keys and to every stride-th one: the Sparse Transformer's strided pattern.

    out_i = softmax over j in A_i of (q_i . k_j / sqrt(d)) v_j
    A_i = {j : |i - j| <= l} and {j : (i - j) mod l = 0}, l the stride; causal: those with j <= i

Time n (l + n / l) d, which is n^1.5 d at the default l = sqrt(n); memory n (l + n / l). Paper: Child and
others 2019, arXiv:1904.10509, section 4.3. Of its ways to use two sets, every head here takes their union
("merged head", equation 7). Departure: without causality both sets have their mirror image, which the
paper, being about autoregressive models, does not define.

Written row by row into a grid of l columns, the sequence has the second set as its columns: each attends
within itself. The first set, then without distance l (a neighbour in the column), lies in a row and the
one before it, and the one behind it unless causal. The two answers, over keys that are never the same,
are merged exactly by `partial_softmax`; no scores of n x n exist.
"""

import math
from typing import Unpack

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from implementations.on_torch import sdpa
from implementations.on_torch.partial_softmax import Partial, attend_to_part, merged
from implementations.on_torch.patterned import PatternedAttention
from implementations.on_torch.projected import LayerSettings
from implementations.on_torch.visibility import require_equal_lengths


class Strided(PatternedAttention):
    """Attention to the tokens less than a `stride` away and to every stride-th one beyond.

    A stride of 0 is the square root of `max_length`: with that of each sequence's own length, a token
    would see others as soon as one more follows. Raises ValueError for a negative stride, and for a stride
    of 0 without a `max_length`.
    """

    def __init__(self, width: int, heads: int, *, stride: int = 0, **settings: Unpack[LayerSettings]) -> None:
        max_length = settings.get("max_length")
        if stride < 0 or (stride == 0 and not max_length):
            raise ValueError(
                "strided attention needs a stride of at least 1, or of 0 and a max_length to take the root "
                f"of, got stride {stride} and max_length {max_length}"
            )
        super().__init__(width, heads, **settings)
        self.stride = stride or round(math.sqrt(max_length or 1))

    def mix(
        self,
        query: Float[Tensor, "batch heads time head_width"],
        key: Float[Tensor, "batch heads source head_width"],
        value: Float[Tensor, "batch heads source head_width"],
        padding: Bool[Tensor, "batch source"] | None,
        *,
        causal: bool,
        bias: Float[Tensor, "1 heads time source"] | None = None,
    ) -> Float[Tensor, "batch heads time head_width"]:
        """What the kernel answers."""
        return attend(query, key, value, causal=causal, padding=padding, stride=self.stride)

    def _seen_by(self, position: int) -> list[int]:
        """The positions that a causal query sees."""
        near = max(0, position - self.stride + 1)
        return [*range(position % self.stride, near, self.stride), *range(near, position + 1)]


def attend(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads source head_width"],
    value: Float[Tensor, "batch heads source head_width"],
    *,
    causal: bool = False,
    padding: Bool[Tensor, "batch source"] | None = None,
    stride: int,
) -> Float[Tensor, "batch heads time head_width"]:
    """Each query's mean of the values in its two sets, weighted by softmax; zeros if it sees no key.

    `padding` is True where a real token stands. Raises ValueError for a stride below 1 and for a context
    of another length, in which distances have no meaning.
    """
    require_equal_lengths(query, key, "causal attention" if causal else "strided attention")
    if stride < 1:
        raise ValueError(f"stride must be at least 1 token, got {stride}")
    length = query.shape[-2]
    if stride == 1 or stride >= length - 1:  # every key is seen: this is plain attention
        return sdpa.attend(query, key, value, causal=causal, padding=padding)
    query, key, value = (_grid(part, stride) for part in (query, key, value))
    real = query.new_ones(1, length, dtype=torch.bool) if padding is None else padding
    absent = ~_grid(real[:, None, :, None], stride)[..., 0]
    near = _within_rows(query, key, value, absent, causal=causal)
    far = _within_columns(query, key, value, absent, causal=causal)
    mixed = merged(near, far).flatten(2, 3)[:, :, :length]
    if padding is None:
        return mixed
    return mixed.masked_fill(~_sees_any_key(absent, causal=causal)[:, :, :length], 0.0)


def _grid(part: Tensor, stride: int) -> Tensor:
    """``[batch, heads, rows, stride, width]``; zeros fill up the last row."""
    batch, heads, length, width = part.shape
    return functional.pad(part, (0, 0, 0, -length % stride)).reshape(batch, heads, -1, stride, width)


def _within_rows(query: Tensor, key: Tensor, value: Tensor, absent: Tensor, *, causal: bool) -> Partial:
    """The part of the keys less than a stride away: in a row and its neighbours."""
    offsets = (-1, 0) if causal else (-1, 0, 1)
    keys, values = (_neighbours(part, offsets, 0.0) for part in (key, value))
    hidden = _neighbours(absent[..., None], offsets, True)[..., 0]  # [batch, 1, rows, span]
    stride = query.shape[3]
    queries = torch.arange(stride, device=query.device)[:, None]
    positions = torch.arange(-stride, (len(offsets) - 1) * stride, device=query.device)
    far = (queries - positions).abs() >= stride
    if causal:
        far |= positions > queries
    return attend_to_part(query, keys, values, hidden[..., None, :] | far)


def _neighbours(grid: Tensor, offsets: tuple[int, ...], outside: float | bool) -> Tensor:
    """Each row with those at `offsets` from it, ``[batch, heads, rows, len(offsets) * stride, width]``."""
    rows = grid.shape[2]
    padded = functional.pad(grid, (0, 0, 0, 0, 1, max(offsets)), value=outside)
    return torch.cat([padded[:, :, 1 + offset : 1 + offset + rows] for offset in offsets], dim=3)


def _within_columns(query: Tensor, key: Tensor, value: Tensor, absent: Tensor, *, causal: bool) -> Partial:
    """The part of the keys in a column, the query itself not among them, with the columns as rows again."""
    query, key, value = (part.transpose(2, 3) for part in (query, key, value))
    rows = query.shape[3]
    unseen = torch.eye(rows, dtype=torch.bool, device=query.device)
    if causal:
        unseen = torch.ones_like(unseen).triu()
    part = attend_to_part(query, key, value, absent.transpose(2, 3)[..., None, :] | unseen)
    return Partial(part.sums.transpose(2, 3), part.largest.transpose(2, 3))


def _sees_any_key(absent: Tensor, *, causal: bool) -> Tensor:
    """True for queries with a real key in one of their sets, ``[batch, 1, rows * stride, 1]``."""
    real = ~absent
    rows, stride = real.shape[2:]
    column = real.cummax(dim=2).values if causal else real.any(dim=2, keepdim=True).expand_as(real)
    counted = functional.pad(real.flatten(2).cumsum(dim=-1), (1, 0))
    positions = torch.arange(rows * stride, device=real.device)
    last = positions + 1 if causal else (positions + stride).clamp(max=rows * stride)
    near = counted[..., last] > counted[..., (positions - stride + 1).clamp(min=0)]
    return (near | column.flatten(2))[..., None]
