"""Sigmoid attention: each key is weighed by itself, and the weights of a query do not sum to 1.

    out_i = sum over j of sigmoid(q_i . k_j / sqrt(d) + b_i) v_j,   b_i = -log n_i

n_i is the number of keys that query i sees. Time n^2 d, memory n d (see `query_blocks`). Paper:
Ramapuram and others 2024, arXiv:2409.04431, equation 3.

Departure: the paper's b is -log n with n the sequence's length. Counting what is visible is the same
number for a whole sequence without a mask; for the rest it keeps the first answers from depending on
what comes later or on how far a batch is padded, so that a sequence can also be decoded step by step.
"""

from jaxtyping import Bool, Float
from torch import Tensor

from implementations.on_torch.query_blocks import attend_in_blocks


def attend(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads source head_width"],
    value: Float[Tensor, "batch heads source head_width"],
    *,
    causal: bool = False,
    padding: Bool[Tensor, "batch source"] | None = None,
    bias: Float[Tensor, "1 heads time source"] | None = None,
) -> Float[Tensor, "batch heads time head_width"]:
    """Each query's sum of the values, weighted by the sigmoid of their scores; zeros if it sees no key.

    `padding` is True where a real key stands; `bias` is added to the scores. Raises ValueError if causal
    with unequal lengths.
    """
    return attend_in_blocks(query, key, value, rule=_Sigmoid(), causal=causal, padding=padding, bias=bias)


class _Sigmoid:
    scale = 1.0

    def weigh(self, scores: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        shift = seen.clamp(min=1).to(scores.dtype).log()
        return self.weigh_again(scores, shift), shift

    def weigh_again(self, scores: Tensor, kept: Tensor) -> Tensor:
        return scores.sub_(kept).sigmoid_()

    def gradient(self, weights: Tensor, of_weights: Tensor) -> Tensor:
        return (1.0 - weights).mul_(weights).mul_(of_weights)
