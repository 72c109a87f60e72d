"""Multi-head latent attention: keys and values of all heads come from one narrow latent for each token.

    c_j = RMSNorm(W_down h_j),   k_j^h = W_K^h c_j,   v_j^h = W_V^h c_j,   r_j = RoPE(W_R h_j) for all heads
    [q_i^h, t_i^h] = W_Q^h x_i, t turned by RoPE;   x_i = h_i, or RMSNorm(W_C h_i) with a query_rank
    out_i^h = sum over j of softmax_j((q_i^h . k_j^h + t_i^h . r_j) / sqrt(d + rope_width)) v_j^h

Time n^2 (d + rope_width) H; decoding keeps rank + rope_width numbers a token, whatever the number of heads.
Paper: DeepSeek-AI 2024, DeepSeek-V2, arXiv:2405.04434, sections 2.1.2 and 2.1.3 and appendix C.

A decoding step never builds keys or values: W_K is folded into the query and W_V into the output, since
q . W_K c = (W_K^T q) . c and sum_j p_j W_V c_j = W_V sum_j p_j c_j. Prefill and training build them once and
hand them to the fused kernel, rotary channels appended; values are filled up with zeros, as it needs them
as wide as keys.

Departures: the norms of the latents are those of the released model, which the paper only mentions
(section 3.1.2); query and output maps have biases as all layers here, the maps of the latent have none. A
context's tokens stand at 0, 1, …, as the queries do: both are taken to lie along one axis of time.
"""

import math
from typing import Unpack

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from implementations.on_torch import sdpa
from implementations.on_torch.decoding import KeyValueCache, State, empty_cache
from implementations.on_torch.dense import Dense
from implementations.on_torch.projected import AttentionLayer, LayerSettings, Memory
from implementations.on_torch.relative_positions import rotate


class Latent(AttentionLayer):
    """Attention over latents of `rank` channels and shared rotary keys of `rope_width` channels.

    A `query_rank` above 0 compresses the queries' tokens to as many channels first. The cache holds the
    latents in place of keys and the rotary keys in place of values, as one head.

    Raises ValueError for a rank below 1, a negative query rank and a rotary width that is odd or below 2;
    NotImplementedError for `qk_norm`, which would forbid folding, and for relative positions, since it has
    its own.
    """

    takes_rotation = False  # its own rotary channels carry the positions

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        rank: int = 128,
        rope_width: int = 32,
        query_rank: int = 0,
        **settings: Unpack[LayerSettings],
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
        if query_rank:
            self.query_down = Dense(width, query_rank, bias=False)
            self.query_latent_norm = nn.RMSNorm(query_rank, eps=1e-6)
        self.query = Dense(query_rank or width, inner + heads * rope_width)
        self.down = Dense(width, rank, bias=False)
        self.latent_norm = nn.RMSNorm(rank, eps=1e-6)
        self.rotary_key = Dense(width, rope_width, bias=False)
        self.key = Dense(rank, inner, bias=False)
        self.value = Dense(rank, inner, bias=False)

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
        filled = functional.pad(value, (0, self.rope_width))
        return sdpa.attend(query, key, filled, causal=causal, padding=padding)[..., : self.head_width]

    def initial_state(self, batch: int) -> State:
        """No latents and no rotary keys yet. Raises NotImplementedError for a layer that is not causal."""
        self._require_causal()
        return empty_cache(self.key.weight, batch, 1, self.rank, self.rope_width)

    def prefill(
        self, tokens: Float[Tensor, "batch time width"]
    ) -> tuple[Float[Tensor, "batch time width"], State]:
        """``forward(tokens)`` and the state after the last of them, at once."""
        state: KeyValueCache = self.initial_state(tokens.shape[0])
        latent, rotary = self._latents(tokens)
        memory = self._built(latent, rotary, None)
        return self._attend(self._queries(tokens), memory, causal=True), state.extended(latent, rotary)

    def step(
        self, token: Float[Tensor, "batch 1 width"], state: State
    ) -> tuple[Float[Tensor, "batch 1 width"], State]:
        """The answer for the next token, and the state after it; the state that came in is used up."""
        first = state.length
        state = state.extended(*self._latents(token, first))
        return self._join(self._folded(self._queries(token, first), *state.filled())), state

    def _folded(
        self,
        query: Float[Tensor, "batch heads 1 joint_width"],
        latent: Float[Tensor, "batch 1 source rank"],
        rotary: Float[Tensor, "batch 1 source rope_width"],
    ) -> Float[Tensor, "batch heads 1 head_width"]:
        """What `mix` answers, with the maps of keys and values folded into query and output."""
        up_key, up_value = (
            one.weight.view(self.heads, self.head_width, self.rank) for one in (self.key, self.value)
        )
        plain, turned = query[..., : self.head_width], query[..., self.head_width :]
        # Heads stand in for a sequence of queries over the one head of latents.
        plain, turned = (part.transpose(1, 2) for part in (plain @ up_key, turned))
        scores = plain @ latent.transpose(-2, -1) + turned @ rotary.transpose(-2, -1)
        weights = torch.softmax(scores / math.sqrt(query.shape[-1]), dim=-1)
        return (weights @ latent).transpose(1, 2) @ up_value.transpose(-2, -1)

    def _queries(self, tokens: Tensor, first: int = 0) -> Tensor:
        if self.query_rank:
            tokens = self.query_latent_norm(self.query_down(tokens))
        joint = self.query(tokens).unflatten(-1, (self.heads, self.head_width + self.rope_width))
        joint = joint.transpose(1, 2)
        turned = rotate(joint[..., self.head_width :], first)
        return torch.cat((joint[..., : self.head_width], turned), dim=-1)

    def _remembered(self, tokens: Tensor, padding: Tensor | None, first: int = 0) -> Memory:
        return self._built(*self._latents(tokens, first), padding)

    def _latents(self, tokens: Tensor, first: int = 0) -> tuple[Tensor, Tensor]:
        """Latents and turned rotary keys, each of one head."""
        latent = self.latent_norm(self.down(tokens))
        return latent[:, None], rotate(self.rotary_key(tokens), first)[:, None]

    def _built(self, latent: Tensor, rotary: Tensor, padding: Tensor | None) -> Memory:
        """Keys with the shared rotary channels at their end, values, and the padding."""
        key, value = (self._split(up(latent[:, 0])) for up in (self.key, self.value))
        shared = rotary.expand(-1, self.heads, -1, -1)
        return torch.cat((key, shared), dim=-1), value, padding
