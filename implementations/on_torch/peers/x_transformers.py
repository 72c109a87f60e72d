"""x-transformers: `Attention`, with torch's fused kernel (``flash=True``) and written out.

    out = softmax(Q K^T / sqrt(d)) V

The package's own layer with its own projections, which have no biases where ours have four. Its fused
path builds a mask of n x n entries where padding and causality meet; its written-out path keeps three
tensors of n x n (scores, masked scores, weights) and copies the first once more.
Padded tokens of a self-attention are answered by zeros, where ours are answered like any query.
Other forms are options of the same layer: fewer keys and values, the largest scores only, a sigmoid in
place of the softmax, heads that are mixed before the softmax.
"""

import warnings
from typing import Any, ClassVar

from jaxtyping import Bool, Float
from torch import Tensor, nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it compiles functions with the deprecated torch.jit
    from x_transformers.x_transformers import Attention

PACKAGE = "x-transformers"


class Flash(nn.Module):
    """The layer at the same width and heads; `settings` are those of the package."""

    settings: ClassVar[dict[str, Any]] = {"flash": True}

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        causal: bool = False,
        max_length: int | None = None,
        head_width: int | None = None,
        **options: int,
    ) -> None:
        super().__init__()
        self.layer = Attention(
            width,
            dim_head=head_width or width // heads,
            heads=heads,
            causal=causal,
            **self.settings,
            **options,
        )

    def forward(
        self,
        query: Float[Tensor, "batch time width"],
        context: Float[Tensor, "batch source width"] | None = None,
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """`query` attends to `context`, or to itself; `padding` is True where a real source token stands."""
        if context is None:
            answer: Tensor = self.layer(query, mask=padding)
        else:
            answer = self.layer(query, context=context, context_mask=padding)
        return answer


class WrittenOut(Flash):
    """All scores as a tensor, four steps."""

    settings: ClassVar[dict[str, Any]] = {"flash": False}


class MultiQuery(Flash):
    """All heads share one head of keys and values."""

    settings: ClassVar[dict[str, Any]] = {"flash": True, "kv_heads": 1}


class GroupedQuery(Flash):
    """Groups of heads share `kv_heads` heads of keys and values, which are repeated in memory.

    Query head h reads key head h modulo `kv_heads`, where the paper and ours give neighbouring heads
    the same one: the same work, and the same function up to the order of the heads.
    """

    def __init__(self, width: int, heads: int, *, kv_heads: int = 2, **settings: Any) -> None:
        super().__init__(width, heads, kv_heads=kv_heads, **settings)


class TopK(WrittenOut):
    """The `sparse_topk` largest scores of a query; all scores are built, written out."""

    def __init__(self, width: int, heads: int, *, sparse_topk: int = 32, **settings: Any) -> None:
        super().__init__(width, heads, sparse_topk=sparse_topk, **settings)


class Sigmoid(WrittenOut):
    """A sigmoid of each score, without the bias of -log n that arXiv:2409.04431 needs to learn well."""

    settings: ClassVar[dict[str, Any]] = {"flash": False, "sigmoid": True}


class TalkingHeads(WrittenOut):
    """Heads mixed before and after the softmax, each time beside the unmixed ones (a residual)."""

    settings: ClassVar[dict[str, Any]] = {
        "flash": False,
        "pre_talking_heads": True,
        "post_talking_heads": True,
    }
