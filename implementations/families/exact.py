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
    targets={"torch": f"{TORCH}.sdpa:attend"},
    unsupported={"keras": "no Keras twin yet"},
)


VARIANTS: tuple[Variant, ...] = (SOFTMAX, SDPA)
