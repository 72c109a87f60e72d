"""What an attack, a calibration or an explanation needs to know of a trained classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Victim(Protocol):
    """A trained classifier under attack: NumPy in, NumPy out; batches of any size are cut and filled up
    inside."""

    name: str
    classes: int

    @property
    def draws(self) -> bool:
        """Whether its randomness (random features, hashes) can be drawn anew."""

    def logits(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """The model's positional inputs ``[n, …]`` to logits ``[n, classes]``."""

    def loss_gradient(
        self, inputs: Sequence[np.ndarray], labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cross-entropy of each example ``[n]``, and the gradient of their sum by ``inputs[0]`` (floats)."""

    def embed(self, tokens: np.ndarray) -> np.ndarray:
        """Token numbers ``[n, time]`` to their vectors ``[n, time, width]``, before positions are added."""

    def logits_of_embedded(self, embedded: np.ndarray, padding: np.ndarray) -> np.ndarray:
        """Logits from vectors ``[n, time, width]`` and padding ``[n, time]``, True at real tokens."""

    def embedded_loss_gradient(
        self, embedded: np.ndarray, padding: np.ndarray, labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cross-entropy of each example ``[n]``, and the gradient of their sum by `embedded`."""

    def redraw(self, seed: int) -> None:
        """Draw random features or hashes anew, trained weights staying; only where `draws`."""
