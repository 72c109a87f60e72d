"""Long context: memory across segments."""

from bench.schema import Variant
from implementations.families.places import DEFINITIONS, on_both

TRANSFORMER_XL = Variant(
    name="transformer_xl",
    family="long context",
    title="Transformer-XL, scores of distance and a memory",
    paper="arXiv:1901.02860",
    equation="out_i = softmax over j of (((q_i + u) . k_j + (q_i + v) . W_R r_(i - j)) / sqrt(d)) v_j",
    time="n^2 d",
    memory="n^2",
    time_exponent=2.0,
    exact=False,
    causal=True,
    cross_attention=False,
    segment_memory=True,
    trainable=True,
    definition=f"{DEFINITIONS}.transformer_xl:layer",
    state="3 * heads * head_width * blocks(n)",
    targets=on_both("transformer_xl:TransformerXL"),
)


VARIANTS: tuple[Variant, ...] = (TRANSFORMER_XL,)
