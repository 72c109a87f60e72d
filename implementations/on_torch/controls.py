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

import math
from typing import NamedTuple, Unpack

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from implementations.on_torch.decoding import State
from implementations.on_torch.projected import AttentionLayer, LayerSettings, Memory
from implementations.on_torch.visibility import require_equal_lengths


class ValueMixing(AttentionLayer):
    """A layer of values alone. A subclass gives `mix_values`, and `step` if it decodes.

    Raises NotImplementedError for relative positions and for `qk_norm`, which need queries and keys.
    """

    takes_rotation = False
    crosses = False

    def __init__(self, width: int, heads: int, **settings: Unpack[LayerSettings]) -> None:
        if settings.get("qk_norm", False):
            raise NotImplementedError(f"{type(self).__name__} has no queries and keys to take the norm of")
        super().__init__(width, heads, **settings)
        del self.query, self.key

    def mix_values(
        self,
        value: Float[Tensor, "batch source inner"],
        padding: Bool[Tensor, "batch source"] | None,
        time: int,
    ) -> Float[Tensor, "batch time inner"]:
        """What a control is: the values mixed for each of `time` queries."""
        raise NotImplementedError(f"{type(self).__name__} must define mix_values(value, padding, time)")

    def mix(
        self,
        query: Float[Tensor, "batch heads time head_width"],
        key: Float[Tensor, "batch heads source head_width"],
        value: Float[Tensor, "batch heads source head_width"],
        padding: Bool[Tensor, "batch source"] | None,
        *,
        causal: bool,
        bias: Float[Tensor, "1 heads time source"] | None = None,
    ) -> Float[Tensor, "batch heads time head_width"]:
        """The values mixed; queries and keys, which others compute, are not looked at.

        Raises ValueError when asked to be causal otherwise than the layer is.
        """
        if causal != self.causal:
            raise ValueError(f"this layer was built with causal={self.causal}, got causal={causal}")
        return self._split(self.mix_values(value.transpose(1, 2).flatten(2), padding, query.shape[2]))

    def _queries(self, tokens: Tensor, first: int = 0) -> Tensor:
        return tokens

    def _remembered(self, tokens: Tensor, padding: Tensor | None, first: int = 0) -> Memory:
        return tokens, self.value(tokens), padding

    def _attend(self, query: Tensor, memory: Memory, *, causal: bool, first: int = 0) -> Tensor:
        source, value, padding = memory
        if causal or not self.crosses:
            require_equal_lengths(query, source, "causal attention" if causal else type(self).__name__)
        mixed: Tensor = self.output(self.mix_values(value, padding, query.shape[1]))
        return mixed


class NoMixing(ValueMixing):
    """Each token gets its own value; a padded one gets zeros, before the output map."""

    def mix_values(
        self,
        value: Float[Tensor, "batch source inner"],
        padding: Bool[Tensor, "batch source"] | None,
        time: int,
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
        """``forward(tokens)`` and nothing."""
        return self(tokens), self.initial_state(tokens.shape[0])

    def step(
        self, token: Float[Tensor, "batch 1 width"], state: State
    ) -> tuple[Float[Tensor, "batch 1 width"], State]:
        """The next token's own answer."""
        return self(token), state


class RunningSum(NamedTuple):
    """The values so far: their sum ``[batch, inner]`` and how many they are."""

    total: Tensor
    tokens: int


class UniformMixing(ValueMixing):
    """The mean of all visible values; zeros for a query that sees no key."""

    crosses = True

    def mix_values(
        self,
        value: Float[Tensor, "batch source inner"],
        padding: Bool[Tensor, "batch source"] | None,
        time: int,
    ) -> Float[Tensor, "batch time inner"]:
        """The running mean when causal, otherwise one mean for every query."""
        real = value.new_ones(1, value.shape[1], 1) if padding is None else padding[..., None]
        kept = _real(value, padding)
        # Long sums need more digits than half precision has, and counts more than it can tell apart.
        exact = torch.promote_types(value.dtype, torch.float32)
        if self.causal:
            total, count = kept.cumsum(dim=1, dtype=exact), real.cumsum(dim=1, dtype=exact)
        else:
            total = kept.sum(dim=1, keepdim=True, dtype=exact)
            count = real.sum(dim=1, keepdim=True, dtype=exact)
        mean = (total / count.clamp(min=1.0)).to(value.dtype)
        return mean if self.causal else mean.expand(-1, time, -1)

    def initial_state(self, batch: int) -> RunningSum:
        """No values. Raises NotImplementedError for a layer that is not causal."""
        self._require_causal()
        exact = torch.promote_types(self.value.weight.dtype, torch.float32)
        return RunningSum(self.value.weight.new_zeros(batch, self.value.out_features, dtype=exact), 0)

    def prefill(
        self, tokens: Float[Tensor, "batch time width"]
    ) -> tuple[Float[Tensor, "batch time width"], RunningSum]:
        """``forward(tokens)`` and the sum of their values."""
        value, none = self.value(tokens), self.initial_state(tokens.shape[0])
        state = RunningSum(value.sum(dim=1, dtype=none.total.dtype), tokens.shape[1])
        return self.output(self.mix_values(value, None, tokens.shape[1])), state

    def step(
        self, token: Float[Tensor, "batch 1 width"], state: RunningSum
    ) -> tuple[Float[Tensor, "batch 1 width"], RunningSum]:
        """The answer for the next token, and the sum with its value."""
        value = self.value(token)
        state = RunningSum(state.total + value[:, 0], state.tokens + 1)
        return self.output((state.total / state.tokens).to(value.dtype)[:, None]), state


class ConvolutionMixing(ValueMixing):
    """A weighted sum of `kernel` neighbouring values, with learned `taps [kernel, inner]` for each channel.

    When causal these are the token and those before it, otherwise ``kernel // 2`` before it and the rest
    after it. Taps start uniform between -1 / sqrt(kernel) and 1 / sqrt(kernel). Raises ValueError for a
    `kernel` below 1.
    """

    def __init__(self, width: int, heads: int, *, kernel: int = 4, **settings: Unpack[LayerSettings]) -> None:
        if kernel < 1:
            raise ValueError(f"kernel must be at least 1 token, got {kernel}")
        super().__init__(width, heads, **settings)
        largest = 1 / math.sqrt(kernel)
        self.taps = nn.Parameter(torch.empty(kernel, heads * self.head_width).uniform_(-largest, largest))

    def mix_values(
        self,
        value: Float[Tensor, "batch source inner"],
        padding: Bool[Tensor, "batch source"] | None,
        time: int,
    ) -> Float[Tensor, "batch time inner"]:
        """The last tap is that of the token farthest ahead: of the query itself when causal."""
        kernel = len(self.taps)
        after = 0 if self.causal else (kernel - 1) // 2
        return self._slid(functional.pad(_real(value, padding), (0, 0, kernel - 1 - after, after)))

    def _slid(self, value: Tensor) -> Tensor:
        """``[batch, time + kernel - 1, inner]`` to ``[batch, time, inner]``."""
        time = value.shape[1] - len(self.taps) + 1
        mixed = value[:, :time] * self.taps[0]
        for place in range(1, len(self.taps)):
            mixed = torch.addcmul(mixed, value[:, place : place + time], self.taps[place])
        return mixed

    def initial_state(self, batch: int) -> State:
        """The values of as many tokens as the kernel still reaches: zeros before the first.

        Raises NotImplementedError for a layer that is not causal.
        """
        self._require_causal()
        return (self.taps.new_zeros(batch, len(self.taps) - 1, self.taps.shape[1]),)

    def prefill(
        self, tokens: Float[Tensor, "batch time width"]
    ) -> tuple[Float[Tensor, "batch time width"], State]:
        """``forward(tokens)`` and the values of the last of them."""
        return self._continued(tokens, self.initial_state(tokens.shape[0]))

    def step(
        self, token: Float[Tensor, "batch 1 width"], state: State
    ) -> tuple[Float[Tensor, "batch 1 width"], State]:
        """The answer for the next token, and the last values with its own."""
        return self._continued(token, state)

    def _continued(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        value = torch.cat((state[0], self.value(tokens)), dim=1)
        # A copy: a view would keep the values of all tokens alive.
        return self.output(self._slid(value)), (value[:, tokens.shape[1] :].clone(),)


def _real(value: Tensor, padding: Tensor | None) -> Tensor:
    return value if padding is None else value.masked_fill(~padding[..., None], 0.0)
