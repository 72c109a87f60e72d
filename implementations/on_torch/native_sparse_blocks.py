"""Blocks of native sparse attention: how they are compressed, who sees them, and which are the best.

A compressed block i holds the `compression` tokens from i * stride on, a selection block j those of
j * selection on. A sequence has as many blocks as begin in it; the last may be incomplete.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from implementations.on_torch.dense import Dense
from implementations.on_torch.visibility import hidden_score

HIDDEN_LAYER_FACTOR = 2


class Blocks(NamedTuple):
    """Lengths in tokens of a compressed block, of the stride between two, and of a selection block; and
    how many of the latter are selected."""

    compression: int
    stride: int
    selection: int
    selected: int

    def complete(self, length: int) -> int:
        """How many compressed blocks lie wholly within the first `length` tokens."""
        return max(0, (length - self.compression) // self.stride + 1)

    def sees_compressed(
        self, places: Tensor, length: int, padding: Tensor | None, *, causal: bool
    ) -> Bool[Tensor, "#batch 1 #time blocks"]:
        """True where a query at one of `places` sees a compressed block of `length` tokens."""
        blocks = torch.arange(-(-length // self.stride), device=places.device)
        ends = blocks * self.stride + self.compression - 1
        seen = (ends <= places[:, None])[None, None] if causal else (ends >= 0)[None, None, None]
        return seen if padding is None else seen & _holds_any(padding, self.compression, self.stride)

    def sees_selection(
        self, places: Tensor, length: int, padding: Tensor | None, *, causal: bool
    ) -> Bool[Tensor, "#batch 1 #time blocks"]:
        """The same for selection blocks, of which a query sees those with a token at or before it."""
        numbers = torch.arange(-(-length // self.selection), device=places.device)
        own = places[:, None] // self.selection
        seen = (numbers <= own)[None, None] if causal else (numbers >= 0)[None, None, None]
        if padding is None:
            return seen
        seen = seen & _holds_any(padding, self.selection, self.selection)
        if not causal:
            return seen
        # The query's own block holds later tokens too, and those must not make it visible.
        counted = functional.pad(padding.cumsum(dim=1), (1, 0))
        begun = counted[:, places + 1] > counted[:, own[:, 0] * self.selection]
        return seen & (begun[:, None, :, None] | (numbers != own))


def _holds_any(padding: Tensor, size: int, stride: int) -> Tensor:
    """True for the blocks with a real token, ``[batch, 1, 1, blocks]``."""
    length = padding.shape[1]
    room = (-(-length // stride) - 1) * stride + size - length
    return functional.pad(padding, (0, room)).unfold(1, size, stride).any(dim=-1)[:, None, None]


class Compression(nn.Module):
    """One vector for each block of `block` tokens, `stride` apart: an MLP of all of them and their places.

    The first map is applied to each stretch of `stride` tokens once and the results are added up over
    the block, so that overlapping blocks are never copied.
    """

    def __init__(self, head_width: int, block: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.positions = nn.Parameter(torch.empty(block, head_width).uniform_(-0.05, 0.05))
        self.hidden = Dense(block * head_width, HIDDEN_LAYER_FACTOR * head_width)
        self.output = Dense(HIDDEN_LAYER_FACTOR * head_width, head_width)

    def forward(
        self, tokens: Float[Tensor, "batch heads time head_width"]
    ) -> Float[Tensor, "batch heads blocks head_width"]:
        """As many as begin within the tokens; behind the last token stand zeros."""
        length, block = tokens.shape[2], len(self.positions)
        blocks = -(-length // self.stride)
        room = (blocks - 1) * self.stride + block - length
        filled = functional.pad(tokens, (0, 0, 0, room))
        stretches = filled.reshape(*tokens.shape[:2], -1, self.stride * tokens.shape[3])
        hidden = functional.linear(self.positions.flatten(), self.hidden.weight, self.hidden.bias)
        for number, weight in enumerate(self.hidden.weight.chunk(block // self.stride, dim=1)):
            hidden = hidden + functional.linear(stretches[:, :, number : number + blocks], weight)
        compressed: Tensor = self.output(functional.relu(hidden))
        return compressed


def attend_to_compressed(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads blocks head_width"],
    value: Float[Tensor, "batch heads blocks head_width"],
    seen: Bool[Tensor, "#batch 1 #time blocks"],
) -> tuple[Float[Tensor, "batch heads time head_width"], Float[Tensor, "batch heads time blocks"]]:
    """The compressed branch and its weights, equation 8; `query` is scaled. Zeros where nothing is seen."""
    scores = (query @ key.mT).masked_fill(~seen, hidden_score(query.dtype))
    weights = torch.softmax(scores, dim=-1).masked_fill(~seen, 0.0)
    return weights @ value, weights


@torch.no_grad()
def best_blocks(
    blocks: Blocks,
    weights: Float[Tensor, "batch heads time compressed"],
    places: Int[Tensor, " time"],
    seen: Bool[Tensor, "#batch 1 #time selection"],
) -> Int[Tensor, "batch heads time choices"]:
    """The selection blocks of each query, best first, equations 9 to 12; -1 where it sees no more."""
    count = seen.shape[-1]
    weights = weights.to(torch.promote_types(weights.dtype, torch.float32))
    importance = _importance(blocks, weights, count)
    numbers, own = torch.arange(count, device=places.device), places[:, None] // blocks.selection
    always = (numbers == 0) | (numbers == own) | (numbers == own - 1)
    importance = importance.masked_fill(always, torch.inf).masked_fill(~seen, -1.0)
    ordered, best = importance.sort(dim=-1, descending=True, stable=True)
    chosen = slice(0, min(blocks.selected, count))
    return best[..., chosen].masked_fill(ordered[..., chosen] < 0, -1)


def _importance(blocks: Blocks, weights: Tensor, count: int) -> Tensor:
    """Equation 9: what falls on each stride of tokens, added up over a selection block."""
    overlap, strides = blocks.compression // blocks.stride, blocks.selection // blocks.stride
    room = (overlap - 1, count * strides - weights.shape[-1])
    padded = functional.pad(weights, room)
    fallen = sum(
        (padded[..., shift : shift + count * strides] for shift in range(1, overlap)),
        start=padded[..., : count * strides],
    )
    return fallen.view(*fallen.shape[:-1], count, strides).sum(dim=-1)


def attend_to_one_choice(
    query: Float[Tensor, "batch heads 1 head_width"],
    key: Float[Tensor, "batch heads source head_width"],
    value: Float[Tensor, "batch heads source head_width"],
    choice: Int[Tensor, "batch heads 1 choices"],
    size: int,
) -> Float[Tensor, "batch heads 1 head_width"]:
    """The selected branch of the last token: its blocks are gathered. `query` is scaled."""
    places = choice[:, :, 0, :, None] * size + torch.arange(size, device=query.device)
    places = places.masked_fill(choice[:, :, 0, :, None] < 0, key.shape[2]).flatten(2)
    hidden = places >= key.shape[2]
    rows = places.clamp(max=key.shape[2] - 1)[..., None].expand(-1, -1, -1, key.shape[-1])
    scores = (query @ key.gather(2, rows).mT).masked_fill(hidden[:, :, None], hidden_score(query.dtype))
    return torch.softmax(scores, dim=-1) @ value.gather(2, rows)
