"""Low rank and kernels: fewer keys than tokens, or products of features in place of the softmax."""

from bench.schema import Variant
from implementations.families.places import KERAS, TORCH

LINEAR = Variant(
    name="linear",
    featured=("torch", "keras"),
    family="low rank and kernels",
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
    targets={"torch": f"{TORCH}.linear:attend", "keras": f"{KERAS}.linear:attend"},
)


PERFORMER = Variant(
    name="performer",
    featured=("torch",),
    family="low rank and kernels",
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
    options={"features": 256, "seed": 0},
    targets={"torch": f"{TORCH}.performer:Performer"},
    unsupported={"keras": "no Keras twin yet"},
)


LINFORMER = Variant(
    name="linformer",
    featured=("torch",),
    family="low rank and kernels",
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
    options={"landmarks": 256},
    targets={"torch": f"{TORCH}.linformer:Linformer"},
    unsupported={"keras": "no Keras twin yet"},
)


VARIANTS: tuple[Variant, ...] = (LINEAR, PERFORMER, LINFORMER)
