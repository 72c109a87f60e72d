"""Sequences cut into chunks, and the states that are handed on from one chunk to the next.

    S_{m+1} = A_m S_m + N_m,   S_0 = 0,   A_m a number, a diagonal or a matrix for each chunk m

What recurrent variants share: all they do inside chunks is done for all chunks at once, and only this
sum over the chunks is taken in turn, n / chunk short steps. Zeros fill up the first chunk from the front,
so that the last one ends with the last token and the state after it is the one that decoding goes on from.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def chunk_for(length: int, longest: int) -> int:
    """The chunk for a sequence of `length` tokens: the next power of two, up to `longest`."""
    return longest if length >= longest else min(longest, 2 ** math.ceil(math.log2(length)))


def chunked(
    part: Float[Tensor, "batch heads time width"], chunk: int
) -> Float[Tensor, "batch heads chunks chunk width"]:
    """The sequence in chunks, zeros before it; each head for itself, or every product would copy it so."""
    batch, heads, length, width = part.shape
    missing = -length % chunk
    if missing:
        part = functional.pad(part, (0, 0, missing, 0))
    return part.contiguous().view(batch, heads, -1, chunk, width)


def joined(
    part: Float[Tensor, "batch heads chunks chunk width"], length: int
) -> Float[Tensor, "batch heads time width"]:
    """The sequence of `length` tokens again, without the zeros before it."""
    whole = part.flatten(2, 3)
    return whole[:, :, whole.shape[2] - length :]


def carried_by_decay(
    decay: Float[Tensor, "#batch heads #chunks #rows 1"],
    added: Float[Tensor, "batch heads chunks rows columns"],
) -> tuple[Float[Tensor, "batch heads chunks rows columns"], Float[Tensor, "batch heads rows columns"]]:
    """The state before each chunk and that after the last: ``state = decay * state + added``."""
    decays = decay.expand(*decay.shape[:2], added.shape[2], *decay.shape[3:]).unbind(2)
    state = torch.zeros_like(added[:, :, 0])
    before = []
    # Unbound, because the gradient of one index taken from a tensor is a tensor as large as all.
    for factor, addition in zip(decays, added.unbind(2), strict=True):
        before.append(state)
        state = torch.addcmul(addition, factor, state)
    return torch.stack(before, dim=2), state


def carried_by_matrix(
    transition: Float[Tensor, "batch heads chunks rows rows"],
    added: Float[Tensor, "batch heads chunks rows columns"],
) -> tuple[Float[Tensor, "batch heads chunks rows columns"], Float[Tensor, "batch heads rows columns"]]:
    """The state before each chunk and that after the last: ``state = transition @ state + added``."""
    batch, heads = added.shape[:2]
    transitions, additions = transition.flatten(0, 1).unbind(1), added.flatten(0, 1).unbind(1)
    state = torch.zeros_like(additions[0])
    before = []
    for factor, addition in zip(transitions, additions, strict=True):
        before.append(state)
        state = torch.baddbmm(addition, factor, state)
    states = torch.stack(before, dim=1)
    return states.view(batch, heads, *states.shape[1:]), state.view(batch, heads, *state.shape[1:])


def at_least_single(dtype: torch.dtype) -> torch.dtype:
    """The dtype that sums and decays are held in: float32 for bfloat16, in which 1 - 2^-12 is 1."""
    return torch.promote_types(dtype, torch.float32)
