"""The layer around a kernel: projections to heads, the kernel, the projection back.

    out = concat(heads of mix(query Wq + bq, source Wk + bk, source Wv + bv)) Wo + bo

`AttentionLayer` is the interface and the projections; `ProjectedAttention` holds any kernel, a user's
own included. Paper: Vaswani and others 2017, arXiv:1706.03762, section 3.2.2, with biases as Keras has.
"""

from collections.abc import Callable
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from bench.schema import Options
from implementations.on_torch.dense import Dense

Kernel: TypeAlias = Callable[..., Tensor]
"""``attend(query, key, value, *, causal, padding, **options)`` on ``[batch, heads, time, head_width]``."""


class AttentionLayer(nn.Module):
    """Projections around `mix`, which a subclass gives. The inner width is ``heads * head_width``.

    Raises ValueError when heads do not divide the width and no `head_width` is given.
    """

    def __init__(
        self, width: int, heads: int, *, causal: bool = False, head_width: int | None = None
    ) -> None:
        super().__init__()
        if head_width is None and width % heads:
            raise ValueError(
                f"heads must divide width, got width {width} and heads {heads}; or give head_width"
            )
        self.width = width
        self.heads = heads
        self.head_width = width // heads if head_width is None else head_width
        self.causal = causal
        inner = heads * self.head_width
        self.query = Dense(width, inner)
        self.key = Dense(width, inner)
        self.value = Dense(width, inner)
        self.output = Dense(inner, width)

    def mix(
        self,
        query: Float[Tensor, "batch heads time head_width"],
        key: Float[Tensor, "batch heads source head_width"],
        value: Float[Tensor, "batch heads source head_width"],
        padding: Bool[Tensor, "batch source"] | None,
    ) -> Float[Tensor, "batch heads time head_width"]:
        """What a variant is: the values mixed for each query."""
        raise NotImplementedError(f"{type(self).__name__} must define mix(query, key, value, padding)")

    def forward(
        self,
        query: Float[Tensor, "batch time width"],
        context: Float[Tensor, "batch source width"] | None = None,
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """`query` attends to `context`, or to itself; `padding` is True where a real source token stands.

        Raises ValueError for tokens of another width and for a padding that does not fit the source.
        """
        source = query if context is None else context
        self._check(query, source, padding)
        heads = self.mix(
            self._split(self.query(query)),
            self._split(self.key(source)),
            self._split(self.value(source)),
            padding,
        )
        return self._join(heads)

    def _split(self, tokens: Tensor) -> Tensor:
        batch, length, _ = tokens.shape
        return tokens.view(batch, length, self.heads, self.head_width).transpose(1, 2)

    def _join(self, heads: Tensor) -> Tensor:
        joined: Tensor = self.output(heads.transpose(1, 2).flatten(2))
        return joined

    def _check(self, query: Tensor, source: Tensor, padding: Tensor | None) -> None:
        for name, tokens in (("query", query), ("context", source)):
            if tokens.dim() != 3 or tokens.shape[-1] != self.width:
                raise ValueError(
                    f"{name} must have shape [batch, length, {self.width}], got {list(tokens.shape)}"
                )
        if padding is not None and (padding.shape != source.shape[:2] or padding.dtype != torch.bool):
            raise ValueError(
                f"padding must be bool of shape [batch, source] = {list(source.shape[:2])}, "
                f"got {padding.dtype} of shape {list(padding.shape)}"
            )


class ProjectedAttention(AttentionLayer):
    """A kernel with the standard projections; `options` go to the kernel with each call, if there are any."""

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        kernel: Kernel,
        causal: bool = False,
        head_width: int | None = None,
        options: Options | None = None,
    ) -> None:
        super().__init__(width, heads, causal=causal, head_width=head_width)
        self.kernel = kernel
        self.options = dict(options or {})

    def mix(
        self,
        query: Float[Tensor, "batch heads time head_width"],
        key: Float[Tensor, "batch heads source head_width"],
        value: Float[Tensor, "batch heads source head_width"],
        padding: Bool[Tensor, "batch source"] | None,
    ) -> Float[Tensor, "batch heads time head_width"]:
        """The kernel's answer."""
        return self.kernel(query, key, value, causal=self.causal, padding=padding, **self.options)
