"""linformer: `LinformerSelfAttention`, keys and values mixed to k learned landmarks.

    out = softmax(Q (E^T K)^T / sqrt(d)) (F^T V)

The package's own layer; queries, keys and values have no bias. E and F are shared by all heads, as ours.
It takes no padding: an argument ``mask`` is accepted and passed over, so that it is refused here.
"""

from jaxtyping import Bool, Float
from linformer import LinformerSelfAttention
from torch import Tensor, nn

from implementations.on_torch.peers.refusals import refuse_causal, refuse_padding

PACKAGE = "linformer"


class Linformer(nn.Module):
    """The layer for at most `max_length` source tokens.

    Raises NotImplementedError when asked to be causal, ValueError without a `max_length`.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        causal: bool = False,
        max_length: int | None = None,
        head_width: int | None = None,
        landmarks: int = 256,
    ) -> None:
        refuse_causal(PACKAGE, causal)
        if max_length is None or max_length < 1:
            raise ValueError(f"{PACKAGE} needs a max_length of at least 1, got {max_length}")
        super().__init__()
        self.layer = LinformerSelfAttention(
            width, max_length, k=landmarks, heads=heads, dim_head=head_width or width // heads
        )

    def forward(
        self,
        query: Float[Tensor, "batch time width"],
        context: Float[Tensor, "batch source width"] | None = None,
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """`query` attends to `context`, or to itself. Raises NotImplementedError for a padding."""
        refuse_padding(PACKAGE, padding)
        answer: Tensor = self.layer(query, context=context)
        return answer
