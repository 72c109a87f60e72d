"""Public packages' own implementations of the same variants, to hold ours against.

They are ordinary variants, measured and certified like all others. `peer_of` names the variant of ours;
where a package computes another function than that, its title says so. Its sizes (window, features,
landmarks, kept keys, buckets) are those of ours: less work is not speed. Certificates do not hold them
against a definition of ours.
"""

from typing import Any

from bench.schema import Variant
from implementations.families.places import KERAS, TORCH

_TORCH_PEERS = f"{TORCH}.peers"
_KERAS_PEERS = f"{KERAS}.peers"

_SOFTMAX = "out = softmax(Q K^T / sqrt(d)) V"


def _peer(name: str, title: str, **fields: Any) -> Variant:
    """A row with what nearly all peers share: softmax at n^2, causal, trainable, PyTorch only."""
    known: dict[str, Any] = {
        "paper": "",
        "equation": _SOFTMAX,
        "time": "n^2 d",
        "memory": "n^2",
        "exact": False,
        "causal": True,
        "cross_attention": True,
        "trainable": True,
        "family": "peer",
        "unsupported": {"keras": "the package is written for PyTorch"},
    }
    known |= fields
    exponent = 2.0 if known["time"].startswith("n^2") else 1.0
    return Variant(name=name, title=title, time_exponent=exponent, **known)


def _torch(target: str) -> dict[str, str]:
    return {"torch": f"{_TORCH_PEERS}.{target}"}


def _keras(target: str) -> dict[str, Any]:
    return {
        "targets": {"keras": f"{_KERAS_PEERS}.{target}"},
        "unsupported": {"torch": "a layer of Keras's own"},
    }


def _x_transformers(name: str, title: str, target: str, **fields: Any) -> Variant:
    """A row of that package, whose variants are options of one layer."""
    return _peer(
        name,
        f"{title}",
        package=("x-transformers", "x_transformers"),
        targets=_torch(f"x_transformers:{target}"),
        **fields,
    )


def _flash_linear(name: str, title: str, target: str, **fields: Any) -> Variant:
    """A row of the plain-torch forms in flash-linear-attention: recurrent in one direction, linear."""
    known: dict[str, Any] = {"time": "n d^2", "memory": "n d", "causal_only": True, "cross_attention": False}
    return _peer(
        name,
        f"flash-linear-attention, {title}",
        package=("flash-linear-attention", "fla"),
        targets=_torch(f"flash_linear_attention:{target}"),
        **(known | fields),
    )


VARIANTS: tuple[Variant, ...] = (
    _peer(
        "torch-multihead-attention",
        "torch.nn.MultiheadAttention",
        memory="n d",
        exact=True,
        peer_of="sdpa",
        targets=_torch("torch_multihead:MultiheadAttention"),
        unsupported={"keras": "a layer of PyTorch's own"},
    ),
    _x_transformers(
        "x-transformers", "Attention(flash=True)", "Flash", memory="n d", exact=True, peer_of="sdpa"
    ),
    _x_transformers(
        "x-transformers-written-out", "Attention(flash=False)", "WrittenOut", exact=True, peer_of="softmax"
    ),
    _x_transformers(
        "x-transformers-multi-query",
        "Attention(flash=True, kv_heads=1)",
        "MultiQuery",
        memory="n d",
        peer_of="multi_query",
    ),
    _x_transformers(
        "x-transformers-grouped-query",
        "Attention(flash=True, kv_heads=2): query head h reads key head h modulo 2",
        "GroupedQuery",
        memory="n d",
        peer_of="grouped_query",
        options={"kv_heads": 2},
        small={"kv_heads": 1},
    ),
    _x_transformers(
        "x-transformers-top-k",
        "Attention(sparse_topk=32), all scores written out",
        "TopK",
        reach="some",
        peer_of="top_k",
        options={"sparse_topk": 32},
        small={"sparse_topk": 5},
    ),
    _x_transformers(
        "x-transformers-sigmoid",
        "Attention(sigmoid=True): no bias of -log n",
        "Sigmoid",
        equation="out = sigmoid(Q K^T / sqrt(d)) V",
        peer_of="sigmoid",
    ),
    _x_transformers(
        "x-transformers-talking-heads",
        "talking heads with a residual",
        "TalkingHeads",
        equation="out_h = (A + M A)_h V_h, A = softmax(S + L S), S = Q K^T / sqrt(d), L and M over heads",
        peer_of="talking_heads",
    ),
    _peer(
        "local-attention",
        "local-attention, LocalMHA with its exact window (causal: one key more than ours)",
        equation="out_i = softmax over j of (q_i . k_j / sqrt(d)) v_j, |i - j| <= floor(w / 2);"
        " causal: i - w <= j <= i",
        time="n w d",
        memory="n w",
        cross_attention=False,
        reach="window if causal else window // 2",
        peer_of="sliding_window",
        package=("local-attention", "local_attention"),
        options={"window": 256},
        small={"window": 4},
        targets=_torch("local_attention:LocalAttention"),
    ),
    _peer(
        "performer-pytorch",
        "performer-pytorch, Attention with 256 features",
        equation="linear attention with phi(x) = exp(W^T x - |x|^2 / 2) + epsilon",
        time="n m d",
        memory="n m (causal: n m d / 128)",
        peer_of="performer",
        package=("performer-pytorch", "performer_pytorch"),
        options={"features": 256},
        small={"features": 32},
        targets=_torch("performer_pytorch:Performer"),
    ),
    _peer(
        "linear-attention-transformer",
        "linear-attention-transformer, SelfAttention: softmax features, not elu + 1",
        equation="out_i = phi(q_i)^T sum_j psi(k_j) v_j^T, phi and psi softmax over channels and positions",
        time="n d^2",
        memory="n d (causal: n d^2)",
        peer_of="linear",
        package=("linear-attention-transformer", "linear_attention_transformer"),
        targets=_torch("linear_attention_transformer:LinearAttention"),
    ),
    _peer(
        "nystrom-attention",
        "nystrom-attention, NystromAttention with 32 landmarks, without its convolution",
        equation="out = softmax(Q K~^T) pinv(softmax(Q~ K~^T)) softmax(Q~ K^T) V",
        time="n m d",
        memory="n m",
        causal=False,
        cross_attention=False,
        peer_of="nystrom",
        package=("nystrom-attention", "nystrom_attention"),
        options={"landmarks": 32, "residual": False},
        small={"landmarks": 4},
        targets=_torch("nystrom_attention:Nystrom"),
    ),
    _peer(
        "linformer-package",
        "linformer, LinformerSelfAttention with k = 256",
        equation="out = softmax(Q (E^T K)^T / sqrt(d)) (F^T V), E and F learned, [n, k]",
        time="n k d",
        memory="n k",
        causal=False,
        peer_of="linformer",
        package=("linformer", "linformer"),
        options={"landmarks": 256},
        small={"landmarks": 5},
        targets=_torch("linformer:Linformer"),
    ),
    _peer(
        "reformer-pytorch",
        "reformer-pytorch, LSHSelfAttention with buckets of 64 and 4 hashes",
        equation="softmax over the tokens sorted into one chunk with the query by its hash, q = k",
        time="n b r d",
        memory="n b r",
        cross_attention=False,
        reach="some",
        peer_of="hashing",
        package=("reformer-pytorch", "reformer_pytorch"),
        options={"bucket": 64, "hashes": 4},
        small={"bucket": 4, "hashes": 2},
        targets=_torch("reformer_pytorch:Reformer"),
    ),
    _flash_linear(
        "fla-linear",
        "naive_chunk_linear_attn with elu + 1",
        "attend_linearly",
        equation="out_i = phi(q_i)^T (sum_j phi(k_j) v_j^T) / (phi(q_i)^T sum_j phi(k_j)), j <= i",
        peer_of="linear",
    ),
    _flash_linear(
        "fla-retention",
        "naive_chunk_simple_gla with fixed gates",
        "Retention",
        equation="S_n = gamma S_{n-1} + k_n v_n^T",
        peer_of="retention",
    ),
    _flash_linear(
        "fla-retention-parallel",
        "naive_retention: all scores at once",
        "ParallelRetention",
        equation="out = (Q K^T * D) V, D_nm = gamma^(n - m) for m <= n",
        time="n^2 d",
        memory="n^2",
        peer_of="retention",
    ),
    _flash_linear(
        "fla-gated-linear",
        "naive_recurrent_gla: a Python loop over positions",
        "GatedLinear",
        equation="S_n = diag(a_n) S_{n-1} + k_n v_n^T",
        memory="n d^2",
        peer_of="gated_linear",
    ),
    _flash_linear(
        "fla-gated-delta",
        "naive_chunk_gated_delta_rule",
        "GatedDelta",
        equation="S_n = a_n (I - b_n k_n k_n^T) S_{n-1} + b_n k_n v_n^T",
        peer_of="gated_delta",
    ),
    _peer(
        "entmax-sparsemax",
        "entmax, sparsemax on written-out scores",
        equation="out = sparsemax(Q K^T / sqrt(d)) V",
        reach="some",
        peer_of="sparsemax",
        package=("entmax", "entmax"),
        targets=_torch("entmax:attend_by_sparsemax"),
    ),
    _peer(
        "entmax-entmax15",
        "entmax, entmax15 on written-out scores",
        equation="out = entmax_1.5(Q K^T / sqrt(d)) V",
        reach="some",
        peer_of="entmax",
        package=("entmax", "entmax"),
        targets=_torch("entmax:attend_by_entmax15"),
    ),
    _peer(
        "keras-multi-head-attention",
        "keras.layers.MultiHeadAttention",
        exact=True,
        peer_of="softmax",
        **_keras("multi_head_attention:MultiHeadAttention"),
    ),
    _peer(
        "keras-multi-head-attention-flash",
        "keras.layers.MultiHeadAttention(flash_attention=True)",
        memory="n d",
        exact=True,
        peer_of="softmax",
        unsupported={
            "torch": "a layer of Keras's own",
            "keras": "Keras 3.15.1 on a CPU raises on every backend: flash attention is not supported in"
            " TensorFlow (ValueError), not for such inputs in torch, not without cuDNN in JAX (RuntimeError)",
        },
    ),
    _peer(
        "keras-group-query-attention",
        "keras.layers.GroupQueryAttention with 2 key heads",
        peer_of="grouped_query",
        options={"key_heads": 2},
        small={"key_heads": 1},
        **_keras("grouped_query_attention:GroupedQueryAttention"),
    ),
)
