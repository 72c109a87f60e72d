"""torch's own layer, `torch.nn.MultiheadAttention`, without the weights as a second answer.

    out = softmax(Q K^T / sqrt(d)) V

All biases as ours. Its documented causal form needs a mask of n x n entries beside the flag; the mask is
made once a length, as its users do, and is not read where there is no padding.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

PACKAGE = "torch.nn.MultiheadAttention"


class MultiheadAttention(nn.Module):
    """The layer with ``need_weights=False``. Raises NotImplementedError for a head width of its own."""

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        causal: bool = False,
        max_length: int | None = None,
        head_width: int | None = None,
    ) -> None:
        if head_width not in (None, width // heads):
            raise NotImplementedError(
                f"{PACKAGE} has heads of {width // heads} at width {width}, got head_width {head_width}"
            )
        super().__init__()
        self.causal = causal
        self.layer = nn.MultiheadAttention(width, heads, batch_first=True)
        self._mask: Tensor | None = None

    def forward(
        self,
        query: Float[Tensor, "batch time width"],
        context: Float[Tensor, "batch source width"] | None = None,
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """`query` attends to `context`, or to itself; `padding` is True where a real source token stands."""
        source = query if context is None else context
        answer: Tensor = self.layer(
            query,
            source,
            source,
            key_padding_mask=None if padding is None else ~padding,
            need_weights=False,
            attn_mask=self._later(query) if self.causal else None,
            is_causal=self.causal,
        )[0]
        return answer

    def _later(self, query: Tensor) -> Tensor:
        """True where a key stands after the query."""
        length = query.shape[1]
        if self._mask is None or len(self._mask) != length or self._mask.device != query.device:
            self._mask = torch.ones(length, length, dtype=torch.bool, device=query.device).triu(1)
        return self._mask
