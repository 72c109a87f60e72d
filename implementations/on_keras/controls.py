"""Controls: what an attention variant must beat to have done anything.

    none:        out_i = v_i
    uniform:     out_i = mean of the values that token i sees
    convolution: out_i = sum over t of taps_t v_(i - t + a),   a = 0 if causal, else floor((kernel - 1) / 2)

Time n d (convolution: n d kernel), memory n d. Papers in which they stand in for attention: Yu and others
2022, arXiv:2210.13452 (IdentityFormer); Zhang and others 2018, arXiv:1805.00631, equation 1 without its
gate; Wu and others 2019, arXiv:1901.10430, section 2, with taps for each channel that are not normalised.

None of them asks or answers: there are no maps of queries and keys, so that a layer of width w has
2 w^2 + 2 w parameters (for heads that fill the width), the convolution kernel * w more, where softmax
attention has 4 w^2 + 4 w.
"""

from typing import Any, NamedTuple

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.decoding import State
from implementations.on_keras.keras_types import Shape, Tensor
from implementations.on_keras.layer_interface import require_equal_lengths
from implementations.on_keras.precision import at_least_float32
from implementations.on_keras.projected import AttentionLayer, Memory


class ValueMixing(AttentionLayer):
    """A layer of values alone. A subclass gives `mix_values`, and `step` if it decodes.

    Raises NotImplementedError for relative positions and for `qk_norm`, which need queries and keys.
    """

    takes_rotation = False
    crosses = False

    def __init__(self, width: int, heads: int, **settings: Any) -> None:
        if settings.get("qk_norm", False):
            raise NotImplementedError(f"{type(self).__name__} has no queries and keys to take the norm of")
        super().__init__(width, heads, **settings)
        del self.query_map, self.key_map

    def build(self, query_shape: Shape) -> None:
        """Make the weights; `query_shape` is ``(batch, time, width)``."""
        self.value_map.build(query_shape)
        self.output_map.build((*query_shape[:-1], self.heads * self.head_width))

    def mix_values(
        self,
        value: Float[Tensor, "batch source inner"],
        padding: Bool[Tensor, "batch source"] | None,
        time: int | Tensor,
    ) -> Float[Tensor, "batch time inner"]:
        """What a control is: the values mixed for each of `time` queries."""
        raise NotImplementedError(f"{type(self).__name__} must define mix_values(value, padding, time)")

    def _queries(self, tokens: Tensor, first: int | Tensor = 0) -> Tensor:
        return tokens

    def _remembered(self, tokens: Tensor, padding: Tensor | None, first: int | Tensor = 0) -> Memory:
        return tokens, self.value_map(tokens), padding

    def _attend(self, query: Tensor, memory: Memory, *, causal: bool, first: int | Tensor = 0) -> Tensor:
        source, value, padding = memory
        length, keys = query.shape[1], source.shape[1]
        if causal:
            require_equal_lengths(length, keys)
        elif not self.crosses and None not in (length, keys) and length != keys:
            raise ValueError(
                f"{type(self).__name__} needs as many keys as queries, got {length} queries and {keys} keys"
            )
        return self.output_map(self.mix_values(value, padding, ops.shape(query)[1]))

    def exported(self) -> dict[str, Any]:
        """What weights travel by: the two maps."""
        return {"value": self.value_map, "output": self.output_map}


@keras.saving.register_keras_serializable(package="attnbench")
class NoMixing(ValueMixing):
    """Each token gets its own value; a padded one gets zeros, before the output map."""

    def mix_values(
        self,
        value: Float[Tensor, "batch source inner"],
        padding: Bool[Tensor, "batch source"] | None,
        time: int | Tensor,
    ) -> Float[Tensor, "batch time inner"]:
        """The values."""
        return _real(value, padding)

    def initial_state(self, batch: int) -> State:
        """Nothing. Raises NotImplementedError for a layer that is not causal."""
        self._require_causal()
        return ()

    def prefill(
        self, tokens: Float[Tensor, "batch time width"]
    ) -> tuple[Float[Tensor, "batch time width"], State]:
        """``call(tokens)`` and nothing."""
        return self(tokens), self.initial_state(int(tokens.shape[0]))

    def step(
        self, token: Float[Tensor, "batch 1 width"], state: State
    ) -> tuple[Float[Tensor, "batch 1 width"], State]:
        """The next token's own answer."""
        return self(token), state


class RunningSum(NamedTuple):
    """The values so far: their sum ``[batch, inner]`` and how many they are."""

    total: Tensor
    tokens: int


@keras.saving.register_keras_serializable(package="attnbench")
class UniformMixing(ValueMixing):
    """The mean of all visible values; zeros for a query that sees no key."""

    crosses = True

    def mix_values(
        self,
        value: Float[Tensor, "batch source inner"],
        padding: Bool[Tensor, "batch source"] | None,
        time: int | Tensor,
    ) -> Float[Tensor, "batch time inner"]:
        """The running mean when causal, otherwise one mean for every query."""
        # Long sums need more digits than half precision has, and counts more than it can tell apart.
        kept = ops.cast(_real(value, padding), at_least_float32(value.dtype))
        real = ops.ones_like(kept[:1, :, :1]) if padding is None else ops.cast(padding, kept.dtype)[..., None]
        if self.causal:
            total, count = ops.cumsum(kept, axis=1), ops.cumsum(real, axis=1)
        else:
            total, count = ops.sum(kept, axis=1, keepdims=True), ops.sum(real, axis=1, keepdims=True)
        mean = ops.cast(total / ops.maximum(count, 1), value.dtype)
        return mean if self.causal else ops.repeat(mean, time, axis=1)

    def initial_state(self, batch: int) -> RunningSum:
        """No values. Raises NotImplementedError for a layer that is not causal."""
        self._require_causal()
        shape = (batch, self.heads * self.head_width)
        return RunningSum(ops.zeros(shape, dtype=at_least_float32(self.compute_dtype)), 0)

    def prefill(
        self, tokens: Float[Tensor, "batch time width"]
    ) -> tuple[Float[Tensor, "batch time width"], RunningSum]:
        """``call(tokens)`` and the sum of their values."""
        value, length = self.value_map(tokens), int(tokens.shape[1])
        self._require_causal()
        state = RunningSum(ops.sum(ops.cast(value, at_least_float32(value.dtype)), axis=1), length)
        return self.output_map(self.mix_values(value, None, length)), state

    def step(
        self, token: Float[Tensor, "batch 1 width"], state: RunningSum
    ) -> tuple[Float[Tensor, "batch 1 width"], RunningSum]:
        """The answer for the next token, and the sum with its value."""
        value = self.value_map(token)
        state = RunningSum(state.total + ops.cast(value[:, 0], state.total.dtype), state.tokens + 1)
        return self.output_map(ops.cast(state.total / state.tokens, value.dtype)[:, None]), state


@keras.saving.register_keras_serializable(package="attnbench")
class ConvolutionMixing(ValueMixing):
    """A weighted sum of `kernel` neighbouring values, with learned `taps [kernel, inner]` for each channel.

    When causal these are the token and those before it, otherwise ``kernel // 2`` before it and the rest
    after it. Taps start uniform between -1 / sqrt(kernel) and 1 / sqrt(kernel). Raises ValueError for a
    `kernel` below 1.
    """

    own_settings = ("kernel",)

    def __init__(self, width: int, heads: int, *, kernel: int = 4, **settings: Any) -> None:
        if kernel < 1:
            raise ValueError(f"kernel must be at least 1 token, got {kernel}")
        super().__init__(width, heads, **settings)
        self.kernel = kernel

    def build(self, query_shape: Shape) -> None:
        """Make the weights; `query_shape` is ``(batch, time, width)``."""
        super().build(query_shape)
        largest = self.kernel**-0.5
        self.taps = self.add_weight(
            shape=(self.kernel, self.heads * self.head_width),
            initializer=keras.initializers.RandomUniform(-largest, largest),
            name="taps",
        )

    def mix_values(
        self,
        value: Float[Tensor, "batch source inner"],
        padding: Bool[Tensor, "batch source"] | None,
        time: int | Tensor,
    ) -> Float[Tensor, "batch time inner"]:
        """The last tap is that of the token farthest ahead: of the query itself when causal."""
        after = 0 if self.causal else (self.kernel - 1) // 2
        margins = ((0, 0), (self.kernel - 1 - after, after), (0, 0))
        return self._slid(ops.pad(_real(value, padding), margins), time)

    def _slid(self, value: Tensor, time: int | Tensor) -> Tensor:
        """``[batch, time + kernel - 1, inner]`` to ``[batch, time, inner]``."""
        taps = ops.cast(self.taps, value.dtype)
        mixed = value[:, :time] * taps[0]
        for place in range(1, self.kernel):
            mixed = mixed + value[:, place : place + time] * taps[place]
        return mixed

    def initial_state(self, batch: int) -> State:
        """The values of as many tokens as the kernel still reaches: zeros before the first.

        Raises NotImplementedError for a layer that is not causal.
        """
        self._require_causal()
        return (ops.zeros((batch, self.kernel - 1, self.heads * self.head_width), dtype=self.compute_dtype),)

    def prefill(
        self, tokens: Float[Tensor, "batch time width"]
    ) -> tuple[Float[Tensor, "batch time width"], State]:
        """``call(tokens)`` and the values of the last of them."""
        return self._continued(tokens, self.initial_state(int(tokens.shape[0])))

    def step(
        self, token: Float[Tensor, "batch 1 width"], state: State
    ) -> tuple[Float[Tensor, "batch 1 width"], State]:
        """The answer for the next token, and the last values with its own."""
        return self._continued(token, state)

    def _continued(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        value, time = ops.concatenate([state[0], self.value_map(tokens)], axis=1), int(tokens.shape[1])
        # A copy on backends with views: a view would keep the values of all tokens alive.
        return self.output_map(self._slid(value, time)), (ops.copy(value[:, time:]),)

    def exported(self) -> dict[str, Any]:
        """What weights travel by."""
        return super().exported() | {"taps": self.taps}


def _real(value: Tensor, padding: Tensor | None) -> Tensor:
    return value if padding is None else ops.where(padding[..., None], value, ops.zeros_like(value))
