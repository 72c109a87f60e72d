"""A Keras layer and its torch twin give the same outputs and gradients from the same weights."""

from __future__ import annotations

import importlib.util

import numpy as np

from suites.properties.exactness import some_padding
from suites.properties.subject import Array, NotClaimedError, Subject, require_same

TOLERANCE = 1e-5


def twins(subject: Subject) -> None:
    """Forward and gradients within 1e-5 in float32, with and without padding."""
    if subject.twin is None:
        raise NotClaimedError
    if importlib.util.find_spec("torch") is None:
        raise NotImplementedError("torch is not installed here, so the twin cannot be asked")
    for causal in subject.forms:
        ours = subject.layer(causal=causal)
        theirs = subject.layer(causal=causal, drawn=False, place=subject.twin())
        theirs.insert(ours.weights())
        for padding in (None, some_padding(subject)):
            told = f"Keras and torch{', causal' if causal else ''}{', padded' if padding is not None else ''}"
            keep = np.ones(subject.tokens().shape[:2], bool) if padding is None else padding
            cotangent = subject.tokens(seed=9) * keep[..., None]
            _agree(
                ours.gradients(subject.tokens(), cotangent, None, padding),
                theirs.gradients(subject.tokens(), cotangent, None, padding),
                keep,
                told,
            )


def _agree(
    ours: tuple[Array, dict[str, Array]], theirs: tuple[Array, dict[str, Array]], keep: Array, told: str
) -> None:
    require_same(ours[0] * keep[..., None], theirs[0] * keep[..., None], TOLERANCE, f"{told}, output")
    for name in sorted(theirs[1]):
        require_same(ours[1][name], theirs[1][name], TOLERANCE, f"{told}, gradient by {name}")
