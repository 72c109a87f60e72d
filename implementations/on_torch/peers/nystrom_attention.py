"""nystrom-attention: `NystromAttention`, softmax through landmarks and an iterated pseudo-inverse.

    out = softmax(Q K~^T) pinv(softmax(Q~ K~^T)) softmax(Q~ K^T) V (+ a depthwise convolution of V, width 33)

Q~ and K~ are means of neighbouring queries and keys. The package's own layer; queries, keys and values
have no bias. `residual` is the convolution of the paper's section 3.3, off here as the rest is what is
compared.
"""

from jaxtyping import Bool, Float
from nystrom_attention import NystromAttention
from torch import Tensor, nn

from implementations.on_torch.peers.refusals import refuse_causal, refuse_context

PACKAGE = "nystrom-attention"


class Nystrom(nn.Module):
    """The layer with `landmarks` landmarks and six steps of the pseudo-inverse.

    Raises NotImplementedError when asked to be causal.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        causal: bool = False,
        max_length: int | None = None,
        head_width: int | None = None,
        landmarks: int = 32,
        residual: bool = False,
    ) -> None:
        refuse_causal(PACKAGE, causal)
        super().__init__()
        self.layer = NystromAttention(
            width,
            dim_head=head_width or width // heads,
            heads=heads,
            num_landmarks=landmarks,
            residual=residual,
        )

    def forward(
        self,
        query: Float[Tensor, "batch time width"],
        context: Float[Tensor, "batch source width"] | None = None,
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """`query` attends to itself. Raises NotImplementedError for a context."""
        refuse_context(PACKAGE, context)
        answer: Tensor = self.layer(query, mask=padding)
        return answer
