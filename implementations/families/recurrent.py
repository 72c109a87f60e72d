"""Recurrent state: sums that decay or are corrected, computed in chunks."""

from functools import partial

from bench.schema import Variant
from implementations.families.places import DEFINITIONS, on_both

_recurrent = partial(
    Variant,
    family="recurrent",
    time="n d^2",
    memory="n d",
    time_exponent=1.0,
    exact=False,
    causal=True,
    causal_only=True,
    cross_attention=False,
    trainable=True,
)
"""What all rows here share."""


RETENTION = _recurrent(
    name="retention",
    title="Retention (RetNet)",
    paper="arXiv:2307.08621",
    equation="out_n = sum over m <= n of gamma^(n - m) (q_n . k_m) v_m, q and k turned by their positions,"
    " gamma = 1 - 2^(-5 - h) for head h; each head normed, gated by swish(W x)",
    definition=f"{DEFINITIONS}.retention:layer",
    state="heads * head_width * head_width",
    targets=on_both("retention:Retention"),
)


GATED_LINEAR = _recurrent(
    name="gated_linear",
    title="Gated linear attention (GLA)",
    paper="arXiv:2312.06635",
    equation="S_t = Diag(alpha_t) S_{t-1} + k_t v_t^T, out_t = S_t^T q_t,"
    " alpha_t = sigmoid(x_t W_1 W_2 + b)^(1/16); each head normed, gated by swish(W x)",
    options={"rank": 16},
    definition=f"{DEFINITIONS}.gated_linear:layer",
    state="heads * head_width * head_width",
    small={"rank": 3},
    targets=on_both("gated_linear:GatedLinear"),
)


GATED_DELTA = _recurrent(
    name="gated_delta",
    title="Gated delta rule (Gated DeltaNet)",
    paper="arXiv:2412.06464",
    equation="S_t = alpha_t (I - beta_t k_t k_t^T) S_{t-1} + beta_t k_t v_t^T, out_t = S_t^T q_t,"
    " q and k of length 1; each head normed, gated by swish(W x)",
    options={"convolution": 0},
    definition=f"{DEFINITIONS}.gated_delta:layer",
    state="heads * head_width * head_width + 3 * max(convolution - 1, 0) * heads * head_width",
    targets=on_both("gated_delta:GatedDelta"),
)


VARIANTS: tuple[Variant, ...] = (RETENTION, GATED_LINEAR, GATED_DELTA)
"""The recurrent variants."""
