"""Exact attention: other ways to compute the function that `softmax` is."""

from functools import partial

from bench.schema import RELATIVE_POSITIONS, Variant
from implementations.families.places import DEFINITIONS, TORCH, on_both

_exact = partial(
    Variant,
    family="exact",
    time="n^2 d",
    time_exponent=2.0,
    exact=True,
    causal=True,
    cross_attention=True,
    trainable=True,
    definition=f"{DEFINITIONS}.softmax:layer",
    state="2 * heads * head_width * blocks(n)",
    positions=RELATIVE_POSITIONS,
)
"""What all rows here share."""


SOFTMAX = _exact(
    name="softmax",
    featured=("torch", "keras"),
    title="Softmax attention, written out",
    paper="arXiv:1706.03762",
    equation="out = softmax(Q K^T / sqrt(d)) V",
    memory="n^2",
    targets=on_both("softmax:attend"),
)


SDPA = _exact(
    name="sdpa",
    featured=("torch",),
    title="Softmax attention, the framework's fused kernel",
    paper="arXiv:2205.14135",
    equation="out = softmax(Q K^T / sqrt(d)) V, tile by tile with a running maximum and sum",
    memory="n d",
    targets=on_both("sdpa:attend"),
)


CHUNKED = _exact(
    name="chunked",
    title="Softmax attention in blocks, written out",
    paper="arXiv:2112.05682",
    equation="out = softmax(Q K^T / sqrt(d)) V, block by block with a running maximum and sum;"
    " blocks are computed again for gradients",
    memory="n d",
    options={"query_block": 256, "key_block": 512},
    small={"query_block": 9, "key_block": 10},
    targets=on_both("chunked:attend"),
)


FLEX = _exact(
    name="flex",
    title="Softmax attention, torch's FlexAttention",
    paper="arXiv:2412.05496",
    equation="out = softmax(Q K^T / sqrt(d)) V over the keys that a mask function lets through",
    memory="n d; n^2 on the CPU unless the model is compiled",
    targets={"torch": f"{TORCH}.flex:attend"},
    unsupported={"keras": "FlexAttention is torch's own; Keras has no attention that takes a mask function"},
)


VARIANTS: tuple[Variant, ...] = (SOFTMAX, SDPA, CHUNKED, FLEX)
