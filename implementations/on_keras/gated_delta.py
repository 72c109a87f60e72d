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
from typing import Any

import keras
from jaxtyping import Float
from keras import ops

from implementations.on_keras.decoding import State
from implementations.on_keras.delta_product import delta_product
from implementations.on_keras.keras_types import Shape, Tensor, Variable
from implementations.on_keras.precision import at_least_float32
from implementations.on_keras.recurrent_layer import (
    NORM_EPSILON,
    Parts,
    Recent,
    RecurrentLayer,
    RecurrentState,
    hidden,
)
from implementations.on_keras.short_convolution import convolved, fresh_taps

LENGTH_EPSILON = 1e-6
RATES = (1.0, 16.0)
STEPS = (1e-3, 1e-1)


@keras.saving.register_keras_serializable(package="attnbench")
class GatedDelta(RecurrentLayer):
    """Gated delta rule; `convolution` is the length in tokens of the short convolutions, 0 for none.

    Raises NotImplementedError unless it is causal, ValueError for a negative `convolution`.
    """

    own_settings = ("convolution",)

    def __init__(self, width: int, heads: int, *, convolution: int = 0, **settings: Any) -> None:
        if convolution < 0:
            raise ValueError(f"convolution must be 0 (none) or a number of tokens, got {convolution}")
        super().__init__(width, heads, **settings)
        self.convolution = convolution
        policy = self.dtype_policy
        self.strength = keras.layers.Dense(heads, dtype=policy, name="strength")
        self.decay = keras.layers.Dense(heads, bias_initializer=_step_biases, dtype=policy, name="decay")
        self.norm = keras.layers.RMSNormalization(epsilon=NORM_EPSILON, dtype=policy, name="norm")
        self.query_taps: Variable | None = None
        self.key_taps: Variable | None = None
        self.value_taps: Variable | None = None

    def build(self, query_shape: Shape) -> None:
        """Make the weights; `query_shape` is ``(batch, time, width)``."""
        super().build(query_shape)
        self.strength.build(query_shape)
        self.decay.build(query_shape)
        self.norm.build((None, self.heads, None, self.head_width))
        self.decay_rate = self.add_weight(shape=(self.heads,), initializer=_log_rates, name="decay_rate")
        if self.convolution:
            inner = self.heads * self.head_width
            self.query_taps, self.key_taps, self.value_taps = (
                fresh_taps(self, name, self.convolution, inner)
                for name in ("query_taps", "key_taps", "value_taps")
            )

    def initial_state(self, batch: int) -> State:
        """The sums before the first token and zeros for the tokens before it."""
        state: RecurrentState = super().initial_state(batch)
        shape = (batch, self.convolution - 1, self.heads * self.head_width)
        recent = (ops.zeros(shape, dtype=self.compute_dtype) for _ in range(3 if self.convolution else 0))
        return state._replace(recent=tuple(recent))

    def _parts(
        self, query: Tensor, source: Tensor, padding: Tensor | None, state: RecurrentState | None
    ) -> tuple[Parts, Recent]:
        maps = (
            (query, self.query_map, self.query_taps, self.query_norm),
            (source, self.key_map, self.key_taps, self.key_norm),
            (source, self.value_map, self.value_taps, None),
        )
        before = (None, None, None) if state is None or not state.recent else state.recent
        shaped, recent = [], []
        for (tokens, projection, taps, norm), earlier in zip(maps, before, strict=True):
            inner = projection(tokens)
            if taps is not None:
                inner, last = convolved(_real(inner, padding), ops.cast(taps, inner.dtype), earlier)
                recent.append(last)
            heads = self._split(ops.silu(inner))
            shaped.append(heads if norm is None else norm(heads))
        working = at_least_float32(self.compute_dtype)
        queries, keys, values = (ops.cast(part, working) for part in shaped)
        strength, log_decay = (hidden(part, padding) for part in self._gates(source))
        return (of_length_one(queries), of_length_one(keys), values, strength, log_decay), tuple(recent)

    def _gates(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """beta and log alpha, ``[batch, heads, time]``."""
        working = at_least_float32(self.compute_dtype)
        strength, decay = (
            ops.swapaxes(ops.cast(part(source), working), 1, 2) for part in (self.strength, self.decay)
        )
        rate = ops.exp(ops.cast(self.decay_rate, working))[:, None]
        return ops.sigmoid(strength), -rate * ops.softplus(decay)

    def _whole(self, parts: Parts) -> tuple[Tensor, Tensor]:
        query, key, value, strength, log_decay = parts
        return delta_product(query, key, value, strength, log_decay)

    def _next(self, parts: Parts, sums: Tensor) -> tuple[Tensor, Tensor]:
        query, key, value, strength, log_decay = parts
        faded = ops.exp(log_decay)[..., None] * sums
        wrong = value - ops.matmul(key, faded)
        sums = faded + ops.swapaxes(key, -2, -1) * (strength[..., None] * wrong)
        return ops.matmul(query, sums), sums

    def _normed(self, mixed: Tensor) -> Tensor:
        return self.norm(mixed)

    def exported(self) -> dict[str, Any]:
        """What weights travel by."""
        names = ("strength", "decay", "decay_rate", "norm", "query_taps", "key_taps", "value_taps")
        own = {name: getattr(self, name) for name in names}
        return super().exported() | {name: part for name, part in own.items() if part is not None}


def of_length_one(
    tokens: Float[Tensor, "batch heads time head_width"],
) -> Float[Tensor, "batch heads time head_width"]:
    """Each query or key divided by its length; zeros stay zeros."""
    return tokens * ops.rsqrt(ops.sum(ops.square(tokens), axis=-1, keepdims=True) + LENGTH_EPSILON)


def _real(inner: Tensor, padding: Tensor | None) -> Tensor:
    return inner if padding is None else ops.where(padding[..., None], inner, ops.zeros_like(inner))


def _log_rates(shape: tuple[int, ...], dtype: Any = None) -> Tensor:
    return ops.log(keras.random.uniform(shape, *RATES, dtype=dtype))


def _step_biases(shape: tuple[int, ...], dtype: Any = None) -> Tensor:
    """What softplus turns into the steps that Mamba2 starts with."""
    low, high = (math.log(step) for step in STEPS)
    return ops.log(ops.expm1(ops.exp(keras.random.uniform(shape, low, high, dtype=dtype))))
