"""Multi-head latent attention: keys and values of all heads come from one narrow latent for each token.

    c_j = RMSNorm(W_down h_j),   k_j^h = W_K^h c_j,   v_j^h = W_V^h c_j,   r_j = RoPE(W_R h_j) for all heads
    [q_i^h, t_i^h] = W_Q^h x_i, t turned by RoPE;   x_i = h_i, or RMSNorm(W_C h_i) with a query_rank
    out_i^h = sum over j of softmax_j((q_i^h . k_j^h + t_i^h . r_j) / sqrt(d + rope_width)) v_j^h

Time n^2 (d + rope_width) H; decoding keeps rank + rope_width numbers a token, whatever the number of heads.
Paper: DeepSeek-AI 2024, DeepSeek-V2, arXiv:2405.04434, sections 2.1.2 and 2.1.3 and appendix C.

A decoding step never builds keys or values: W_K is folded into the query and W_V into the output. Prefill
and training build them once and hand them to Keras's own attention, rotary channels appended; values are
filled up with zeros, as fused kernels need them as wide as keys.

Departures, those of the torch twin: the latents are normalised as in the released model; query and output
maps have biases, the maps of the latent none; a context's tokens stand at 0, 1, …, as the queries do.
"""

import math
from typing import Any

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras import sdpa
from implementations.on_keras.decoding import KeyValueCache, State, empty_cache
from implementations.on_keras.keras_types import Shape, Tensor
from implementations.on_keras.projected import AttentionLayer, Memory
from implementations.on_keras.relative_positions import rotate
from implementations.on_keras.visibility import softmax_over_keys


@keras.saving.register_keras_serializable(package="attnbench")
class Latent(AttentionLayer):
    """Attention over latents of `rank` channels and shared rotary keys of `rope_width` channels.

    A `query_rank` above 0 compresses the queries' tokens to as many channels first. The cache holds the
    latents in place of keys and the rotary keys in place of values, as one head.

    Raises ValueError for a rank below 1, a negative query rank and a rotary width that is odd or below 2;
    NotImplementedError for `qk_norm`, which would forbid folding, and for relative positions, since it has
    its own.
    """

    takes_rotation = False  # its own rotary channels carry the positions
    own_settings = ("rank", "rope_width", "query_rank")

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        rank: int = 128,
        rope_width: int = 32,
        query_rank: int = 0,
        **settings: Any,
    ) -> None:
        if rank < 1 or query_rank < 0 or rope_width < 2 or rope_width % 2:
            raise ValueError(
                "latent attention needs a rank of at least 1, a query_rank of at least 0 and an even "
                f"rope_width of at least 2, got {rank}, {query_rank} and {rope_width}"
            )
        if settings.get("qk_norm", False):
            raise NotImplementedError(
                "latent attention has no per-head norm of keys, which are never built in decoding: "
                "its latents are normalised instead; build it without qk_norm"
            )
        super().__init__(width, heads, **settings)
        self.rank, self.rope_width, self.query_rank = rank, rope_width, query_rank
        inner = heads * self.head_width
        del self.query_map, self.key_map, self.value_map  # replaced by maps of other widths
        self.query_map = self._dense("query", inner + heads * rope_width, use_bias=True)
        self.key_map, self.value_map = (self._dense(name, inner) for name in ("key", "value"))
        self.down_map, self.rotary_key_map = self._dense("down", rank), self._dense("rotary_key", rope_width)
        self.latent_norm = self._norm("latent_norm")
        self.query_down_map: Any = self._dense("query_down", query_rank) if query_rank else None
        self.query_latent_norm: Any = self._norm("query_latent_norm") if query_rank else None

    def _dense(self, name: str, units: int, *, use_bias: bool = False) -> Any:
        return keras.layers.Dense(units, use_bias=use_bias, dtype=self.dtype_policy, name=name)

    def _norm(self, name: str) -> Any:
        return keras.layers.RMSNormalization(epsilon=1e-6, dtype=self.dtype_policy, name=name)

    def build(self, query_shape: Shape) -> None:
        """Make the weights; `query_shape` is ``(batch, time, width)``, and a context has the same width."""
        rows = tuple(query_shape[:-1])
        for linear in (self.down_map, self.rotary_key_map):
            linear.build(query_shape)
        for part in (self.latent_norm, self.key_map, self.value_map):
            part.build((*rows, self.rank))
        if self.query_down_map is not None:
            self.query_down_map.build(query_shape)
            self.query_latent_norm.build((*rows, self.query_rank))
        self.query_map.build((*rows, self.query_rank or self.width))
        self.output_map.build((*rows, self.heads * self.head_width))

    def mix(
        self,
        query: Float[Tensor, "batch heads time joint_width"],
        key: Float[Tensor, "batch heads source joint_width"],
        value: Float[Tensor, "batch heads source head_width"],
        padding: Bool[Tensor, "batch source"] | None,
        *,
        causal: bool,
        bias: Float[Tensor, "1 heads time source"] | None = None,
    ) -> Float[Tensor, "batch heads time head_width"]:
        """Softmax attention; the joint width is head_width + rope_width."""
        room = ops.zeros_like(key[..., : self.rope_width])
        filled = ops.concatenate([value, room], axis=-1)
        return sdpa.attend(query, key, filled, causal=causal, padding=padding)[..., : self.head_width]

    def initial_state(self, batch: int) -> State:
        """No latents and no rotary keys yet. Raises NotImplementedError for a layer that is not causal."""
        self._require_causal()
        return empty_cache(self.compute_dtype, batch, 1, self.rank, self.rope_width)

    def prefill(
        self, tokens: Float[Tensor, "batch time width"]
    ) -> tuple[Float[Tensor, "batch time width"], State]:
        """``call(tokens)`` and the state after the last of them, at once."""
        state: KeyValueCache = self.initial_state(int(tokens.shape[0]))
        latent, rotary = self._latents(tokens)
        memory = self._built(latent, rotary, None)
        return self._attend(self._queries(tokens), memory, causal=True), state.extended(latent, rotary)

    def step(
        self, token: Float[Tensor, "batch 1 width"], state: State
    ) -> tuple[Float[Tensor, "batch 1 width"], State]:
        """The answer for the next token, and the state after it."""
        first = state.length
        state = state.extended(*self._latents(token, first))
        return self._merge(self._folded(self._queries(token, first), *state.filled())), state

    def _folded(
        self,
        query: Float[Tensor, "batch heads 1 joint_width"],
        latent: Float[Tensor, "batch 1 source rank"],
        rotary: Float[Tensor, "batch 1 source rope_width"],
    ) -> Float[Tensor, "batch heads 1 head_width"]:
        """What `mix` answers, with the maps of keys and values folded into query and output."""
        up_key, up_value = (
            ops.reshape(ops.cast(one.kernel, query.dtype), (self.rank, self.heads, self.head_width))
            for one in (self.key_map, self.value_map)
        )
        plain, turned = query[..., : self.head_width], query[..., self.head_width :]
        # Heads stand in for a sequence of queries over the one head of latents.
        plain = ops.swapaxes(ops.matmul(plain, ops.transpose(up_key, (1, 2, 0))), 1, 2)
        scores = ops.matmul(plain, ops.swapaxes(latent, -1, -2))
        scores = scores + ops.matmul(ops.swapaxes(turned, 1, 2), ops.swapaxes(rotary, -1, -2))
        weights = softmax_over_keys(scores / math.sqrt(query.shape[-1]))
        mixed = ops.swapaxes(ops.matmul(weights, latent), 1, 2)
        return ops.matmul(mixed, ops.swapaxes(up_value, 0, 1))

    def _queries(self, tokens: Tensor, first: int | Tensor = 0) -> Tensor:
        if self.query_down_map is not None:
            tokens = self.query_latent_norm(self.query_down_map(tokens))
        joint = self.query_map(tokens)
        batch, time, _ = ops.shape(joint)
        shape = (batch, time, self.heads, self.head_width + self.rope_width)
        joint = ops.swapaxes(ops.reshape(joint, shape), 1, 2)
        turned = rotate(joint[..., self.head_width :], first)
        return ops.concatenate([joint[..., : self.head_width], turned], axis=-1)

    def _remembered(self, tokens: Tensor, padding: Tensor | None, first: int | Tensor = 0) -> Memory:
        return self._built(*self._latents(tokens, first), padding)

    def _latents(self, tokens: Tensor, first: int | Tensor = 0) -> tuple[Tensor, Tensor]:
        """Latents and turned rotary keys, each of one head."""
        latent = self.latent_norm(self.down_map(tokens))
        return latent[:, None], rotate(self.rotary_key_map(tokens)[:, None], first)

    def _built(self, latent: Tensor, rotary: Tensor, padding: Tensor | None) -> Memory:
        """Keys with the shared rotary channels at their end, values, and the padding."""
        key, value = (self._split(up(latent[:, 0])) for up in (self.key_map, self.value_map))
        shared = ops.broadcast_to(rotary, (*ops.shape(key)[:3], self.rope_width))
        return ops.concatenate([key, shared], axis=-1), value, padding

    def exported(self) -> dict[str, Any]:
        """What weights travel by."""
        own = {
            "down": self.down_map,
            "latent_norm": self.latent_norm,
            "rotary_key": self.rotary_key_map,
            "query_down": self.query_down_map,
            "query_latent_norm": self.query_latent_norm,
        }
        return super().exported() | {name: part for name, part in own.items() if part is not None}
