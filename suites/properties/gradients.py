"""Gradients against finite differences, in float64 and along random directions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from suites.properties.subject import BrokenClaimError, Layer, NotClaimedError, Subject

STEP = 1e-6
TOLERANCE = 1e-5
DIRECTIONS = 3
# A step whose square no float64 feels, and more scatter than rounding in float64 makes.
UNFELT, SCATTER = 1e-7, 1e-10


def gradient(subject: Subject) -> None:
    """The derivative along random directions of the tokens and of each weight is that of the gradient."""
    if not subject.claims.trainable:
        raise NotClaimedError
    subject.require_gradient()
    if subject.lacks_float64:
        raise NotImplementedError(
            f"finite differences need float64, in which it does not run ({subject.lacks_float64})"
        )
    for causal in subject.forms:
        layer = subject.layer(causal=causal, dtype="float64")
        _agree(layer, subject)


def _agree(layer: Layer, subject: Subject) -> None:
    tokens = subject.tokens().astype(np.float64)
    generator = np.random.default_rng(7)
    cotangent = generator.standard_normal(tokens.shape)
    weights = layer.weights()
    _, gradients = layer.gradients(tokens, cotangent)

    def loss(moved: str, direction: np.ndarray, distance: float) -> float:
        if moved == "input 0":
            return float((layer(tokens + distance * direction) * cotangent).sum())
        layer.insert({**weights, moved: weights[moved] + distance * direction})
        return float((layer(tokens) * cotangent).sum())

    for name in sorted(gradients):
        for _ in range(DIRECTIONS if name == "input 0" else 1):
            direction = generator.standard_normal(gradients[name].shape)
            numeric = (loss(name, direction, STEP) - loss(name, direction, -STEP)) / (2 * STEP)
            analytic = float((gradients[name] * direction).sum())
            size = max(1.0, float(np.abs(gradients[name]).max()) * np.sqrt(direction.size))
            if not abs(numeric - analytic) <= TOLERANCE * size:
                _require_digits(lambda distance: loss(name, direction, distance))  # noqa: B023  called at once
                raise BrokenClaimError(
                    f"{'causal, ' if layer.causal else ''}derivative by {name} along a random direction: "
                    f"finite difference {numeric:.8g}, gradient {analytic:.8g}"
                )
        layer.insert(weights)


def _require_digits(loss: Callable[[float], float]) -> None:
    """Raise NotImplementedError where answers scatter as those of float32 do, whatever they are called."""
    middle = loss(0.0)
    scatter = abs(loss(UNFELT) - 2 * middle + loss(-UNFELT))
    if scatter > SCATTER * max(1.0, abs(middle)):
        raise NotImplementedError(
            "finite differences need the digits of float64, and answers have fewer: between steps of "
            f"{UNFELT:g} they scatter by {scatter:.1g}"
        )
