"""Several query heads share keys and values, or keys and values come from a narrow latent."""

from bench.schema import RELATIVE_POSITIONS, Variant
from implementations.families.places import DEFINITIONS, KERAS, TORCH

MULTI_QUERY = Variant(
    name="multi_query",
    family="fewer keys",
    title="Multi-query attention",
    paper="arXiv:1911.02150",
    equation="out_h = softmax(Q_h K^T / sqrt(d)) V, one K and V for all heads h",
    time="n^2 d",
    memory="n d",
    time_exponent=2.0,
    exact=False,
    causal=True,
    cross_attention=True,
    trainable=True,
    definition=f"{DEFINITIONS}.grouped_query:layer",
    state="2 * head_width * blocks(n)",
    positions=RELATIVE_POSITIONS,
    targets={"torch": f"{TORCH}.grouped_query:MultiQuery", "keras": f"{KERAS}.grouped_query:MultiQuery"},
)


GROUPED_QUERY = Variant(
    name="grouped_query",
    family="fewer keys",
    title="Grouped-query attention",
    paper="arXiv:2305.13245",
    equation="out_h = softmax(Q_h K_g^T / sqrt(d)) V_g, g = floor(h G / H), G key heads for H heads",
    time="n^2 d",
    memory="n d",
    time_exponent=2.0,
    exact=False,
    causal=True,
    cross_attention=True,
    trainable=True,
    options={"key_heads": 0},
    definition=f"{DEFINITIONS}.grouped_query:layer",
    state="2 * (key_heads or 2 - heads % 2) * head_width * blocks(n)",
    positions=RELATIVE_POSITIONS,
    targets={"torch": f"{TORCH}.grouped_query:GroupedQuery", "keras": f"{KERAS}.grouped_query:GroupedQuery"},
)


LATENT = Variant(
    name="latent",
    family="fewer keys",
    title="Multi-head latent attention",
    paper="arXiv:2405.04434",
    equation="c = RMSNorm(W_down h), k_h = W_K c, v_h = W_V c, r = RoPE(W_R h);"
    " out_h = softmax((q_h . k_h + t_h . r) / sqrt(d + rope_width)) v_h",
    time="n^2 d",
    memory="n d",
    time_exponent=2.0,
    exact=False,
    causal=True,
    cross_attention=True,
    trainable=True,
    options={"rank": 128, "rope_width": 32, "query_rank": 0},
    small={"rank": 7, "rope_width": 4, "query_rank": 11},
    definition=f"{DEFINITIONS}.latent:layer",
    state="(rank + rope_width) * blocks(n)",
    targets={"torch": f"{TORCH}.latent:Latent", "keras": f"{KERAS}.latent:Latent"},
)


VARIANTS: tuple[Variant, ...] = (MULTI_QUERY, GROUPED_QUERY, LATENT)
