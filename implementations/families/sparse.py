"""Each query sees some of the keys: near ones, a pattern, or those that its content chooses."""

from functools import partial

from bench.schema import Variant
from implementations.families.places import DEFINITIONS, on_both

_sparse = partial(
    Variant,
    family="sparse",
    exact=False,
    causal=True,
    cross_attention=False,
    trainable=True,
    positions=("rotary",),
)
"""What all rows here share."""


SLIDING_WINDOW = _sparse(
    name="sliding_window",
    featured=("torch",),
    title="Sliding-window attention",
    paper="arXiv:2004.05150",
    equation="out_i = softmax over j of (q_i . k_j / sqrt(d)) v_j, for |i - j| <= floor(w / 2);"
    " causal: for i - w < j <= i; and for the first s tokens",
    time="n (w + s) d",
    memory="n d + w^2",
    time_exponent=1.0,
    reach="n - 1 if sinks else (window - 1 if causal else window // 2)",
    definition=f"{DEFINITIONS}.sliding_window:layer",
    state="2 * heads * head_width * (sinks + window)",
    converges="window",
    small={"window": 5},
    options={"window": 256, "sinks": 0},
    targets=on_both("sliding_window:SlidingWindow"),
)


BLOCK_SPARSE = _sparse(
    name="block_sparse",
    title="Block-sparse attention, BigBird's window, global and random blocks",
    paper="arXiv:2007.14062",
    equation="out_i = softmax over j of (q_i . k_j / sqrt(d)) v_j, for j in the w blocks around that of i,"
    " the first g blocks and r drawn ones; queries in the first g blocks see all; causal: of these j <= i",
    time="n b (w + g + r) d",
    memory="n d (w + g + r)",
    time_exponent=1.0,
    reach="some",
    definition=f"{DEFINITIONS}.block_sparse:layer",
    state="2 * heads * head_width * blocks(n)",
    converges="global_blocks",
    small={"block": 2, "window_blocks": 3, "global_blocks": 1, "random_blocks": 1},
    options={"block": 64, "window_blocks": 3, "global_blocks": 2, "random_blocks": 3, "seed": 0},
    targets=on_both("block_sparse:BlockSparse"),
)


STRIDED = _sparse(
    name="strided",
    title="Strided attention, the Sparse Transformer's",
    paper="arXiv:1904.10509",
    equation="out_i = softmax over j of (q_i . k_j / sqrt(d)) v_j, for |i - j| <= l or (i - j) mod l = 0;"
    " causal: of these j <= i; stride l, 0 standing for sqrt(max_length)",
    time="n^1.5 d",
    memory="n^1.5",
    time_exponent=1.5,
    reach="some",
    definition=f"{DEFINITIONS}.strided:layer",
    state="2 * heads * head_width * blocks(n)",
    converges="stride",
    small={"stride": 3},
    options={"stride": 0},
    targets=on_both("strided:Strided"),
)


VARIANTS: tuple[Variant, ...] = (SLIDING_WINDOW, BLOCK_SPARSE, STRIDED)
