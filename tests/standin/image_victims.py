"""Classifiers of images written out in NumPy, whose worst case is known: what attacks are tried on."""

from collections.abc import Sequence

import numpy as np
from scipy import special

from suites.tasks.patches import PatchLayout

LAYOUT = PatchLayout(15, 3)
PIXELS = LAYOUT.side**2


class Softmax:
    """Softmax regression, ``pixels . weights + bias``, with exact gradients; it counts what it is asked."""

    name = "softmax@numpy"
    draws = False

    def __init__(self, weights: np.ndarray, bias: np.ndarray) -> None:
        self.weights, self.bias = weights, bias
        self.classes = weights.shape[1]
        self.asked = 0

    def seen(self, tokens: np.ndarray) -> np.ndarray:
        """What the regression is given for tokens ``[n, time, patch_width]``."""
        return tokens.reshape(len(tokens), -1).astype(np.float64)

    def logits(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        self.asked += len(inputs[0])
        return (self.seen(inputs[0]) @ self.weights + self.bias).astype(np.float32)

    def loss_gradient(
        self, inputs: Sequence[np.ndarray], labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        self.asked += len(labels)
        logs = special.log_softmax(self.seen(inputs[0]) @ self.weights + self.bias, axis=-1)
        off = np.exp(logs) - np.eye(self.classes)[labels]
        gradient = (off @ self.weights.T).reshape(inputs[0].shape)
        return -logs[np.arange(len(labels)), labels], gradient.astype(np.float32)

    def embed(self, tokens: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def logits_of_embedded(self, embedded: np.ndarray, padding: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def embedded_loss_gradient(
        self, embedded: np.ndarray, padding: np.ndarray, labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError

    def redraw(self, seed: int) -> None:
        raise NotImplementedError


class Quantised(Softmax):
    """The same behind an input rounded to eleven levels: gradients are 0, attacks are not in vain."""

    name = "quantised@numpy"

    def seen(self, tokens: np.ndarray) -> np.ndarray:
        return np.round(super().seen(tokens) * 10) / 10

    def loss_gradient(
        self, inputs: Sequence[np.ndarray], labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        losses, gradient = super().loss_gradient(inputs, labels)
        return losses, np.zeros_like(gradient)


def two_classes(kind: type[Softmax], slope: np.ndarray) -> Softmax:
    """Class 1 where ``slope . (pixels - 1/2)`` is above 0, class 0 below: the margin is its size."""
    weights = np.stack([-slope / 2, slope / 2], axis=-1)
    return kind(weights, -weights.sum(axis=0) / 2)


def margins(slope: np.ndarray, tokens: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How far on the right side of `two_classes` each image lies, below 0 where it is on the wrong one."""
    return (tokens.reshape(len(tokens), -1).astype(np.float64) - 0.5) @ slope * (2 * labels - 1)
