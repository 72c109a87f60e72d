"""Keys that content chooses."""

from functools import partial

from bench.schema import RELATIVE_POSITIONS, Variant
from implementations.families.places import DEFINITIONS, on_both

_chosen = partial(
    Variant,
    family="keys that content chooses",
    exact=False,
    causal=True,
    trainable=True,
)
"""What all rows here share."""


TOP_K = _chosen(
    name="top_k",
    title="Explicit sparse attention, the k largest scores",
    paper="arXiv:1912.11637",
    equation="out_i = softmax over j of s_ij v_j for s_ij >= t_i, s_ij = q_i . k_j / sqrt(d),"
    " t_i the k-th largest score that i sees",
    time="n^2 d",
    memory="n d",
    time_exponent=2.0,
    cross_attention=True,
    reach="some",
    definition=f"{DEFINITIONS}.top_k:layer",
    state="2 * heads * head_width * blocks(n)",
    converges="kept",
    small={"kept": 3},
    positions=RELATIVE_POSITIONS,
    options={"kept": 32},
    targets=on_both("top_k:attend"),
)


NATIVE_SPARSE = _chosen(
    name="native_sparse",
    title="Native sparse attention: compressed, selected, window",
    paper="arXiv:2502.11089",
    equation="out_i = sum_c sigmoid(W_c x_i + b_c) Attention(q_i, K_c, V_c), c: compressed blocks, the tokens"
    " of the best blocks by the attention on those, the last w tokens",
    time="n (selected block + w) d, and n^2 d / stride for the compressed blocks",
    memory="n selected block + n^2 / stride",
    # Between 2,048 and 4,096 tokens: pairs with a selected block grow linearly, compressed scores as n^2.
    time_exponent=1.2,
    cross_attention=False,
    reach="all",
    definition=f"{DEFINITIONS}.native_sparse:layer",
    state="6 * heads * head_width * blocks(n) + 2 * heads * head_width"
    " * blocks(max(0, (n - compression_block) // compression_stride + 1))",
    small={
        "compression_block": 4,
        "compression_stride": 2,
        "selection_block": 4,
        "selected": 3,
        "window": 3,
    },
    positions=("rotary",),
    options={
        "compression_block": 32,
        "compression_stride": 16,
        "selection_block": 64,
        "selected": 16,
        "window": 512,
    },
    targets=on_both("native_sparse:NativeSparse"),
)


HASHING = _chosen(
    name="hashing",
    title="Hashed attention after Reformer",
    paper="arXiv:2001.04451",
    equation="out_i = softmax over j in P_i of (q_i . k_j / sqrt(d)) v_j, k_j = q_j / |q_j|,"
    " P_i: in some round the same bucket, and the same chunk of the sorted order or the one before;"
    " causal: the size tokens of that bucket before i",
    time="n d hashes size",
    memory="n d + n size + n hashes",
    time_exponent=1.0,
    cross_attention=False,
    reach="some",
    definition=f"{DEFINITIONS}.hashing:layer",
    state="(2 * head_width + hashes) * heads * blocks(n)",
    small={"hashes": 2, "buckets": 2, "size": 3, "seed": 0},
    options={"hashes": 4, "buckets": 32, "size": 64, "seed": 0},
    targets=on_both("hashing:Hashing"),
)


VARIANTS: tuple[Variant, ...] = (TOP_K, NATIVE_SPARSE, HASHING)
"""From one that looks at all scores to choose, to one that looks at none."""
