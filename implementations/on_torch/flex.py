"""Softmax attention through torch's FlexAttention, which compiles masks and biases into its kernel.

    out = softmax(Q K^T / sqrt(d) + bias) V over the keys that a mask function lets through

Time n^2 d; blocks that the mask hides whole are skipped where it is compiled. Paper: Dong and others 2024,
arXiv:2412.05496. No departure.

What runs where: on an accelerator the fused kernel, compiled at the first call of a process and again for
new shapes, forward and backward, memory n d. On the CPU torch's own eager form, which builds all scores,
memory n^2; it is fused there only inside a model that is itself under `torch.compile` (needs a C++
compiler, takes seconds for each shape). Torch has no backward on the CPU: there this variant only infers.
"""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention
from torch.utils._python_dispatch import _get_current_dispatch_mode

from implementations.on_torch.visibility import require_equal_lengths

Modification: TypeAlias = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
"""``(score, batch, head, query, key) -> score``, of single numbers."""

Visibility: TypeAlias = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""``(batch, head, query, key) -> bool``, of single numbers."""


def attend(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch heads source head_width"],
    value: Float[Tensor, "batch heads source head_width"],
    *,
    causal: bool = False,
    padding: Bool[Tensor, "batch source"] | None = None,
    bias: Float[Tensor, "1 heads time source"] | None = None,
) -> Float[Tensor, "batch heads time head_width"]:
    """Each query's mean of the values, weighted by the softmax of its scores; zeros if it sees no key.

    `padding` is True where a real key stands; `bias` is added to the scores. Raises ValueError if causal
    with unequal lengths; NotImplementedError when a gradient is taken on the CPU, or under a dispatch mode.
    """
    if causal:
        require_equal_lengths(query, key, "causal attention")
    settings: dict[str, Any] = {"score_mod": _adding(bias), "block_mask": _mask(query, key, causal, padding)}
    mixed: Tensor
    if torch.compiler.is_compiling():
        mixed = flex_attention(query, key, value, **settings)
    elif query.device.type != "cpu":
        mixed = _compiled(flex_attention)(query, key, value, **settings)
    else:
        mixed = _OnlyForward.apply(query, key, value, bias, settings)  # type: ignore[no-untyped-call]  # torch has no types for it
    return mixed


@cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiled when first called: importing this costs nothing."""
    return torch.compile(function)


def _adding(bias: Tensor | None) -> Modification | None:
    if bias is None:
        return None

    return lambda score, batch, head, query, key: score + bias[0, head, query, key]


def _mask(query: Tensor, key: Tensor, causal: bool, padding: Tensor | None) -> BlockMask | None:
    """Which blocks of scores are seen in full, in part or not at all; None if all are seen."""
    if padding is None and not causal:
        return None

    # Torch counts a function's arguments, which a wrapped one hides: so these are lambdas.
    visible: Visibility
    if padding is None:
        visible = lambda batch, head, query, key: query >= key  # noqa: E731
    elif causal:
        visible = lambda batch, head, query, key: (query >= key) & padding[batch, key]  # noqa: E731
    else:
        visible = lambda batch, head, query, key: padding[batch, key]  # noqa: E731
    eager = torch.compiler.is_compiling() or query.device.type == "cpu"
    create = create_block_mask if eager else _compiled(create_block_mask)
    sequences = None if padding is None else len(padding)
    mask: BlockMask = create(visible, sequences, None, query.shape[2], key.shape[2], device=query.device)
    return mask


class _OnlyForward(torch.autograd.Function):
    """Eager FlexAttention on the CPU, which can be asked for an answer but not for a gradient."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, settings: dict[str, Any]
    ) -> Tensor:
        # The bias comes in a second time so that a gradient for it alone is refused as well.
        query, key, value = query.detach(), key.detach(), value.detach()
        if _get_current_dispatch_mode() is not None:
            raise NotImplementedError(
                "torch's FlexAttention cannot run on the CPU under a dispatch mode, such as one that counts "
                "operations: count those of sdpa, which are the same"
            )
        with warnings.catch_warnings():
            # Torch advises to compile; what runs where is settled above.
            warnings.filterwarnings("ignore", message="flex_attention called without torch.compile")
            mixed: Tensor = flex_attention(query, key, value, **settings)
        return mixed

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        raise NotImplementedError(
            "torch's FlexAttention has no backward on the CPU: train on an accelerator, or take sdpa, "
            "which computes the same function"
        )
