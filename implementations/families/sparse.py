"""Each query sees some of the keys: near ones, a pattern, or those that its content chooses."""

from bench.schema import Variant
from implementations.families.places import TORCH

SLIDING_WINDOW = Variant(
    name="sliding_window",
    featured=("torch",),
    family="sparse",
    title="Sliding-window attention",
    paper="arXiv:2004.05150",
    equation="out_i = softmax over j of (q_i . k_j / sqrt(d)) v_j, for |i - j| <= floor(w / 2);"
    " causal: for i - w < j <= i",
    time="n w d",
    memory="n d + w^2",
    time_exponent=1.0,
    exact=False,
    causal=True,
    cross_attention=False,
    trainable=True,
    options={"window": 256},
    targets={"torch": f"{TORCH}.sliding_window:attend"},
    unsupported={"keras": "no Keras twin yet"},
)


VARIANTS: tuple[Variant, ...] = (SLIDING_WINDOW,)
