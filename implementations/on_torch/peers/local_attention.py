"""local-attention: `LocalMHA`, attention within a window, in buckets that also look at the bucket before.

    out_i = softmax over j of (q_i . k_j / sqrt(d)) v_j,  |i - j| <= floor(w / 2);  causal: i - w <= j <= i

The package's own layer with its own projections, none of which has a bias; its rotary positions are
turned off, as ours stand apart. Causal, it sees one key more than ours: w before the query and the query
itself. Its `window_size` is how far it sees to either side, so that without causality it is given w / 2.
"""

from jaxtyping import Bool, Float
from local_attention.transformer import LocalMHA
from torch import Tensor, nn

from implementations.on_torch.peers.refusals import refuse_context

PACKAGE = "local-attention"


class LocalAttention(nn.Module):
    """The layer with its exact window, which is the package's default; lengths are padded by the package."""

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        causal: bool = False,
        max_length: int | None = None,
        head_width: int | None = None,
        window: int = 256,
    ) -> None:
        super().__init__()
        self.layer = LocalMHA(
            dim=width,
            window_size=window if causal else window // 2,
            dim_head=head_width or width // heads,
            heads=heads,
            causal=causal,
            use_rotary_pos_emb=False,
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
