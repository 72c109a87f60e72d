"""Multi-head latent attention, arXiv:2405.04434, appendix C, equations 37 to 47, one query and key at a time.

Keys and values are built for every token; RoPE turns channel c with channel c + rope_width / 2, as complex
numbers here.
"""

import numpy as np

from implementations.definitions.projected import Array, Given, Mixture, linear, softmax, split

ROTARY_BASE = 10_000.0
EPSILON = 1e-6


def latents(given: Given) -> Array:
    """``[batch, source, rank]``: what keys and values are built from."""
    compressed = given.source.astype(np.float64) @ _exact(given, "down.kernel")
    return _normalised(compressed, _exact(given, "latent_norm.scale"))


def values(given: Given) -> Array:
    """``[batch, heads, source, head_width]``."""
    return split(latents(given) @ _exact(given, "value.kernel"), given.heads)


def queries(given: Given) -> Array:
    """``[batch, heads, time, head_width + rope_width]``."""
    compressed = given.tokens.astype(np.float64)
    if given.options["query_rank"]:
        scale = _exact(given, "query_latent_norm.scale")
        compressed = _normalised(compressed @ _exact(given, "query_down.kernel"), scale)
    return split(linear(compressed, given.weights, "query"), given.heads)


def scores(given: Given) -> Array:
    """(q . k + t . r) / sqrt(head_width + rope_width), one query and key at a time."""
    query, key = queries(given), split(latents(given) @ _exact(given, "key.kernel"), given.heads)
    rope, width = given.options["rope_width"], key.shape[-1]
    rotary_key = _exact(given, "rotary_key.kernel")
    found = np.zeros((*query.shape[:3], key.shape[2]))
    for sequence, source in enumerate(given.source):
        shared = [_turned(row @ rotary_key, place) for place, row in enumerate(source)]
        for head, place in np.ndindex(*query.shape[1:3]):
            asking = query[sequence, head, place]
            plain, turned = asking[:width], _turned(asking[width:], place)
            for other, rotary in enumerate(shared):
                score = plain @ key[sequence, head, other] + turned @ rotary
                found[sequence, head, place, other] = score / np.sqrt(width + rope)
    return found


def mix(given: Given, value: Array) -> Array:
    """Softmax attention by those scores."""
    mixed: Array = softmax(scores(given), given.visible()[:, None]) @ value
    return mixed


layer = Mixture(mix, values=values, scores=scores)


def _exact(given: Given, name: str) -> Array:
    return given.weights[name].astype(np.float64)


def _normalised(rows: Array, scale: Array) -> Array:
    normalised: Array = rows / np.sqrt(np.mean(rows**2, axis=-1, keepdims=True) + EPSILON) * scale
    return normalised


def _turned(channels: Array, place: int) -> Array:
    half = len(channels) // 2
    numbers = channels[:half] + 1j * channels[half:]
    numbers = numbers * np.exp(1j * place * ROTARY_BASE ** (-np.arange(half) / half))
    return np.concatenate([numbers.real, numbers.imag])
