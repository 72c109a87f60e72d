"""Loops that generate: a language model goes on with a prompt, an encoder-decoder translates.

Each new token costs one step of the model's state, not another look at all tokens before it.
"""

from typing import Any

import keras
from jaxtyping import Bool, Float, Int
from keras import ops

from implementations.on_keras.keras_types import Tensor


def generate(
    model: Any,
    prompt: Int[Tensor, "batch time"],
    steps: int,
    *,
    temperature: float = 0.0,
    seed: int = 0,
) -> Int[Tensor, "batch steps"]:
    """The `steps` tokens that follow the prompt, for a model with `prefill` and `step`.

    At temperature 0 the likeliest each time, otherwise drawn from softmax(logits / temperature) with
    `seed`; the torch twin draws other numbers from the same distribution. Raises ValueError for an empty
    prompt, no steps or a negative temperature.
    """
    _require(prompt.shape[1] >= 1, "prompt must have at least one token, got none")
    _require(steps >= 1, f"steps must be at least 1, got {steps}")
    _require(temperature >= 0, f"temperature must be at least 0, got {temperature}")
    seeds = keras.random.SeedGenerator(seed)
    logits, state = model.prefill(prompt)
    tokens = [_choose(logits, temperature, seeds)]
    for _ in range(steps - 1):
        logits, state = model.step(tokens[-1], state)
        tokens.append(_choose(logits, temperature, seeds))
    return ops.stack(tokens, axis=1)


def translate(
    model: Any,
    source: Int[Tensor, "batch source"],
    *,
    begin: int,
    end: int,
    steps: int,
    source_padding: Bool[Tensor, "batch source"] | None = None,
) -> Int[Tensor, "batch steps"]:
    """The likeliest token each time, from the token `begin` on; what follows an `end` is `end`.

    For a model with `begin` and `step`. Stops when all have ended, or after `steps` tokens. Raises
    ValueError when there are no steps.
    """
    _require(steps >= 1, f"steps must be at least 1, got {steps}")
    state = model.begin(source, source_padding)
    batch = int(source.shape[0])
    ends = ops.full((batch,), end, dtype="int32")
    token = ops.full((batch,), begin, dtype="int32")
    ended = ops.zeros((batch,), dtype="bool")
    answer: list[Tensor] = []
    while len(answer) < steps and not (answer and bool(ops.all(ended))):
        logits, state = model.step(token, state)
        token = ops.where(ended, ends, ops.cast(ops.argmax(logits, axis=-1), "int32"))
        ended = ops.logical_or(ended, token == end)
        answer.append(token)
    return ops.stack(answer + [ends] * (steps - len(answer)), axis=1)


def _choose(
    logits: Float[Tensor, "batch vocabulary"], temperature: float, seeds: Any
) -> Int[Tensor, " batch"]:
    if temperature == 0:
        return ops.cast(ops.argmax(logits, axis=-1), "int32")
    scaled = ops.cast(logits, "float32") / temperature
    return keras.random.categorical(scaled, 1, dtype="int32", seed=seeds)[:, 0]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)
