"""Positions that a model adds to its tokens, whatever attention it holds: none, sinusoidal or learned.

    sinusoidal: row p holds sin(p / 10000^(2c / d)) at channel 2c and the cosine of the same at 2c + 1
    learned:    row p is a weight

Papers: Vaswani and others 2017, arXiv:1706.03762, section 3.5 (sinusoidal); Gehring and others 2017,
arXiv:1705.03122, section 3.1 (learned). A model whose layers hold their positions (rotary, ALiBi, T5) adds
none. Departure: sinusoidal rows end at `max_length` as learned ones do, where the formula does not.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bench.schema import POSITIONS
from implementations.on_torch.dense import Table
from implementations.positions import sinusoids


class NoPositions(nn.Module):
    """Tokens as they are."""

    def forward(
        self, tokens: Float[Tensor, "batch time width"], first: int = 0
    ) -> Float[Tensor, "batch time width"]:
        """The tokens; `first`, where the first of them stands, changes nothing."""
        return tokens


class SinusoidalPositions(nn.Module):
    """One fixed row a position, added to the tokens; no weight, so that nothing of it is saved."""

    rows: Tensor

    def __init__(self, max_length: int, width: int) -> None:
        super().__init__()
        rows = torch.tensor(sinusoids(max_length, width), dtype=torch.get_default_dtype())
        self.register_buffer("rows", rows, persistent=False)

    def forward(
        self, tokens: Float[Tensor, "batch time width"], first: int = 0
    ) -> Float[Tensor, "batch time width"]:
        """The tokens, the first of which stands at `first`; raises ValueError beyond the last position."""
        return tokens + _rows_at(self.rows, first, tokens.shape[1])


class Positions(Table):
    """One learned row a position, added to the tokens."""

    def forward(
        self, tokens: Float[Tensor, "batch time width"], first: int = 0
    ) -> Float[Tensor, "batch time width"]:
        """The tokens, the first of which stands at `first`; raises ValueError beyond the last position."""
        return tokens + _rows_at(self.weight, first, tokens.shape[1])


def build_positions(name: str, max_length: int, width: int) -> nn.Module:
    """What adds the positions called `name` to tokens; nothing for those that live inside the attention.

    Raises ValueError for a name that is not among `bench.schema.POSITIONS`.
    """
    if name not in POSITIONS:
        raise ValueError(f"positions must be one of {', '.join(POSITIONS)}, got {name!r}")
    if name == "learned":
        return Positions(max_length, width)
    return SinusoidalPositions(max_length, width) if name == "sinusoidal" else NoPositions()


def _rows_at(rows: Tensor, first: int, length: int) -> Tensor:
    if first + length > rows.shape[0]:
        raise ValueError(
            f"tokens must have at most max_length = {rows.shape[0]} positions, got {first + length}; "
            "build the model with a larger max_length"
        )
    return rows[first : first + length]
