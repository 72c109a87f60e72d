"""Gated DeltaNet: a state that fades, and in which a key's old value is replaced by its new one.

    S_t = alpha_t (I - beta_t k_t k_t^T) S_{t-1} + beta_t k_t v_t^T,   mixed_t = S_t^T q_t
    q, k = normalise(swish(W x)) to length 1,   v = swish(W_v x),   beta = sigmoid(W_b x)
    alpha = exp(-exp(r) softplus(W_a x + b_a)), r and b_a for each head
    out = W_o (swish(W_g x) * RMS norm of each head(mixed)) + b_o

Time n d (c + d), memory n (c + d) + n d^2 / c for chunks of c; decoding holds d^2 numbers a head. Paper: Yang
and others 2024, arXiv:2412.06464, equation 10, section 3.4; the chunks are those of `delta_product`.
The paper's block mixes each channel of W x with those of the last few tokens before swish; this short
convolution is an option here, `convolution` tokens long (4 in the authors' code), and off by default: it
would look at neighbours without attending to them, and hide what the rule itself does.

Departures: values as wide as keys; biases in the projections. The start of r and b_a is that of Mamba2
(arXiv:2405.21060): exp(r) uniform in 1 to 16, softplus(b_a) log-uniform in 0.001 to 0.1.
"""

import math
from typing import Unpack

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from implementations.on_torch.chunk_states import at_least_single
from implementations.on_torch.decoding import State
from implementations.on_torch.delta_product import delta_product
from implementations.on_torch.dense import Dense
from implementations.on_torch.projected import LayerSettings
from implementations.on_torch.recurrent_layer import (
    NORM_EPSILON,
    Parts,
    Recent,
    RecurrentLayer,
    RecurrentState,
    hidden,
)
from implementations.on_torch.short_convolution import convolved, fresh_taps

LENGTH_EPSILON = 1e-6
RATES = (1.0, 16.0)
STEPS = (1e-3, 1e-1)


class GatedDelta(RecurrentLayer):
    """Gated delta rule; `convolution` is the length in tokens of the short convolutions, 0 for none.

    Raises NotImplementedError unless it is causal, ValueError for a negative `convolution`.
    """

    def __init__(
        self, width: int, heads: int, *, convolution: int = 0, **settings: Unpack[LayerSettings]
    ) -> None:
        if convolution < 0:
            raise ValueError(f"convolution must be 0 (none) or a number of tokens, got {convolution}")
        super().__init__(width, heads, **settings)
        inner = heads * self.head_width
        self.strength = Dense(width, heads)
        self.decay = Dense(width, heads)
        self.decay_rate = nn.Parameter(torch.empty(heads).uniform_(*RATES).log())
        with torch.no_grad():
            self.decay.bias.copy_(_step_biases(heads))
        self.norm = nn.RMSNorm(self.head_width, eps=NORM_EPSILON)
        self.query_taps, self.key_taps, self.value_taps = (
            fresh_taps(convolution, inner) if convolution else None for _ in range(3)
        )

    def initial_state(self, batch: int) -> State:
        """The sums before the first token and zeros for the tokens before it."""
        state: RecurrentState = super().initial_state(batch)
        return state._replace(
            recent=tuple(
                taps.new_zeros(batch, taps.shape[0] - 1, taps.shape[1])
                for taps in (self.query_taps, self.key_taps, self.value_taps)
                if taps is not None
            )
        )

    def _parts(
        self, query: Tensor, source: Tensor, padding: Tensor | None, state: RecurrentState | None
    ) -> tuple[Parts, Recent]:
        maps = (
            (query, self.query, self.query_taps, self.query_norm),
            (source, self.key, self.key_taps, self.key_norm),
            (source, self.value, self.value_taps, None),
        )
        before = (None, None, None) if state is None or not state.recent else state.recent
        shaped, recent = [], []
        for (tokens, projection, taps, norm), earlier in zip(maps, before, strict=True):
            inner = projection(tokens)
            if taps is not None:
                inner, last = convolved(_real(inner, padding), taps, earlier)
                recent.append(last)
            heads = self._split(functional.silu(inner))
            shaped.append(heads if norm is None else norm(heads))
        working = at_least_single(query.dtype)
        queries, keys, values = (part.to(working) for part in shaped)
        strength, log_decay = (hidden(part, padding) for part in self._gates(source))
        return (of_length_one(queries), of_length_one(keys), values, strength, log_decay), tuple(recent)

    def _gates(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """beta and log alpha, ``[batch, heads, time]``."""
        working = at_least_single(source.dtype)
        strength, decay = (part(source).to(working).transpose(1, 2) for part in (self.strength, self.decay))
        rate = self.decay_rate.to(working).exp()[:, None]
        return strength.sigmoid(), -rate * functional.softplus(decay)

    def _whole(self, parts: Parts) -> tuple[Tensor, Tensor]:
        query, key, value, strength, log_decay = parts
        return delta_product(query, key, value, strength, log_decay)

    def _next(self, parts: Parts, sums: Tensor) -> tuple[Tensor, Tensor]:
        query, key, value, strength, log_decay = parts
        faded = log_decay.exp()[..., None] * sums
        sums = faded + key.transpose(-2, -1) * (strength[..., None] * (value - key @ faded))
        return query @ sums, sums

    def _normed(self, mixed: Tensor) -> Tensor:
        normed: Tensor = self.norm(mixed.to(self.norm.weight.dtype))
        return normed


def of_length_one(
    tokens: Float[Tensor, "batch heads time head_width"],
) -> Float[Tensor, "batch heads time head_width"]:
    """Each query or key divided by its length; zeros stay zeros."""
    return tokens * (tokens.square().sum(dim=-1, keepdim=True) + LENGTH_EPSILON).rsqrt()


def _real(inner: Tensor, padding: Tensor | None) -> Tensor:
    return inner if padding is None else torch.where(padding[..., None], inner, 0.0)


def _step_biases(heads: int) -> Tensor:
    """What softplus turns into the steps that Mamba2 starts with."""
    low, high = (math.log(step) for step in STEPS)
    return torch.empty(heads).uniform_(low, high).exp().expm1().log()
