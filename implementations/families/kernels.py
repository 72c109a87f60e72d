"""Low rank and kernels: fewer keys than tokens, or products of features in place of the softmax."""

from functools import partial

from bench.schema import Variant
from implementations.families.places import DEFINITIONS, on_both

_kernel = partial(
    Variant,
    family="low rank and kernels",
    time_exponent=1.0,
    exact=False,
    trainable=True,
)
"""What all rows here share."""


LINEAR = _kernel(
    name="linear",
    featured=("torch", "keras"),
    title="Linear attention, elu + 1",
    paper="arXiv:2006.16236",
    equation="out_i = phi(q_i)^T (sum_j phi(k_j) v_j^T) / (phi(q_i)^T sum_j phi(k_j)),"
    " phi(x) = elu(x) + 1; causal: sums over j <= i",
    time="n d^2",
    memory="n d",
    causal=True,
    cross_attention=True,
    definition=f"{DEFINITIONS}.linear:layer",
    state="heads * head_width * (head_width + 1)",
    positions=("rotary",),
    targets=on_both("linear:Linear"),
)


PERFORMER = _kernel(
    name="performer",
    featured=("torch",),
    title="Performer, FAVOR+ random features",
    paper="arXiv:2009.14794",
    equation="linear attention with phi(x) = exp(W^T x - |x|^2 / 2), x scaled by d^(-1/4),"
    " W of m orthogonal Gaussian columns",
    time="n m d",
    memory="n m",
    causal=True,
    cross_attention=True,
    definition=f"{DEFINITIONS}.performer:layer",
    state="heads * features * (head_width + 1)",
    converges="features",
    small={"features": 11},
    positions=("rotary",),
    options={"features": 256, "seed": 0},
    targets=on_both("performer:Performer"),
)


COSFORMER = _kernel(
    name="cosformer",
    title="cosFormer, relu features with a cosine over positions",
    paper="arXiv:2202.08791",
    equation="out_i = sum_j w_ij v_j / sum_j w_ij, w_ij = relu(q_i) . relu(k_j) cos(pi / 2 (i - j) / M),"
    " M the largest length; causal: sums over j <= i",
    time="n d^2",
    memory="n d",
    causal=True,
    cross_attention=True,
    # A key none of whose positive channels is positive in the query has no weight.
    reach="some",
    definition=f"{DEFINITIONS}.cosformer:layer",
    state="2 * heads * head_width * (head_width + 1)",
    positions=("rotary",),
    targets=on_both("cosformer:Cosformer"),
)


LINFORMER = _kernel(
    name="linformer",
    featured=("torch",),
    title="Linformer, learned landmarks",
    paper="arXiv:2006.04768",
    equation="out = softmax(Q (E^T K)^T / sqrt(d)) (F^T V), E and F learned, [n, k]",
    time="n k d",
    memory="n d + n k",
    causal=False,
    cross_attention=True,
    definition=f"{DEFINITIONS}.linformer:layer",
    small={"landmarks": 5},
    options={"landmarks": 256},
    targets=on_both("linformer:Linformer"),
)


NYSTROM = _kernel(
    name="nystrom",
    title="Nyströmformer, segment means as landmarks",
    paper="arXiv:2102.03902",
    equation="out = softmax(Q K~^T / sqrt(d)) pinv(softmax(Q~ K~^T / sqrt(d))) softmax(Q~ K^T / sqrt(d)) V,"
    " Q~ and K~ means over k segments, pinv by 6 iterations",
    time="n k d",
    memory="n d + k^2",
    causal=False,
    cross_attention=False,
    definition=f"{DEFINITIONS}.nystrom:layer",
    converges="landmarks",
    small={"landmarks": 5},
    positions=("rotary",),
    options={"landmarks": 32, "iterations": 6, "convolution": 0},
    targets=on_both("nystrom:Nystrom"),
)


VARIANTS: tuple[Variant, ...] = (LINEAR, PERFORMER, COSFORMER, LINFORMER, NYSTROM)
