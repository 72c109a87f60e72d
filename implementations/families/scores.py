"""Other scores: what replaces the softmax, or stands beside it."""

from functools import partial

from bench.schema import RELATIVE_POSITIONS, Variant
from implementations.families.places import DEFINITIONS, on_both

_other_scores = partial(
    Variant,
    family="other scores",
    time_exponent=2.0,
    exact=False,
    causal=True,
    cross_attention=True,
    trainable=True,
    positions=RELATIVE_POSITIONS,
)
"""What all rows here share."""


SIGMOID = _other_scores(
    name="sigmoid",
    title="Sigmoid attention",
    paper="arXiv:2409.04431",
    equation="out_i = sum_j sigmoid(q_i . k_j / sqrt(d) - log n_i) v_j, n_i the keys that i sees",
    time="n^2 d",
    memory="n d",
    definition=f"{DEFINITIONS}.sigmoid:layer",
    state="2 * heads * head_width * blocks(n)",
    targets=on_both("sigmoid:attend"),
)


DIFFERENTIAL = _other_scores(
    name="differential",
    title="Differential attention",
    paper="arXiv:2410.05258",
    equation="out = (1 - l0) RMSNorm((softmax(Q1 K1^T / sqrt(d / 2)) - l softmax(Q2 K2^T / sqrt(d / 2))) V),"
    " Q1, Q2, K1, K2 of half the width",
    time="n^2 d",
    memory="n d",
    definition=f"{DEFINITIONS}.differential:layer",
    state="heads * (2 * ceil(head_width / 2) + head_width) * blocks(n)",
    options={"depth": 1},
    targets=on_both("differential:Differential"),
)


SPARSEMAX = _other_scores(
    name="sparsemax",
    title="Sparsemax attention",
    paper="arXiv:1602.02068",
    equation="out_i = sum_j max(s_ij - t_i, 0) v_j, s_ij = q_i . k_j / sqrt(d), t_i such that"
    " weights sum to 1",
    time="n^2 d",
    memory="n d",
    reach="some",
    definition=f"{DEFINITIONS}.sparsemax:layer",
    state="2 * heads * head_width * blocks(n)",
    targets=on_both("sparsemax:attend"),
)


ENTMAX = _other_scores(
    name="entmax",
    title="1.5-entmax attention",
    paper="arXiv:1905.05702",
    equation="out_i = sum_j max(s_ij / 2 - t_i, 0)^2 v_j, s_ij = q_i . k_j / sqrt(d), t_i such that weights"
    " sum to 1",
    time="n^2 d",
    memory="n d",
    reach="some",
    definition=f"{DEFINITIONS}.entmax:layer",
    state="2 * heads * head_width * blocks(n)",
    targets=on_both("entmax:attend"),
)


TALKING_HEADS = _other_scores(
    name="talking_heads",
    title="Talking-heads attention",
    paper="arXiv:2003.02436",
    equation="S_h = Q_h K_h^T / sqrt(d), W_g = softmax(sum_h before_hg S_h),"
    " out_h = (sum_g after_gh W_g) V_h",
    time="n^2 (d + h)",
    memory="n^2",
    definition=f"{DEFINITIONS}.talking_heads:layer",
    state="2 * heads * head_width * blocks(n)",
    targets=on_both("talking_heads:TalkingHeads"),
)


VARIANTS: tuple[Variant, ...] = (SIGMOID, DIFFERENTIAL, SPARSEMAX, ENTMAX, TALKING_HEADS)
