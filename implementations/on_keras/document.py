"""The document's own training run: its settings and its data. Needs NumPy only, so torch can use it too.

Inputs and target are uniform noise: there is nothing to learn in them beyond their mean, so the run
tells what training costs, and nothing about quality.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

DocumentData: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]

CHANNELS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentTraining:
    """The document's settings: a 32 x 32 image, one token a pixel, and Adam at Keras's defaults."""

    samples: int = 1_000
    length: int = 1_024
    width: int = 64
    heads: int = 4
    encoder_layers: int = 2
    decoder_layers: int = 2
    parameters: int = 432_963
    batch: int = 32
    epochs: int = 10
    loss: str = "mean_squared_error"
    learning_rate: float = 1e-3
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7


DOCUMENT_TRAINING = DocumentTraining()


def document_data(samples: int = 1_000, length: int = 1_024, width: int = 64, *, seed: int) -> DocumentData:
    """``(encoder_tokens, decoder_tokens, target)``: float32, uniform in 0 to 1, the same for the same seed.

    Shapes ``[samples, length, width]`` twice and ``[samples, length, 3]``; at the document's sizes 0.54 GB.
    """
    generator = np.random.default_rng(seed)
    encoder_tokens, decoder_tokens, target = (
        generator.random((samples, length, channels), dtype=np.float32)
        for channels in (width, width, CHANNELS)
    )
    return encoder_tokens, decoder_tokens, target
