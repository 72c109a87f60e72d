"""performer-pytorch: `Attention`, FAVOR+ with random features.

    out_i = phi(q_i)^T (sum over j of phi(k_j) v_j^T) / (phi(q_i)^T sum over j of phi(k_j))

The package's own layer, projections with biases as ours. Causal sums come from its plain-torch path (its
other one needs CUDA and a package that is no more), in 128 chunks with a state kept for every position.
"""

import contextlib
import sys
import warnings

from jaxtyping import Bool, Float
from torch import Tensor, nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it reads torch's version with the deprecated distutils
    from performer_pytorch.performer_pytorch import Attention

PACKAGE = "performer-pytorch"


class Performer(nn.Module):
    """The layer with `features` random features, drawn anew for each layer from torch's generator."""

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        causal: bool = False,
        max_length: int | None = None,
        head_width: int | None = None,
        features: int = 256,
    ) -> None:
        super().__init__()
        # It prints that it has no CUDA code, where a program's own answer may be expected.
        with contextlib.redirect_stdout(sys.stderr):
            self.layer = Attention(
                width,
                causal=causal,
                heads=heads,
                dim_head=head_width or width // heads,
                nb_features=features,
                qkv_bias=True,
            )

    def forward(
        self,
        query: Float[Tensor, "batch time width"],
        context: Float[Tensor, "batch source width"] | None = None,
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """`query` attends to `context`, or to itself; `padding` is True where a real source token stands."""
        answer: Tensor = self.layer(query, context=context, context_mask=padding)
        return answer
