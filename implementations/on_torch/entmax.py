"""1.5-entmax attention: between softmax and sparsemax, smooth and with weights that are exactly 0.

    p = max(s / 2 - t, 0)^2,   t such that the weights sum to 1
    out_i = sum over j of p_ij v_j,   s_ij = q_i . k_j / sqrt(d)

Time n^2 d, memory n d (see `query_blocks`). Paper: Peters and others 2019, arXiv:1905.05702, equation 10
with alpha = 1.5 and proposition 2 for the gradient; as weights of attention: Correia and others 2019,
arXiv:1909.00015.

Departures: alpha is 1.5 and nothing else. Algorithm 2 sorts the scores to find the threshold t. Here
Newton's method finds it, on the length of the vector max(s / 2 - t, 0): that is convex and falling in t,
so that from the left each step comes nearer without passing t, and nearly straight, so that half a dozen
are enough.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from implementations.on_torch.query_blocks import attend_in_blocks

# Each step of Newton's method on a convex function divides value times slope by 4 or more, so that the
# digits of a float32 are spent after some 30; ordinary scores take 5 to 7.
MOST_STEPS = 64


def attend(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads source head_width"],
    value: Float[Tensor, "batch heads source head_width"],
    *,
    causal: bool = False,
    padding: Bool[Tensor, "batch source"] | None = None,
    bias: Float[Tensor, "1 heads time source"] | None = None,
) -> Float[Tensor, "batch heads time head_width"]:
    """Each query's mean of the values, weighted by 1.5-entmax of its scores; zeros if it sees no key.

    `padding` is True where a real key stands; `bias` is added to the scores. Raises ValueError if causal
    with unequal lengths.
    """
    return attend_in_blocks(query, key, value, rule=_Entmax(), causal=causal, padding=padding, bias=bias)


class _Entmax:
    scale = 0.5

    def weigh(self, scores: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        largest = scores.amax(dim=-1, keepdim=True)
        threshold = _threshold(scores.sub_(largest))
        return scores.sub_(threshold).clamp_(min=0.0).square_(), torch.cat((largest, threshold), dim=-1)

    def weigh_again(self, scores: Tensor, kept: Tensor) -> Tensor:
        return scores.sub_(kept[..., :1]).sub_(kept[..., 1:]).clamp_(min=0.0).square_()

    def gradient(self, weights: Tensor, of_weights: Tensor) -> Tensor:
        """Roots of the weights times the gradient less its mean, weighted by the same roots."""
        roots = weights.sqrt()
        weighted = of_weights * roots
        total = roots.sum(dim=-1, keepdim=True)
        return weighted.sub_(roots.mul_(weighted.sum(dim=-1, keepdim=True) / total))


def _threshold(scores: Tensor) -> Tensor:
    """t of each row of halved scores, the largest of which is 0; -1 is at or below it."""
    threshold = scores.new_full((*scores.shape[:-1], 1), -1.0)
    above, digits = torch.empty_like(scores), 4 * torch.finfo(scores.dtype).eps
    for _ in range(MOST_STEPS):
        total = torch.sub(scores, threshold, out=above).clamp_(min=0.0).sum(dim=-1, keepdim=True)
        length = torch.linalg.vector_norm(above, dim=-1, keepdim=True)
        threshold = threshold + (length - 1.0) * length / total
        if bool((length - 1.0).amax() <= digits):
            break
    return threshold
