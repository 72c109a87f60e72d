"""Causal attention by features, in chunks: what linear attention and Performer share.

    numerator_i = sum over j <= i of (a_i . b_j) v_j;    normaliser_i = sum over j <= i of a_i . b_j

Inside a chunk of c positions the products are built and masked; what came before the chunk is one matrix
sum of b_j v_j^T, summed up over the chunks. Time n (c + f) d for f features, memory n (c + f d / c), and
no step over positions, in which the public versions lose their time on a CPU.
"""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

CHUNK = 128


def causal_product(
    query_features: Float[Tensor, "batch heads time features"],
    key_features: Float[Tensor, "batch heads time features"],
    value: Float[Tensor, "batch heads time head_width"],
    chunk: int = CHUNK,
) -> tuple[Float[Tensor, "batch heads time head_width"], Float[Tensor, "batch heads time 1"]]:
    """Numerator and normaliser for each position; `chunk` changes time and memory, not the result."""
    length = value.shape[-2]
    chunk = min(chunk, length)
    queries, keys, values = (_chunked(part, chunk) for part in (query_features, key_features, value))
    within = (queries @ keys.transpose(-2, -1)).tril()
    numerator = within @ values
    normaliser = within.sum(dim=-1, keepdim=True)
    if length > chunk:
        states = _before_each_chunk(keys.transpose(-2, -1) @ values)
        totals = _before_each_chunk(keys.sum(dim=-2).unsqueeze(-1))
        numerator = numerator + queries @ states
        normaliser = normaliser + queries @ totals
    return _joined(numerator, length), _joined(normaliser, length)


def _chunked(part: Tensor, chunk: int) -> Tensor:
    """``[batch, heads, chunks, chunk, width]``; zeros fill the last chunk and add nothing to any sum."""
    batch, heads, length, width = part.shape
    return functional.pad(part, (0, 0, 0, -length % chunk)).reshape(batch, heads, -1, chunk, width)


def _joined(part: Tensor, length: int) -> Tensor:
    return part.flatten(2, 3)[:, :, :length]


def _before_each_chunk(sums: Tensor) -> Tensor:
    """For each chunk the sum over all chunks before it, along axis 2; zero for the first."""
    return functional.pad(sums[:, :, :-1].cumsum(dim=2), (0, 0, 0, 0, 1, 0))
