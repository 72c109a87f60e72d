"""Each channel mixed with its own last few inputs: the short causal convolution of recurrent layers.

y_t = sum over s < taps of w_s * x_{t - taps + 1 + s},   w [taps, channels], x before the first token 0
"""

import keras
from jaxtyping import Float
from keras import ops

from implementations.on_keras.keras_types import Layer, Tensor, Variable


def fresh_taps(layer: Layer, name: str, taps: int, channels: int) -> Variable:
    """Weights of `layer`, uniform within 1 / sqrt(taps)."""
    start = keras.initializers.RandomUniform(-(taps**-0.5), taps**-0.5)
    return layer.add_weight(shape=(taps, channels), initializer=start, name=name)


def convolved(
    tokens: Float[Tensor, "batch time channels"],
    taps: Float[Tensor, "taps channels"],
    recent: Float[Tensor, "batch recent channels"] | None = None,
) -> tuple[Float[Tensor, "batch time channels"], Float[Tensor, "batch recent channels"]]:
    """The answer, and the last ``taps - 1`` inputs; `recent` are those before the first token, or zeros."""
    count = int(taps.shape[0])
    batch, length, channels = ops.shape(tokens)
    if recent is None:
        recent = ops.zeros((batch, count - 1, channels), dtype=tokens.dtype)
    padded = ops.concatenate([recent, tokens], axis=1)
    mixed = padded[:, :length] * taps[0]
    for tap in range(1, count):
        mixed = mixed + padded[:, tap : tap + length] * taps[tap]
    return mixed, padded[:, length:]
