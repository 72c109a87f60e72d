"""The standard projections around a kernel: what makes a layer of a bare ``attend`` function.

    out = W_o merge(attend(split(W_q x), split(W_k c), split(W_v c))) + b_o

x are the queries' tokens and c those they attend to; each map has a bias. Kernels are drawn from the
Glorot uniform distribution over the whole map, biases start at zero.
"""

from collections.abc import Callable, Mapping
from typing import Any

import keras
from jaxtyping import Bool, Float
from keras import ops

from implementations.on_keras.keras_types import Layer, Shape, Tensor
from implementations.on_keras.layer_interface import head_width_of, require_padding, require_tokens


@keras.saving.register_keras_serializable(package="attnbench")
class ProjectedAttention(Layer):
    """A kernel as a layer.

    `kernel` is ``attend(query, key, value, *, causal, padding, **options)`` on tensors of shape
    ``[batch, heads, time, head_width]``; `options` go to it at every call. A kernel of a user's own must
    be registered with Keras (`keras.saving.register_keras_serializable`) before a saved layer can be
    loaded again.

    Raises ValueError when `heads` does not divide `width` and no `head_width` is given.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        kernel: Callable[..., Tensor],
        causal: bool = False,
        head_width: int | None = None,
        options: Mapping[str, Any] | None = None,
        **keras_settings: Any,
    ) -> None:
        super().__init__(**keras_settings)
        self.kernel = kernel
        self.width = width
        self.heads = heads
        self.causal = causal
        self.head_width = head_width_of(width, heads, head_width)
        self.options = dict(options or {})
        inner = heads * self.head_width
        self.query_map = keras.layers.Dense(inner, dtype=self.dtype_policy, name="query")
        self.key_map = keras.layers.Dense(inner, dtype=self.dtype_policy, name="key")
        self.value_map = keras.layers.Dense(inner, dtype=self.dtype_policy, name="value")
        self.output_map = keras.layers.Dense(width, dtype=self.dtype_policy, name="output")

    def build(self, query_shape: Shape) -> None:
        """Make the weights; `query_shape` is ``(batch, time, width)``, and a context has the same width."""
        for linear in (self.query_map, self.key_map, self.value_map):
            linear.build(query_shape)
        self.output_map.build((*query_shape[:-1], self.heads * self.head_width))

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
        require_tokens("context", source, self.width)
        if padding is not None:
            require_padding(padding, source)
        mixed = self.kernel(
            self._split(self.query_map(query)),
            self._split(self.key_map(source)),
            self._split(self.value_map(source)),
            causal=self.causal,
            padding=padding,
            **self.options,
        )
        return self.output_map(self._merge(mixed))

    def _split(
        self, tokens: Float[Tensor, "batch time inner"]
    ) -> Float[Tensor, "batch heads time head_width"]:
        batch, time, _ = ops.shape(tokens)
        return ops.swapaxes(ops.reshape(tokens, (batch, time, self.heads, self.head_width)), 1, 2)

    def _merge(
        self, mixed: Float[Tensor, "batch heads time head_width"]
    ) -> Float[Tensor, "batch time inner"]:
        batch, _, time, _ = ops.shape(mixed)
        return ops.reshape(ops.swapaxes(mixed, 1, 2), (batch, time, self.heads * self.head_width))

    def exported(self) -> dict[str, Any]:
        """The maps under the names that weights travel by (Keras keeps `output` for itself)."""
        maps = (self.query_map, self.key_map, self.value_map, self.output_map)
        return dict(zip(("query", "key", "value", "output"), maps, strict=True))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, the kernel by its registered name."""
        names = ("width", "heads", "causal", "head_width")
        own = {"kernel": keras.saving.serialize_keras_object(self.kernel), "options": dict(self.options)}
        return super().get_config() | own | {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ProjectedAttention":
        """The layer again, without its weights."""
        kernel = keras.saving.deserialize_keras_object(config["kernel"])
        return cls(**(config | {"kernel": kernel}))
