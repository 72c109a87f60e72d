"""Finite at the edges: huge logits, zeros, one token, lengths that divide no block, bfloat16."""

from __future__ import annotations

import numpy as np

from suites.properties.subject import Array, BrokenClaimError, Layer, Subject

HUGE = 1e4
ODD_LENGTH = 131


def extremes(subject: Subject) -> None:
    """Forward answers, and gradients where there are some, stay finite."""
    for causal in subject.forms:
        layer = subject.layer(causal=causal, max_length=ODD_LENGTH)
        for what, tokens in _inputs(subject).items():
            _require_finite(layer, tokens, f"{what}{', causal' if causal else ''}", subject.trains)
        rough = subject.layer(causal=causal, dtype="bfloat16")
        _require_finite(rough, subject.tokens(), "bfloat16", trainable=False)


def _inputs(subject: Subject) -> dict[str, Array]:
    # Drawn maps keep the tokens' size, so tokens of this size make logits of about HUGE either way.
    width = subject.workload.width // subject.workload.heads
    loud = np.sqrt(HUGE / np.sqrt(width)) * subject.tokens()
    return {
        f"logits of ±{HUGE:g}": loud.astype(np.float32),
        "zeros": np.zeros_like(subject.tokens()),
        "one token": subject.tokens(1),
        f"{ODD_LENGTH} tokens": subject.tokens(ODD_LENGTH),
    }


def _require_finite(layer: Layer, tokens: Array, what: str, trainable: bool) -> None:
    answer = layer(tokens)
    if not np.isfinite(answer).all():
        raise BrokenClaimError(
            f"{what}: {np.mean(~np.isfinite(answer)):.0%} of the output is NaN or infinite"
        )
    if not trainable:
        return
    _, gradients = layer.gradients(tokens, np.ones_like(tokens))
    wrong = [name for name, gradient in gradients.items() if not np.isfinite(gradient).all()]
    if wrong:
        raise BrokenClaimError(f"{what}: the gradient by {', '.join(wrong)} is NaN or infinite")
