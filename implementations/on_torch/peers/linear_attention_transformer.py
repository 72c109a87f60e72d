"""linear-attention-transformer: `SelfAttention`, linear attention with a softmax for features.

    out_i = phi(q_i)^T (sum over j of psi(k_j) v_j^T),  phi = softmax over channels,
    psi = softmax over positions;  causal: psi = exp and the sum over j <= i is divided by its weights

The package's own layer; queries, keys and values have no bias. The features are those of arXiv:1812.01243
and not ours (elu + 1): the amount of work is the same, the function is not. Causal, a state of d x d is
kept for every position: the package's `blindspot_size` would save memory by hiding the newest tokens from
a query, its own one included, which is another function and not used here.
"""

from jaxtyping import Bool, Float
from linear_attention_transformer.linear_attention_transformer import SelfAttention
from torch import Tensor, nn

PACKAGE = "linear-attention-transformer"


class LinearAttention(nn.Module):
    """The layer, all heads global."""

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        causal: bool = False,
        max_length: int | None = None,
        head_width: int | None = None,
    ) -> None:
        super().__init__()
        self.layer = SelfAttention(width, heads, causal=causal, dim_head=head_width or width // heads)

    def forward(
        self,
        query: Float[Tensor, "batch time width"],
        context: Float[Tensor, "batch source width"] | None = None,
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """`query` attends to `context`, or to itself; `padding` is True where a real source token stands."""
        # The package asks for this in its constructor, where it changes nothing else.
        self.layer.receives_context = context is not None
        answer: Tensor = self.layer(query, input_mask=padding, context=context, context_mask=padding)
        return answer
