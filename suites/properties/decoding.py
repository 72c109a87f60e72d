"""Step by step is the whole sequence, and the state is as large as declared."""

from __future__ import annotations

import math

import numpy as np
from simpleeval import simple_eval

from suites.properties.behaviour import TOLERANCE
from suites.properties.subject import BrokenClaimError, Layer, NotClaimedError, Subject, require_same

CACHE_BLOCK = 256
PROMPT = 5
LONG_PROMPT = 300
FLOAT_BYTES = 4


def stepwise(subject: Subject) -> None:
    """Token by token, and after a prompt read at once, the answers are those of the whole sequence."""
    # In float64: a norm after a small sum makes any rounding large, and hides nothing else.
    layer = _decoder(subject, "float32" if subject.lacks_float64 else "float64")
    tokens = subject.tokens()
    whole = layer(tokens)
    answers, state = [], layer.initial_state(len(tokens))
    for place in range(tokens.shape[1]):
        answer, state = layer.step(tokens[:, place : place + 1], state)
        answers.append(answer)
        require_same(
            whole[:, : place + 1],
            np.concatenate(answers, axis=1),
            TOLERANCE,
            f"the whole sequence and step by step, token {place}",
        )
    if hasattr(layer.model, "prefill"):
        _goes_on_after_a_prompt(layer, tokens, whole)


def _goes_on_after_a_prompt(layer: Layer, tokens: np.ndarray, whole: np.ndarray) -> None:
    answer, state = layer.prefill(tokens[:, :PROMPT])
    require_same(whole[:, :PROMPT], answer, TOLERANCE, f"the whole sequence and a prompt of {PROMPT} tokens")
    for place in range(PROMPT, tokens.shape[1]):
        answer, state = layer.step(tokens[:, place : place + 1], state)
        require_same(
            whole[:, place : place + 1],
            answer,
            TOLERANCE,
            f"the whole sequence and step {place} after a prompt of {PROMPT} tokens",
        )


def state(subject: Subject) -> dict[str, str]:
    """The live tensors of the decoding state take exactly the bytes declared, short and long."""
    layer = _decoder(subject)
    told = {}
    for length in (subject.length, LONG_PROMPT):
        found = state_bytes(layer, subject, length)
        declared = declared_numbers(subject, layer, length) * FLOAT_BYTES
        if found != declared:
            raise BrokenClaimError(
                f"after {length} tokens the state's live tensors take {found:g} bytes a sequence, "
                f"declared are {declared:g} ({subject.claims.state} numbers of {FLOAT_BYTES} bytes)"
            )
        told[f"state_bytes_after_{length}"] = f"{found:g}"
    return told


def state_bytes(layer: Layer, subject: Subject, length: int) -> float:
    """Bytes of the live tensors after `length` tokens, for one sequence."""
    tokens = subject.tokens(length, batch=1)
    if hasattr(layer.model, "prefill"):
        return float(layer.framework.live_bytes(layer.prefill(tokens)[1]))
    state = layer.initial_state(1)
    for place in range(length):
        _, state = layer.step(tokens[:, place : place + 1], state)
    return float(layer.framework.live_bytes(state))


def declared_numbers(subject: Subject, layer: Layer, length: int) -> float:
    """The claim `state` after `length` tokens: numbers held for one sequence."""
    workload = subject.workload
    names = {
        **layer.options,
        "n": length,
        "heads": workload.heads,
        "width": workload.width,
        "head_width": workload.width // workload.heads,
    }
    return float(simple_eval(subject.claims.state, names=names, functions=STATE_FUNCTIONS))


STATE_FUNCTIONS = {
    "min": min,
    "max": max,
    "ceil": math.ceil,
    "blocks": lambda n: CACHE_BLOCK * math.ceil(n / CACHE_BLOCK),
}


def _decoder(subject: Subject, dtype: str = "float32") -> Layer:
    if not subject.claims.causal or not subject.claims.state:
        raise NotClaimedError
    layer = subject.layer(causal=True, dtype=dtype, max_length=max(subject.length, LONG_PROMPT + 1))
    if not layer.decodes:
        raise BrokenClaimError("a decoding state is declared, but the layer has no initial_state and step")
    return layer
