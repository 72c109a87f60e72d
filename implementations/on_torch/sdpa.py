"""Softmax attention through torch's fused kernel, `scaled_dot_product_attention`.

    out = softmax(Q K^T / sqrt(d)) V

Time n^2 d, memory n d: the scores live in tiles with a running maximum and sum. Papers: Dao and others
2022, arXiv:2205.14135; Rabe and Staats 2021, arXiv:2112.05682. No departure.

Torch takes either its causal flag or a mask. To have both without a mask of n x n entries, hidden keys
are pushed down by one more channel: queries hold 1 there, hidden keys a very negative number. Keys and
values may have fewer heads than queries: head h then reads those of head h // (heads / key_heads), which
the fused kernel does without repeating them. Its gradient on a CPU works on a head of keys a thread: with
fewer of them than threads, training repeats them, or threads would stand idle.
"""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend

from implementations.on_torch.visibility import (
    hidden_score,
    require_equal_lengths,
    sees_any_key,
    visible_keys,
)

_BACKENDS = {
    SDPBackend.FLASH_ATTENTION: "flash",
    SDPBackend.EFFICIENT_ATTENTION: "efficient",
    SDPBackend.CUDNN_ATTENTION: "cudnn",
    SDPBackend.MATH: "math",
    SDPBackend.OVERRIDEABLE: "overrideable",
}


def attend(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch key_heads source head_width"],
    value: Float[Tensor, "batch key_heads source head_width"],
    *,
    causal: bool = False,
    padding: Bool[Tensor, "batch source"] | None = None,
    bias: Float[Tensor, "1 heads time source"] | None = None,
) -> Float[Tensor, "batch heads time head_width"]:
    """Each query's mean of the values, weighted by the softmax of its scores; zeros if it sees no key.

    `padding` is True where a real key stands; with a `bias`, which is added to the scores, the mask is a
    tensor of all scores. Raises ValueError if causal with unequal lengths.
    """
    if causal:
        require_equal_lengths(query, key, "causal attention")
    prepared, settings = _arguments(query, key, value, causal=causal, padding=padding, bias=bias)
    mixed = functional.scaled_dot_product_attention(*prepared, **settings)[..., : value.shape[-1]]
    if padding is None:
        return mixed
    return mixed.masked_fill(~sees_any_key(padding, causal=causal), 0.0)


def backend(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch key_heads source head_width"],
    value: Float[Tensor, "batch key_heads source head_width"],
    *,
    causal: bool = False,
    padding: Bool[Tensor, "batch source"] | None = None,
    bias: Float[Tensor, "1 heads time source"] | None = None,
) -> str:
    """Which kernel `attend` runs for these arguments, asked of torch's own dispatcher: "flash",
    "efficient", "cudnn", "math" (written out: it builds the scores) or "overrideable" (an extension's).

    It depends on device, dtype, widths, what needs a gradient and on `torch.nn.attention.sdpa_kernel`.
    Raises RuntimeError when those allow none.
    """
    prepared, settings = _arguments(query, key, value, causal=causal, padding=padding, bias=bias)
    choice = torch._fused_sdp_choice(*prepared, **settings)
    return next(name for kind, name in _BACKENDS.items() if kind.value == choice)


def _arguments(
    query: Tensor, key: Tensor, value: Tensor, *, causal: bool, padding: Tensor | None, bias: Tensor | None
) -> tuple[tuple[Tensor, Tensor, Tensor], dict[str, Any]]:
    """What torch's kernel is called with, so that keys that are hidden stay hidden."""
    if _leaves_threads_idle(query, key, value):
        key, value = (_repeated(part, query.shape[1]) for part in (key, value))
    grouped = {"enable_gqa": True} if query.shape[1] != key.shape[1] else {}
    if bias is not None:
        # One head of each: who is seen is the same for all, and there may be fewer of keys.
        visible = visible_keys(query, key, causal=causal, padding=padding)
        if visible is not None:
            bias = bias.masked_fill(~visible, hidden_score(bias.dtype))
        return (query, key, value), {"attn_mask": bias, **grouped}
    if padding is None:
        return (query, key, value), {"is_causal": causal, **grouped}
    if causal:
        scale = 1 / math.sqrt(query.shape[-1])
        return _pushed(query, key, value, padding), {"is_causal": True, "scale": scale, **grouped}
    # A mask without any True makes the kernel's gradient undefined: such rows see all, and are zeroed.
    seen = padding | ~padding.any(dim=-1, keepdim=True)
    return (query, key, value), {"attn_mask": seen[:, None, None, :], **grouped}


def _leaves_threads_idle(query: Tensor, key: Tensor, value: Tensor) -> bool:
    """Whether a gradient will be taken with fewer heads of keys than there are threads to work on them."""
    if query.shape[1] == key.shape[1] or query.device.type != "cpu" or not torch.is_grad_enabled():
        return False
    differentiated = query.requires_grad or key.requires_grad or value.requires_grad
    return differentiated and key.shape[0] * key.shape[1] < torch.get_num_threads()


def _repeated(part: Tensor, heads: int) -> Tensor:
    """Each head as often as queries read it, a view where there is but one."""
    times = heads // part.shape[1]
    return part[:, :, None].expand(-1, -1, times, -1, -1).flatten(1, 2)


def _pushed(query: Tensor, key: Tensor, value: Tensor, padding: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One more channel that hides padded keys, linear in memory; values get it too, as the fused kernel
    needs them as wide as keys."""
    hidden = torch.zeros_like(padding, dtype=key.dtype).masked_fill(~padding, hidden_score(key.dtype))
    push = hidden[:, None, :, None].expand(-1, key.shape[1], -1, 1)
    return (
        functional.pad(query, (0, 1), value=1.0),
        torch.cat((key, push), dim=-1),
        functional.pad(value, (0, 1)),
    )
