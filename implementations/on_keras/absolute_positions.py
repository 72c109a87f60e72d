"""Positions that a model adds to its tokens, whatever attention it holds: none, sinusoidal or learned.

    sinusoidal: row p holds sin(p / 10000^(2c / d)) at channel 2c and the cosine of the same at 2c + 1
    learned:    row p is a weight, started uniform in -0.05 to 0.05

Papers: Vaswani and others 2017, arXiv:1706.03762, section 3.5 (sinusoidal); Gehring and others 2017,
arXiv:1705.03122, section 3.1 (learned). A model whose layers hold their positions (rotary, ALiBi, T5) adds
none. Departure: sinusoidal rows end at `max_length` as learned ones do, where the formula does not.
"""

from typing import Any

import keras
from jaxtyping import Float
from keras import ops

from bench.schema import POSITIONS
from implementations.on_keras.keras_types import Layer, Tensor
from implementations.positions import sinusoids


@keras.saving.register_keras_serializable(package="attnbench")
class NoPositions(Layer):
    """Tokens as they are."""

    def call(
        self, tokens: Float[Tensor, "batch time width"], first: int = 0
    ) -> Float[Tensor, "batch time width"]:
        """The tokens; `first`, where the first of them stands, changes nothing."""
        return tokens


class _Rows(Layer):
    """One row for each of `length` positions."""

    def __init__(self, length: int, width: int, **keras_settings: Any) -> None:
        super().__init__(**keras_settings)
        self.length = length
        self.width = width

    def _rows(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define _rows() -> [length, width]")

    def call(
        self, tokens: Float[Tensor, "batch time width"], first: int = 0
    ) -> Float[Tensor, "batch time width"]:
        """The tokens, the first of which stands at `first`; raises ValueError beyond the last position."""
        time = ops.shape(tokens)[1]
        if isinstance(time, int) and first + time > self.length:
            raise ValueError(
                f"tokens must have at most max_length = {self.length} positions, got {first + time}; "
                "build the model with a larger max_length"
            )
        return tokens + ops.cast(self._rows(), tokens.dtype)[first : first + time]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {"length": self.length, "width": self.width}


@keras.saving.register_keras_serializable(package="attnbench")
class SinusoidalPositions(_Rows):
    """One fixed row a position, added to the tokens; no weight, so that nothing of it is saved."""

    def __init__(self, length: int, width: int, **keras_settings: Any) -> None:
        super().__init__(length, width, **keras_settings)
        self._sinusoids = sinusoids(length, width).astype("float32")

    def _rows(self) -> Any:
        return ops.convert_to_tensor(self._sinusoids)


@keras.saving.register_keras_serializable(package="attnbench")
class Positions(_Rows):
    """One learned row a position, added to the tokens."""

    def __init__(self, length: int, width: int, **keras_settings: Any) -> None:
        super().__init__(length, width, **keras_settings)
        self.table = self.add_weight(shape=(length, width), initializer="random_uniform", name="table")

    def _rows(self) -> Any:
        return self.table


def build_positions(name: str, max_length: int | None, width: int) -> Layer:
    """What adds the positions called `name` to tokens; nothing for those that live inside the attention.

    Raises ValueError for a name that is not among `bench.schema.POSITIONS`, and without a `max_length` for
    positions that need one.
    """
    if name not in POSITIONS:
        raise ValueError(f"positions must be one of {', '.join(POSITIONS)}, got {name!r}")
    if name not in ("learned", "sinusoidal"):
        return NoPositions()
    if max_length is None:
        raise ValueError(f"{name} positions need a max_length, got None")
    return (Positions if name == "learned" else SinusoidalPositions)(max_length, width)
