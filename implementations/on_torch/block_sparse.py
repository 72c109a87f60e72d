"""Softmax attention between blocks of tokens: near ones, a few that all see, a few drawn at random.

    out_i = softmax over j of (q_i . k_j / sqrt(d)) v_j, for j in the blocks that the block of i sees
    a block sees those within window_blocks // 2 of it, the first `global_blocks` and `random_blocks`
    drawn ones; the global blocks see everything; causal: of all that, j <= i

Time n b (w + g + r) d, memory n d (w + g + r) for w + g + r blocks of b tokens. Paper: Zaheer and others
2020, BigBird, arXiv:2007.14062, section 2 and appendix D, with global tokens among the sequence's own
(ITC). Departures: random blocks are drawn as `implementations.block_pattern` says, so that neither the
length nor what follows changes what a token sees; the paper, which is about encoders, has no causal form.

The keys that a block of queries sees are gathered beside one another, and blocks play the part of heads
in torch's fused kernel. A block that is absent from the pattern is one more block of hidden keys; those are
pushed down by one more channel, as in `sdpa`. Global blocks attend to the whole sequence apart.
"""

import math
from typing import Unpack

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from implementations.block_pattern import ABSENT, BlockPattern, blocks_seen, blocks_seen_by
from implementations.on_torch import sdpa
from implementations.on_torch.patterned import PatternedAttention
from implementations.on_torch.projected import LayerSettings
from implementations.on_torch.visibility import hidden_score, require_equal_lengths


class BlockSparse(PatternedAttention):
    """BigBird's attention with blocks of `block` tokens.

    Raises ValueError for a block below 1, an even window and counts below 0.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        block: int = 64,
        window_blocks: int = 3,
        global_blocks: int = 2,
        random_blocks: int = 3,
        seed: int = 0,
        **settings: Unpack[LayerSettings],
    ) -> None:
        _require_block(block)
        super().__init__(width, heads, **settings)
        self.block = block
        self.pattern = BlockPattern(
            window_blocks=window_blocks,
            global_blocks=global_blocks,
            random_blocks=random_blocks,
            seed=seed,
        )

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
        return attend(
            query, key, value, causal=causal, padding=padding, block=self.block, pattern=self.pattern
        )

    def _seen_by(self, position: int) -> list[int]:
        """The positions that a causal query sees."""
        own = position // self.block
        if own < self.pattern.global_blocks:
            return list(range(position + 1))
        _, *earlier = blocks_seen_by(self.pattern, own, own + 1)
        starts = [block * self.block for block in earlier]
        whole = [start + place for start in starts for place in range(self.block)]
        return whole + list(range(own * self.block, position + 1))


def attend(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads source head_width"],
    value: Float[Tensor, "batch heads source head_width"],
    *,
    causal: bool = False,
    padding: Bool[Tensor, "batch source"] | None = None,
    block: int = 64,
    pattern: BlockPattern = BlockPattern(),  # noqa: B008  # it is frozen
) -> Float[Tensor, "batch heads time head_width"]:
    """Each query's mean of the values in the blocks it sees, weighted by softmax; zeros if it sees no key.

    `block` counts tokens; the last block may be shorter. `padding` is True where a real token stands.
    Raises ValueError for a block below 1 and for a context of another length, whose blocks are not these.
    """
    require_equal_lengths(query, key, "causal attention" if causal else "block-sparse attention")
    _require_block(block)
    start = pattern.global_blocks * block
    if start >= query.shape[-2]:  # every block is global: this is plain attention
        return sdpa.attend(query, key, value, causal=causal, padding=padding)
    mixed = _attend_in_blocks(query, key, value, padding, block, pattern, causal=causal)
    if start == 0:
        return mixed
    source = start if causal else key.shape[-2]
    among_all = sdpa.attend(
        query[:, :, :start],
        key[:, :, :source],
        value[:, :, :source],
        causal=causal,
        padding=None if padding is None else padding[:, :source],
    )
    return torch.cat((among_all, mixed), dim=2)


def _require_block(block: int) -> None:
    if block < 1:
        raise ValueError(f"block must be at least 1 token, got {block}")


def _attend_in_blocks(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    padding: Tensor | None,
    size: int,
    pattern: BlockPattern,
    *,
    causal: bool,
) -> Tensor:
    """The answer for all queries behind the global blocks."""
    batch, heads, length, width = query.shape
    blocks = math.ceil(length / size)
    rows = blocks_seen(pattern, blocks, causal=causal)
    # One more block, all of it hidden, stands in for those that are absent.
    seen = torch.from_numpy(rows.copy()).to(query.device)
    seen = torch.where(seen == ABSENT, blocks, seen)
    room = (blocks + 1) * size - length
    real = query.new_ones(1, length, dtype=torch.bool) if padding is None else padding
    real = functional.pad(real, (0, room))
    pushed = functional.pad(key, (0, 1, 0, room))
    pushed[..., -1] = real.new_zeros(real.shape, dtype=key.dtype).masked_fill(~real, hidden_score(key.dtype))[
        :, None
    ]
    start = pattern.global_blocks * size
    split = (batch * heads, -1, size, width + 1)
    mixed = functional.scaled_dot_product_attention(
        functional.pad(query[:, :, start:], (0, 1, 0, room - size), value=1.0).view(split),
        _gathered(pushed.view(split), seen),
        _gathered(functional.pad(value, (0, 1, 0, room)).view(split), seen),
        attn_mask=_own_past(size, seen.shape[1], query.device) if causal else None,
        scale=1 / math.sqrt(width),
    )
    mixed = mixed.reshape(batch, heads, -1, width + 1)[:, :, : length - start, :width]
    if padding is None:
        return mixed
    sees = _sees_any_key(real.view(real.shape[0], -1, size), seen, causal=causal)
    return mixed.masked_fill(~sees[:, None, : length - start, None], 0.0)


def _gathered(blocks: Tensor, seen: Tensor) -> Tensor:
    """The blocks that each row of `seen` names, ``[rows, seen, reach * size, width]``."""
    rows, _, size, width = blocks.shape
    count, reach = seen.shape
    return blocks.index_select(1, seen.flatten()).view(rows, count, reach * size, width)


def _own_past(size: int, reach: int, device: torch.device) -> Tensor:
    """Of a block's own keys, which come first, the past ones; of the others all: ``[1, 1, size, source]``."""
    past = torch.ones(size, reach * size, dtype=torch.bool, device=device)
    past[:, :size].tril_()
    return past[None, None]


def _sees_any_key(real: Tensor, seen: Tensor, *, causal: bool) -> Tensor:
    """True for queries with a real key in the blocks they see, ``[batch, tokens]``; real by blocks."""
    others = real.any(dim=-1)[:, seen[:, 1:]].any(dim=-1, keepdim=True)
    own = real[:, seen[:, 0]]
    own = own.cummax(dim=-1).values if causal else own.any(dim=-1, keepdim=True).expand_as(own)
    return (others | own).flatten(1)
