"""One row a variant and one a model: what is compared, what it claims, and where its code is.

Imports no framework: a target is named as ``"module:Name"`` and loaded inside a worker only. A flag
(`exact`, `causal`, `cross_attention`) is a claim that the certificate checks. `time` and `memory` count
one head; n is the length, w the window, d the width of a head, m the random features, k the landmarks.
"""

from bench.schema import Architecture, Variant

_TORCH = "implementations.on_torch"
_KERAS = "implementations.on_keras"
_NO_KERAS_TWIN = {"keras": "no Keras twin yet: planned with the full catalogue"}

SOFTMAX = Variant(
    name="softmax",
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
    targets={"torch": f"{_TORCH}.softmax:attend", "keras": f"{_KERAS}.softmax:Softmax"},
)

SDPA = Variant(
    name="sdpa",
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
    targets={"torch": f"{_TORCH}.sdpa:attend"},
    unsupported=_NO_KERAS_TWIN,
)

SLIDING_WINDOW = Variant(
    name="sliding_window",
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
    targets={"torch": f"{_TORCH}.sliding_window:attend"},
    unsupported=_NO_KERAS_TWIN,
)

LINEAR = Variant(
    name="linear",
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
    targets={"torch": f"{_TORCH}.linear:attend", "keras": f"{_KERAS}.linear:attend"},
)

PERFORMER = Variant(
    name="performer",
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
    targets={"torch": f"{_TORCH}.performer:Performer"},
    unsupported=_NO_KERAS_TWIN,
)

LINFORMER = Variant(
    name="linformer",
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
    targets={"torch": f"{_TORCH}.linformer:Linformer"},
    unsupported=_NO_KERAS_TWIN,
)

VARIANTS: tuple[Variant, ...] = (SOFTMAX, SDPA, SLIDING_WINDOW, LINEAR, PERFORMER, LINFORMER)


def _targets(name: str) -> dict[str, str]:
    return {"torch": f"{_TORCH}.{name}", "keras": f"{_KERAS}.{name}"}


ARCHITECTURES: tuple[Architecture, ...] = (
    Architecture(name="layer", title="One attention layer", targets=_targets("layer:build_layer")),
    Architecture(name="encoder", title="Transformer encoder", targets=_targets("encoder:build_encoder")),
    Architecture(
        name="text_classifier",
        title="Text classifier: embedding, encoder, mean, linear",
        targets=_targets("classifiers:build_text_classifier"),
    ),
    Architecture(
        name="patch_classifier",
        title="Image classifier over patches: linear embedding, encoder, mean, linear",
        targets=_targets("classifiers:build_patch_classifier"),
    ),
    Architecture(
        name="image_generator",
        title="Image generator: encoder and decoder to colours",
        needs_cross_attention=True,
        targets=_targets("image_generator:build_image_generator"),
    ),
)
