"""reformer-pytorch: `LSHSelfAttention`, attention among tokens of one hash bucket, queries being the keys.

    out_i = mean over rounds of softmax over j in the sorted chunks of i and the one before, q = k

The package's own layer, with three maps where most have four: queries and keys share one, and only the
output has a bias. A call draws its hashes from torch's generator: twice the same input gives two answers.
Up to `bucket` tokens it takes full attention instead, and other lengths than multiples of twice the bucket
are padded by the package's `Autopadder`, which costs a mask.
"""

from jaxtyping import Bool, Float
from reformer_pytorch import Autopadder, LSHSelfAttention
from torch import Tensor, nn

from implementations.on_torch.peers.refusals import refuse_context

PACKAGE = "reformer-pytorch"


class Reformer(nn.Module):
    """The layer with `hashes` rounds of hashing and chunks of `bucket` tokens."""

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        causal: bool = False,
        max_length: int | None = None,
        head_width: int | None = None,
        bucket: int = 64,
        hashes: int = 4,
    ) -> None:
        super().__init__()
        self.bucket = bucket
        self.layer = LSHSelfAttention(
            width,
            heads=heads,
            bucket_size=bucket,
            n_hashes=hashes,
            causal=causal,
            dim_head=head_width or width // heads,
        )

    def forward(
        self,
        query: Float[Tensor, "batch time width"],
        context: Float[Tensor, "batch source width"] | None = None,
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """`query` attends to itself. Raises NotImplementedError for a context."""
        refuse_context(PACKAGE, context)
        length = query.shape[1]
        fits = length <= self.bucket or length % (2 * self.bucket) == 0
        # Made at each call: as an attribute it would give every weight a second name.
        layer = self.layer if fits else Autopadder(self.layer)
        answer: Tensor = layer(query, input_mask=padding)
        return answer
