"""Low rank and kernels: fewer keys than tokens, or products of features in place of the softmax."""

from bench.schema import Variant
from implementations.families.places import DEFINITIONS, KERAS, TORCH

_FAMILY = "low rank and kernels"

LINEAR = Variant(
    name="linear",
    featured=("torch", "keras"),
    family=_FAMILY,
    title="Linear attention, elu + 1",
    paper="arXiv:2006.16236",
    equation="out_i = phi(q_i)^T (sum_j phi(k_j) v_j^T) / (phi(q_i)^T sum_j phi(k_j)),"
    " phi(x) = elu(x) + 1; causal: sums over j <= i",
    time="n d^2",
    memory="n d",
    time_exponent=1.0,
    exact=False,
    causal=True,
    cross_attention=True,
    trainable=True,
    definition=f"{DEFINITIONS}.linear:layer",
    state="heads * head_width * (head_width + 1)",
    positions=("rotary",),
    targets={"torch": f"{TORCH}.linear:Linear", "keras": f"{KERAS}.linear:Linear"},
)


PERFORMER = Variant(
    name="performer",
    featured=("torch",),
    family=_FAMILY,
    title="Performer, FAVOR+ random features",
    paper="arXiv:2009.14794",
    equation="linear attention with phi(x) = exp(W^T x - |x|^2 / 2), x scaled by d^(-1/4),"
    " W of m orthogonal Gaussian columns",
    time="n m d",
    memory="n m",
    time_exponent=1.0,
    exact=False,
    causal=True,
    cross_attention=True,
    trainable=True,
    definition=f"{DEFINITIONS}.performer:layer",
    state="heads * features * (head_width + 1)",
    converges="features",
    small={"features": 11},
    positions=("rotary",),
    options={"features": 256, "seed": 0},
    targets={"torch": f"{TORCH}.performer:Performer", "keras": f"{KERAS}.performer:Performer"},
)


COSFORMER = Variant(
    name="cosformer",
    family=_FAMILY,
    title="cosFormer, relu features with a cosine over positions",
    paper="arXiv:2202.08791",
    equation="out_i = sum_j w_ij v_j / sum_j w_ij, w_ij = relu(q_i) . relu(k_j) cos(pi / 2 (i - j) / M),"
    " M the largest length; causal: sums over j <= i",
    time="n d^2",
    memory="n d",
    time_exponent=1.0,
    exact=False,
    causal=True,
    cross_attention=True,
    trainable=True,
    # A key none of whose positive channels is positive in the query has no weight.
    reach="some",
    definition=f"{DEFINITIONS}.cosformer:layer",
    state="2 * heads * head_width * (head_width + 1)",
    positions=("rotary",),
    targets={"torch": f"{TORCH}.cosformer:Cosformer", "keras": f"{KERAS}.cosformer:Cosformer"},
)


LINFORMER = Variant(
    name="linformer",
    featured=("torch",),
    family=_FAMILY,
    title="Linformer, learned landmarks",
    paper="arXiv:2006.04768",
    equation="out = softmax(Q (E^T K)^T / sqrt(d)) (F^T V), E and F learned, [n, k]",
    time="n k d",
    memory="n d + n k",
    time_exponent=1.0,
    exact=False,
    causal=False,
    cross_attention=True,
    trainable=True,
    definition=f"{DEFINITIONS}.linformer:layer",
    small={"landmarks": 5},
    options={"landmarks": 256},
    targets={"torch": f"{TORCH}.linformer:Linformer", "keras": f"{KERAS}.linformer:Linformer"},
)


NYSTROM = Variant(
    name="nystrom",
    family=_FAMILY,
    title="Nyströmformer, segment means as landmarks",
    paper="arXiv:2102.03902",
    equation="out = softmax(Q K~^T / sqrt(d)) pinv(softmax(Q~ K~^T / sqrt(d))) softmax(Q~ K^T / sqrt(d)) V,"
    " Q~ and K~ means over k segments, pinv by 6 iterations",
    time="n k d",
    memory="n d + k^2",
    time_exponent=1.0,
    exact=False,
    causal=False,
    cross_attention=False,
    trainable=True,
    definition=f"{DEFINITIONS}.nystrom:layer",
    converges="landmarks",
    small={"landmarks": 5},
    positions=("rotary",),
    options={"landmarks": 32, "iterations": 6, "convolution": 0},
    targets={"torch": f"{TORCH}.nystrom:Nystrom", "keras": f"{KERAS}.nystrom:Nystrom"},
)


VARIANTS: tuple[Variant, ...] = (LINEAR, PERFORMER, COSFORMER, LINFORMER, NYSTROM)
