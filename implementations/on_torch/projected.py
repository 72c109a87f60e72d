"""The layer around a kernel: projections to heads, positions, the kernel, the projection back.

    out = concat(heads of mix(query Wq + bq, source Wk + bk, source Wv + bv)) Wo + bo

`AttentionLayer` is the interface, the projections and the decoding that most variants share;
`ProjectedAttention` holds any kernel, a user's own included. Paper: Vaswani and others 2017,
arXiv:1706.03762, section 3.2.2, with biases as Keras has. With `qk_norm` each head's queries and keys
are brought to unit mean square and scaled by learned numbers first (Henry and others 2020,
arXiv:2010.04245, in the RMS form of arXiv:2302.05442).
"""

import inspect
from collections.abc import Callable
from typing import TypeAlias, TypedDict, Unpack

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from bench.schema import RELATIVE_POSITIONS, Options
from implementations.on_torch.decoding import KeyValueCache, State, empty_cache
from implementations.on_torch.dense import Dense
from implementations.on_torch.relative_positions import Alibi, T5Buckets, rotate

Kernel: TypeAlias = Callable[..., Tensor]
"""``attend(query, key, value, *, causal, padding, **options)`` on ``[batch, heads, time, head_width]``."""

Memory: TypeAlias = tuple[Tensor, Tensor, Tensor | None]
"""A context ready to be attended to: its keys, its values and its padding."""


class LayerSettings(TypedDict, total=False):
    """What every attention layer takes beside its width, its heads and its variant's own options.

    `max_length` is given to all, because every variant is built alike; few need it. `positions` is
    "none", "rotary", "alibi" or "t5".
    """

    causal: bool
    max_length: int | None
    head_width: int | None
    positions: str
    qk_norm: bool


class AttentionLayer(nn.Module):
    """Projections around `mix`, which a subclass gives. The inner width is ``heads * head_width``.

    `key_heads` are fewer than `heads` where several query heads share keys and values. A subclass whose
    `mix` takes a ``bias [1, heads, time, source]`` for the scores says so in `takes_bias`; one whose
    queries and keys may not be turned says so in `takes_rotation`.

    Raises ValueError when heads do not divide the width and no `head_width` is given, NotImplementedError
    for positions that the variant cannot hold.
    """

    takes_bias = False
    takes_rotation = True

    def __init__(
        self, width: int, heads: int, *, key_heads: int | None = None, **settings: Unpack[LayerSettings]
    ) -> None:
        super().__init__()
        head_width = settings.get("head_width")
        if head_width is None and width % heads:
            raise ValueError(
                f"heads must divide width, got width {width} and heads {heads}; or give head_width"
            )
        self.width = width
        self.heads = heads
        self.key_heads = heads if key_heads is None else key_heads
        self.head_width = width // heads if head_width is None else head_width
        self.causal = settings.get("causal", False)
        inner, key_inner = heads * self.head_width, self.key_heads * self.head_width
        self.query = Dense(width, inner)
        self.key = Dense(width, key_inner)
        self.value = Dense(width, key_inner)
        self.output = Dense(inner, width)
        self.query_norm, self.key_norm = self._norms(settings.get("qk_norm", False))
        self.rotary, self.bias = self._positions(settings.get("positions", "none"))

    def _norms(self, wanted: bool) -> tuple[nn.RMSNorm | None, nn.RMSNorm | None]:
        if not wanted:
            return None, None
        return nn.RMSNorm(self.head_width, eps=1e-6), nn.RMSNorm(self.head_width, eps=1e-6)

    def _positions(self, name: str) -> tuple[bool, Alibi | T5Buckets | None]:
        if name not in ("none", *RELATIVE_POSITIONS):
            raise ValueError(f"positions must be none, {', '.join(RELATIVE_POSITIONS)}, got {name!r}")
        possible = self.takes_rotation if name == "rotary" else self.takes_bias or name == "none"
        if not possible:
            missing = "queries and keys that may be turned" if name == "rotary" else "scores to add a bias to"
            raise NotImplementedError(f"{type(self).__name__} has no {missing}: it takes no {name} positions")
        if name == "alibi":
            return False, Alibi(self.heads)
        return name == "rotary", T5Buckets(self.heads, causal=self.causal) if name == "t5" else None

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

    def forward(
        self,
        query: Float[Tensor, "batch time width"],
        context: Float[Tensor, "batch source width"] | None = None,
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """`query` attends to `context`, or to itself; `padding` is True where a real source token stands.

        Raises ValueError for tokens of another width and for a padding that does not fit the source.
        """
        source = query if context is None else context
        self._check(query, source, padding)
        return self._attend(self._queries(query), self._remembered(source, padding), causal=self.causal)

    def remember(
        self,
        context: Float[Tensor, "batch source width"],
        padding: Bool[Tensor, "batch source"] | None = None,
    ) -> Memory:
        """The context's keys and values, to be attended to more than once through `recall`."""
        self._check(context, context, padding)
        return self._remembered(context, padding)

    def recall(
        self, query: Float[Tensor, "batch time width"], memory: Memory, first: int = 0
    ) -> Float[Tensor, "batch time width"]:
        """``forward(query, context, padding)`` for a remembered context; the queries begin at `first`."""
        return self._attend(self._queries(query, first), memory, causal=False, first=first)

    def initial_state(self, batch: int) -> State:
        """What decoding starts from. Raises NotImplementedError for a layer that is not causal."""
        self._require_causal()
        return empty_cache(self.key.weight, batch, self.key_heads, self.head_width, self.head_width)

    def prefill(
        self, tokens: Float[Tensor, "batch time width"]
    ) -> tuple[Float[Tensor, "batch time width"], State]:
        """``forward(tokens)`` and the state after the last of them, at once."""
        state: KeyValueCache = self.initial_state(tokens.shape[0])
        key, value, _ = memory = self._remembered(tokens, None)
        return self._attend(self._queries(tokens), memory, causal=True), state.extended(key, value)

    def step(
        self, token: Float[Tensor, "batch 1 width"], state: State
    ) -> tuple[Float[Tensor, "batch 1 width"], State]:
        """The answer for the next token, and the state after it; the state that came in is used up."""
        first = state.length
        key, value, _ = self._remembered(token, None, first)
        state = state.extended(key, value)
        return self._attend(
            self._queries(token, first), (*state.filled(), None), causal=False, first=first
        ), state

    def _require_causal(self) -> None:
        if not self.causal:
            raise NotImplementedError(
                f"{type(self).__name__} decodes token by token only when it is causal: "
                "build it with causal=True"
            )

    def _queries(self, tokens: Tensor, first: int = 0) -> Tensor:
        query = self._split(self.query(tokens))
        if self.query_norm is not None:
            query = self.query_norm(query)
        return rotate(query, first) if self.rotary else query

    def _remembered(self, tokens: Tensor, padding: Tensor | None, first: int = 0) -> Memory:
        return self._keys(tokens, first), self._split(self.value(tokens)), padding

    def _keys(self, tokens: Tensor, first: int = 0) -> Tensor:
        key = self._split(self.key(tokens))
        if self.key_norm is not None:
            key = self.key_norm(key)
        return rotate(key, first) if self.rotary else key

    def _attend(self, query: Tensor, memory: Memory, *, causal: bool, first: int = 0) -> Tensor:
        key, value, padding = memory
        if self.bias is None:
            return self._join(self.mix(query, key, value, padding, causal=causal))
        queries = torch.arange(first, first + query.shape[2], device=query.device)
        keys = torch.arange(key.shape[2], device=query.device)
        bias = self.bias(queries, keys).to(query.dtype)
        return self._join(self.mix(query, key, value, padding, causal=causal, bias=bias))

    def _split(self, tokens: Tensor) -> Tensor:
        batch, length, inner = tokens.shape
        return tokens.view(batch, length, inner // self.head_width, self.head_width).transpose(1, 2)

    def _join(self, heads: Tensor) -> Tensor:
        joined: Tensor = self.output(heads.transpose(1, 2).flatten(2))
        return joined

    def _check(self, query: Tensor, source: Tensor, padding: Tensor | None) -> None:
        for name, tokens in (("query", query), ("context", source)):
            if tokens.dim() != 3 or tokens.shape[-1] != self.width:
                raise ValueError(
                    f"{name} must have shape [batch, length, {self.width}], got {list(tokens.shape)}"
                )
        if padding is not None and (padding.shape != source.shape[:2] or padding.dtype != torch.bool):
            raise ValueError(
                f"padding must be bool of shape [batch, source] = {list(source.shape[:2])}, "
                f"got {padding.dtype} of shape {list(padding.shape)}"
            )


class ProjectedAttention(AttentionLayer):
    """A kernel with the standard projections; `options` go to the kernel with each call, if there are any.

    A kernel takes ALiBi and T5 positions if it has an argument ``bias``. Decoding hands the kernel one
    query with all keys so far, `causal` being False: right for every kernel whose rows depend on nothing
    but their query and the keys they see; others need a class with a `step` of their own.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        kernel: Kernel,
        options: Options | None = None,
        **settings: Unpack[LayerSettings],
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
