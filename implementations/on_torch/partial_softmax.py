"""Softmax attention over a part of the keys, and how the parts become one answer.

    part p:  m_p = max over j in p of s_j;  a_p = sum of exp(s_j - m_p) v_j;  z_p = sum of exp(s_j - m_p)
    whole:   out = sum over p of exp(m_p - M) a_p / sum over p of exp(m_p - M) z_p,  M = max over p of m_p

Exact if no key is in two parts: log z_p + m_p is a part's log-sum-exp, which is never taken, so that
narrow dtypes do not lose its digits. The maxima cancel in the quotient and carry no gradient. The merging
step is that of Milakov and Gimelshein 2018, arXiv:1805.02867, section 3.1, and of FlashAttention. All
exponentials are to base 2 (`base_two`), of scores in bits.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from implementations.on_torch.base_two import BITS
from implementations.on_torch.visibility import hidden_score


class Partial(NamedTuple):
    """What is left of a part of the keys: `sums ``[…, time, head_width + 1]``, the last channel holding the
    weights' own sum, and their exponents' `largest` score ``[…, time, 1]``."""

    sums: Tensor
    largest: Tensor


def attend_to_part(
    query: Float[Tensor, "*rows time head_width"],
    key: Float[Tensor, "*rows source head_width"],
    value: Float[Tensor, "*rows source head_width"],
    hidden: Bool[Tensor, "..."],
) -> Partial:
    """Weighted sums over these keys; `hidden`, broadcastable over the scores, is True for those not seen."""
    scores = (query * (BITS / math.sqrt(query.shape[-1]))) @ key.transpose(-2, -1)
    # In place: of all these steps only the exponentials are kept for the backward pass.
    scores = scores.masked_fill_(hidden, hidden_score(scores.dtype))
    largest = scores.detach().amax(dim=-1, keepdim=True)
    weights = scores.sub_(largest).exp2_()
    return Partial(weights @ functional.pad(value, (0, 1), value=1.0), largest)


def merged(first: Partial, second: Partial) -> Float[Tensor, "*rows time head_width"]:
    """The answer over the keys of both parts; one that sees none counts for nothing beside one that does."""
    largest = torch.maximum(first.largest, second.largest)
    one, other = (part.sums * (part.largest - largest).exp2() for part in (first, second))
    sums = one + other
    return sums[..., :-1] / sums[..., -1:]
