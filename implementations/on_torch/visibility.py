"""Which keys a query may see: the one place where causality and padding become masks.

Conventions of every kernel here: `padding` is True where a real token stands, position i sees the keys
0..i when causal, and a query that may see no key at all gets zeros.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def require_equal_lengths(query: Tensor, key: Tensor, reason: str) -> None:
    """Raise ValueError unless query and key, both ``[..., time, head_width]``, have the same length."""
    if query.shape[-2] != key.shape[-2]:
        raise ValueError(
            f"{reason} needs as many keys as queries, got {query.shape[-2]} queries "
            f"and {key.shape[-2]} keys; attend to a context of another length without it"
        )


def visible_keys(
    query: Float[Tensor, "batch heads time head_width"],
    key: Float[Tensor, "batch key_heads source head_width"],
    *,
    causal: bool,
    padding: Bool[Tensor, "batch source"] | None,
) -> Bool[Tensor, "#batch 1 #time source"] | None:
    """True where a query may see a key, broadcastable over the scores; None when it may see them all.

    Raises ValueError for causal attention between sequences of different lengths.
    """
    visible = None if padding is None else padding[:, None, None, :]
    if causal:
        require_equal_lengths(query, key, "causal attention")
        length = query.shape[-2]
        earlier = torch.ones(length, length, dtype=torch.bool, device=query.device).tril()[None, None]
        visible = earlier if visible is None else earlier & visible
    return visible


def sees_any_key(padding: Bool[Tensor, "batch source"], *, causal: bool) -> Bool[Tensor, "batch 1 #source 1"]:
    """True for the queries that may see at least one real key; one row for all queries unless causal."""
    seen = padding.cummax(dim=-1).values if causal else padding.any(dim=-1, keepdim=True)
    return seen[:, None, :, None]


def hidden_score(dtype: torch.dtype) -> float:
    """A score that softmax turns into exactly 0 beside any visible one.

    Finite, so that a query without a visible key has a defined softmax and gradient; a quarter of the
    smallest number, so that two of them and a score can be added without overflow.
    """
    return torch.finfo(dtype).min / 4
