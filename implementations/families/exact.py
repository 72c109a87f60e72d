"""Exact attention: other ways to compute the function that `softmax` is."""

from bench.schema import RELATIVE_POSITIONS, Variant
from implementations.families.places import DEFINITIONS, KERAS, TORCH

SOFTMAX = Variant(
    name="softmax",
    featured=("torch", "keras"),
    family="exact",
    title="Softmax attention, written out",
    paper="arXiv:1706.03762",
    equation="out = softmax(Q K^T / sqrt(d)) V",
    time="n^2 d",
    memory="n^2",
    time_exponent=2.0,
    exact=True,
    causal=True,
    cross_attention=True,
    trainable=True,
    definition=f"{DEFINITIONS}.softmax:layer",
    state="2 * heads * head_width * blocks(n)",
    positions=RELATIVE_POSITIONS,
    targets={"torch": f"{TORCH}.softmax:attend", "keras": f"{KERAS}.softmax:attend"},
)


SDPA = Variant(
    name="sdpa",
    featured=("torch",),
    family="exact",
    title="Softmax attention, the framework's fused kernel",
    paper="arXiv:2205.14135",
    equation="out = softmax(Q K^T / sqrt(d)) V, tile by tile with a running maximum and sum",
    time="n^2 d",
    memory="n d",
    time_exponent=2.0,
    exact=True,
    causal=True,
    cross_attention=True,
    trainable=True,
    definition=f"{DEFINITIONS}.softmax:layer",
    state="2 * heads * head_width * blocks(n)",
    positions=RELATIVE_POSITIONS,
    targets={"torch": f"{TORCH}.sdpa:attend", "keras": f"{KERAS}.sdpa:attend"},
)


CHUNKED = Variant(
    name="chunked",
    family="exact",
    title="Softmax attention in blocks, written out",
    paper="arXiv:2112.05682",
    equation="out = softmax(Q K^T / sqrt(d)) V, block by block with a running maximum and sum;"
    " blocks are computed again for gradients",
    time="n^2 d",
    memory="n d",
    time_exponent=2.0,
    exact=True,
    causal=True,
    cross_attention=True,
    trainable=True,
    options={"query_block": 256, "key_block": 512},
    small={"query_block": 9, "key_block": 10},
    definition=f"{DEFINITIONS}.softmax:layer",
    state="2 * heads * head_width * blocks(n)",
    positions=RELATIVE_POSITIONS,
    targets={"torch": f"{TORCH}.chunked:attend", "keras": f"{KERAS}.chunked:attend"},
)


FLEX = Variant(
    name="flex",
    family="exact",
    title="Softmax attention, torch's FlexAttention",
    paper="arXiv:2412.05496",
    equation="out = softmax(Q K^T / sqrt(d)) V over the keys that a mask function lets through",
    time="n^2 d",
    memory="n d; n^2 on the CPU unless the model is compiled",
    time_exponent=2.0,
    exact=True,
    causal=True,
    cross_attention=True,
    trainable=True,
    definition=f"{DEFINITIONS}.softmax:layer",
    state="2 * heads * head_width * blocks(n)",
    positions=RELATIVE_POSITIONS,
    targets={"torch": f"{TORCH}.flex:attend"},
    unsupported={"keras": "FlexAttention is torch's own; Keras has no attention that takes a mask function"},
)


VARIANTS: tuple[Variant, ...] = (SOFTMAX, SDPA, CHUNKED, FLEX)
