"""Several query heads share keys and values, or keys and values come from a narrow latent."""

from functools import partial

from bench.schema import RELATIVE_POSITIONS, Variant
from implementations.families.places import DEFINITIONS, on_both

_fewer_keys = partial(
    Variant,
    family="fewer keys",
    time="n^2 d",
    memory="n d",
    time_exponent=2.0,
    exact=False,
    causal=True,
    cross_attention=True,
    trainable=True,
)
"""What all rows here share."""


MULTI_QUERY = _fewer_keys(
    name="multi_query",
    title="Multi-query attention",
    paper="arXiv:1911.02150",
    equation="out_h = softmax(Q_h K^T / sqrt(d)) V, one K and V for all heads h",
    definition=f"{DEFINITIONS}.grouped_query:layer",
    state="2 * head_width * blocks(n)",
    positions=RELATIVE_POSITIONS,
    targets=on_both("grouped_query:MultiQuery"),
)


GROUPED_QUERY = _fewer_keys(
    name="grouped_query",
    title="Grouped-query attention",
    paper="arXiv:2305.13245",
    equation="out_h = softmax(Q_h K_g^T / sqrt(d)) V_g, g = floor(h G / H), G key heads for H heads",
    options={"key_heads": 0},
    definition=f"{DEFINITIONS}.grouped_query:layer",
    state="2 * (key_heads or 2 - heads % 2) * head_width * blocks(n)",
    positions=RELATIVE_POSITIONS,
    targets=on_both("grouped_query:GroupedQuery"),
)


LATENT = _fewer_keys(
    name="latent",
    title="Multi-head latent attention",
    paper="arXiv:2405.04434",
    equation="c = RMSNorm(W_down h), k_h = W_K c, v_h = W_V c, r = RoPE(W_R h);"
    " out_h = softmax((q_h . k_h + t_h . r) / sqrt(d + rope_width)) v_h",
    options={"rank": 128, "rope_width": 32, "query_rank": 0},
    small={"rank": 7, "rope_width": 4, "query_rank": 11},
    definition=f"{DEFINITIONS}.latent:layer",
    state="(rank + rope_width) * blocks(n)",
    targets=on_both("latent:Latent"),
)


VARIANTS: tuple[Variant, ...] = (MULTI_QUERY, GROUPED_QUERY, LATENT)
