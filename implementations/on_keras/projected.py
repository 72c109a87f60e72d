"""The layer around a kernel: projections to heads, positions, the kernel, the projection back.

    out = W_o merge(mix(split(W_q x), split(W_k c), split(W_v c))) + b_o

x are the queries' tokens and c those they attend to; each map has a bias. Kernels are drawn from the
Glorot uniform distribution over the whole map, biases start at zero. `AttentionLayer` is the interface,
the projections and the decoding that most variants share; `ProjectedAttention` holds any kernel, a
user's own included. With `qk_norm` each head's queries and keys are brought to unit mean square and
scaled by learned numbers first (arXiv:2010.04245, in the RMS form of arXiv:2302.05442).
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import keras
from jaxtyping import Bool, Float
from keras import ops

from bench.schema import RELATIVE_POSITIONS
from implementations.on_keras.decoding import KeyValueCache, State, empty_cache
from implementations.on_keras.keras_types import Layer, Shape, Tensor
from implementations.on_keras.layer_interface import head_width_of, require_padding, require_tokens
from implementations.on_keras.relative_positions import Alibi, T5Buckets, rotate

Memory = tuple[Tensor, Tensor, Tensor | None]


@keras.saving.register_keras_serializable(package="attnbench")
class AttentionLayer(Layer):
    """Projections around `mix`, which a subclass gives. The inner width is ``heads * head_width``.

    `key_heads` are fewer than `heads` where several query heads share keys and values. A subclass whose
    `mix` takes a ``bias [1, heads, time, source]`` for the scores says so in `takes_bias`; one whose
    queries and keys may not be turned says so in `takes_rotation`; `own_settings` names the constructor's
    arguments that a subclass adds and keeps under the same names. `max_length` is given to every variant,
    because all are built alike, and needed by few. `keras_settings` are Keras's own (`name`, `dtype`).

    Raises ValueError when `heads` does not divide `width` and no `head_width` is given,
    NotImplementedError for positions that the variant cannot hold.
    """

    takes_bias = False
    takes_rotation = True
    own_settings: tuple[str, ...] = ()

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        causal: bool = False,
        max_length: int | None = None,
        head_width: int | None = None,
        key_heads: int | None = None,
        positions: str = "none",
        qk_norm: bool = False,
        **keras_settings: Any,
    ) -> None:
        super().__init__(**keras_settings)
        self.width = width
        self.heads = heads
        self.causal = causal
        self.max_length = max_length
        self.head_width = head_width_of(width, heads, head_width)
        self.key_heads = heads if key_heads is None else key_heads
        self.positions = positions
        self.qk_norm = qk_norm
        self._require_possible(positions)
        inner, key_inner = heads * self.head_width, self.key_heads * self.head_width
        self.query_map, self.key_map, self.value_map, self.output_map = (
            keras.layers.Dense(units, dtype=self.dtype_policy, name=name)
            for name, units in (("query", inner), ("key", key_inner), ("value", key_inner), ("output", width))
        )
        self.query_norm, self.key_norm = self._norms()
        self.bias = self._bias()

    def _require_possible(self, positions: str) -> None:
        if positions not in ("none", *RELATIVE_POSITIONS):
            raise ValueError(f"positions must be none, {', '.join(RELATIVE_POSITIONS)}, got {positions!r}")
        possible = self.takes_rotation if positions == "rotary" else self.takes_bias or positions == "none"
        if not possible:
            missing = (
                "queries and keys that may be turned" if positions == "rotary" else "scores to add a bias to"
            )
            raise NotImplementedError(
                f"{type(self).__name__} has no {missing}: it takes no {positions} positions"
            )

    def _norms(self) -> tuple[Any, Any]:
        if not self.qk_norm:
            return None, None
        query, key = (
            keras.layers.RMSNormalization(epsilon=1e-6, dtype=self.dtype_policy, name=name)
            for name in ("query_norm", "key_norm")
        )
        return query, key

    def _bias(self) -> Alibi | T5Buckets | None:
        if self.positions == "alibi":
            return Alibi(self.heads, dtype=self.dtype_policy, name="bias")
        if self.positions == "t5":
            return T5Buckets(self.heads, causal=self.causal, dtype=self.dtype_policy, name="bias")
        return None

    def build(self, query_shape: Shape) -> None:
        """Make the weights; `query_shape` is ``(batch, time, width)``, and a context has the same width."""
        for linear in (self.query_map, self.key_map, self.value_map):
            linear.build(query_shape)
        self.output_map.build((*query_shape[:-1], self.heads * self.head_width))
        for norm in (self.query_norm, self.key_norm):
            if norm is not None:
                norm.build((None, None, None, self.head_width))
        if isinstance(self.bias, T5Buckets):
            self.bias.build(())

    def mix(
        self,
        query: Float[Tensor, "batch heads time head_width"],
        key: Float[Tensor, "batch key_heads source head_width"],
        value: Float[Tensor, "batch key_heads source head_width"],
        padding: Bool[Tensor, "batch source"] | None,
        *,
        causal: bool,
        bias: Float[Tensor, "1 heads time source"] | None = None,
    ) -> Float[Tensor, "batch heads time head_width"]:
        """What a variant is: the values mixed for each query."""
        raise NotImplementedError(f"{type(self).__name__} must define mix(query, key, value, padding, …)")

    def call(
        self,
        query: Float[Tensor, "batch time width"],
        context: Float[Tensor, "batch source width"] | None = None,
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """Attend from `query` to `context` (None: to itself); `padding` is True where a real token stands.

        Raises ValueError for tokens of another width and for a padding that does not fit the source.
        """
        source = query if context is None else context
        require_tokens("query", query, self.width)
        return self._attend(self._queries(query), self.remember(source, padding), causal=self.causal)

    def remember(
        self,
        context: Float[Tensor, "batch source width"],
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Memory:
        """The context's keys and values, to be attended to more than once through `recall`."""
        require_tokens("context", context, self.width)
        if padding is not None:
            require_padding(padding, context)
        return self._remembered(context, padding)

    def recall(
        self, query: Float[Tensor, "batch time width"], memory: Memory, first: int | Tensor = 0
    ) -> Float[Tensor, "batch time width"]:
        """``call(query, context, padding)`` for a remembered context; the first query stands at `first`."""
        return self._attend(self._queries(query, first), memory, causal=False, first=first)

    def initial_state(self, batch: int) -> State:
        """What decoding starts from. Raises NotImplementedError for a layer that is not causal."""
        self._require_causal()
        return empty_cache(self.compute_dtype, batch, self.key_heads, self.head_width, self.head_width)

    def prefill(
        self, tokens: Float[Tensor, "batch time width"]
    ) -> tuple[Float[Tensor, "batch time width"], State]:
        """``call(tokens)`` and the state after the last of them, at once."""
        state: KeyValueCache = self.initial_state(int(tokens.shape[0]))
        key, value, _ = memory = self._remembered(tokens, None)
        return self._attend(self._queries(tokens), memory, causal=True), state.extended(key, value)

    def step(
        self, token: Float[Tensor, "batch 1 width"], state: State
    ) -> tuple[Float[Tensor, "batch 1 width"], State]:
        """The answer for the next token, and the state after it."""
        first = state.length
        key, value, _ = self._remembered(token, None, first)
        state = state.extended(key, value)
        answer = self._attend(self._queries(token, first), (*state.filled(), None), causal=False, first=first)
        return answer, state

    def _require_causal(self) -> None:
        if not self.causal:
            raise NotImplementedError(
                f"{type(self).__name__} decodes token by token only when it is causal: "
                "build it with causal=True"
            )

    def _queries(self, tokens: Tensor, first: int | Tensor = 0) -> Tensor:
        query = self._split(self.query_map(tokens))
        if self.query_norm is not None:
            query = self.query_norm(query)
        return rotate(query, first) if self.positions == "rotary" else query

    def _remembered(self, tokens: Tensor, padding: Tensor | None, first: int | Tensor = 0) -> Memory:
        key = self._split(self.key_map(tokens))
        if self.key_norm is not None:
            key = self.key_norm(key)
        key = rotate(key, first) if self.positions == "rotary" else key
        return key, self._split(self.value_map(tokens)), padding

    def _attend(self, query: Tensor, memory: Memory, *, causal: bool, first: int | Tensor = 0) -> Tensor:
        key, value, padding = memory
        if self.bias is None:
            return self._merge(self.mix(query, key, value, padding, causal=causal))
        queries, keys = ops.arange(ops.shape(query)[2]) + first, ops.arange(ops.shape(key)[2])
        bias = ops.cast(self.bias(queries, keys), query.dtype)
        return self._merge(self.mix(query, key, value, padding, causal=causal, bias=bias))

    def _split(
        self, tokens: Float[Tensor, "batch time inner"]
    ) -> Float[Tensor, "batch heads time head_width"]:
        batch, time, inner = ops.shape(tokens)
        heads = inner // self.head_width
        return ops.swapaxes(ops.reshape(tokens, (batch, time, heads, self.head_width)), 1, 2)

    def _merge(
        self, mixed: Float[Tensor, "batch heads time head_width"]
    ) -> Float[Tensor, "batch time width"]:
        batch, _, time, _ = ops.shape(mixed)
        joined = ops.reshape(ops.swapaxes(mixed, 1, 2), (batch, time, self.heads * self.head_width))
        return self.output_map(joined)

    def exported(self) -> dict[str, Any]:
        """What weights travel by (Keras keeps `output` for itself): maps, norms, and a subclass's own."""
        maps = {
            "query": self.query_map,
            "key": self.key_map,
            "value": self.value_map,
            "output": self.output_map,
            "query_norm": self.query_norm,
            "key_norm": self.key_norm,
            "bias": self.bias,
        }
        return {name: part for name, part in maps.items() if part is not None}

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("width", "heads", "causal", "max_length", "head_width", "positions", "qk_norm")
        own = {name: getattr(self, name) for name in (*names, *self.own_settings)}
        return super().get_config() | own


@keras.saving.register_keras_serializable(package="attnbench")
class ProjectedAttention(AttentionLayer):
    """A kernel as a layer.

    `kernel` is ``attend(query, key, value, *, causal, padding, **options)`` on tensors of shape
    ``[batch, heads, time, head_width]``; `options` go to it at every call. It takes ALiBi and T5 positions
    if it has an argument ``bias``. A kernel of a user's own must be registered with Keras
    (`keras.saving.register_keras_serializable`) before a saved layer can be loaded again. Decoding hands
    the kernel one query with all keys so far, `causal` being False: right for every kernel whose rows
    depend on nothing but their query and the keys they see; others need a class with a `step` of its own.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        kernel: Callable[..., Tensor],
        options: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self.takes_bias = "bias" in inspect.signature(kernel).parameters
        super().__init__(width, heads, **settings)
        self.kernel = kernel
        self.options = dict(options or {})

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
        """The kernel's answer."""
        biased = {} if bias is None else {"bias": bias}
        return self.kernel(query, key, value, causal=causal, padding=padding, **biased, **self.options)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, the kernel by its registered name."""
        own = {"kernel": keras.saving.serialize_keras_object(self.kernel), "options": dict(self.options)}
        return super().get_config() | own

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ProjectedAttention":
        """The layer again, without its weights."""
        kernel = keras.saving.deserialize_keras_object(config["kernel"])
        return cls(**(config | {"kernel": kernel}))
