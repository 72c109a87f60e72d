"""Controls: what a variant must beat to have done anything."""

from functools import partial

from bench.schema import Variant
from implementations.families.places import DEFINITIONS, on_both

_control = partial(
    Variant,
    family="controls",
    memory="n d",
    time_exponent=1.0,
    exact=False,
    causal=True,
    trainable=True,
)
"""What all rows here share."""


NONE = _control(
    name="none",
    title="No mixing: each token its own value",
    paper="arXiv:2210.13452",
    equation="out_i = v_i",
    time="n d",
    cross_attention=False,
    reach="0",
    definition=f"{DEFINITIONS}.controls:none",
    state="0",
    targets=on_both("controls:NoMixing"),
)


UNIFORM = _control(
    name="uniform",
    title="The mean of all visible values",
    paper="arXiv:1805.00631",
    equation="out_i = mean of the v_j that i sees; causal: the running mean",
    time="n d",
    cross_attention=True,
    definition=f"{DEFINITIONS}.controls:uniform",
    state="heads * head_width",
    targets=on_both("controls:UniformMixing"),
)


CONVOLUTION = _control(
    name="convolution",
    title="Short convolution, its taps learned for each channel",
    paper="arXiv:1901.10430",
    equation="out_i = sum_t taps_t v_(i - t + a), t < kernel; a = 0 if causal, else floor((kernel - 1) / 2)",
    time="n d kernel",
    cross_attention=False,
    reach="kernel - 1 if causal else ((kernel - 1) // 2 if later else kernel // 2)",
    definition=f"{DEFINITIONS}.controls:convolution",
    state="(kernel - 1) * heads * head_width",
    options={"kernel": 4},
    targets=on_both("controls:ConvolutionMixing"),
)


VARIANTS: tuple[Variant, ...] = (NONE, UNIFORM, CONVOLUTION)
