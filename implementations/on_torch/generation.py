"""Loops that generate: a language model goes on with a prompt, an encoder-decoder translates.

Each new token costs one step of the model's state, not another look at all tokens before it. No gradients.
"""

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@runtime_checkable
class Generating(Protocol):
    """What `generate` needs of a model."""

    def prefill(self, tokens: Tensor) -> tuple[Tensor, Any]:
        """The logits after the last of the tokens ``[batch, time]``, and the state."""

    def step(self, token: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The logits after one more token ``[batch]``, and the state."""


@runtime_checkable
class Translating(Protocol):
    """What `translate` needs of a model."""

    def begin(self, source: Tensor, source_padding: Tensor | None = None) -> Any:
        """The state before the target's first token, for sources ``[batch, source]``."""

    def step(self, token: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The logits after one more target token ``[batch]``, and the state."""


@torch.no_grad()
def generate(
    model: Generating,
    prompt: Int[Tensor, "batch time"],
    steps: int,
    *,
    temperature: float = 0.0,
    seed: int = 0,
) -> Int[Tensor, "batch steps"]:
    """The `steps` tokens that follow the prompt.

    At temperature 0 the likeliest each time, otherwise drawn from softmax(logits / temperature) with
    `seed`; the Keras twin draws other numbers from the same distribution. Raises ValueError for an empty
    prompt, no steps or a negative temperature.
    """
    _require(prompt.shape[1] >= 1, "prompt must have at least one token, got none")
    _require(steps >= 1, f"steps must be at least 1, got {steps}")
    _require(temperature >= 0, f"temperature must be at least 0, got {temperature}")
    generator = torch.Generator(prompt.device).manual_seed(seed)
    logits, state = model.prefill(prompt)
    tokens = [_choose(logits, temperature, generator)]
    for _ in range(steps - 1):
        logits, state = model.step(tokens[-1], state)
        tokens.append(_choose(logits, temperature, generator))
    return torch.stack(tokens, dim=1)


@torch.no_grad()
def translate(
    model: Translating,
    source: Int[Tensor, "batch source"],
    *,
    begin: int,
    end: int,
    steps: int,
    source_padding: Bool[Tensor, "batch source"] | None = None,
) -> Int[Tensor, "batch steps"]:
    """The likeliest token each time, from the token `begin` on; what follows an `end` is `end`.

    Stops when all have ended, or after `steps` tokens. Raises ValueError when there are no steps.
    """
    _require(steps >= 1, f"steps must be at least 1, got {steps}")
    state = model.begin(source, source_padding)
    token = source.new_full((source.shape[0],), begin)
    ended = torch.zeros_like(token, dtype=torch.bool)
    answer = source.new_full((source.shape[0], steps), end)
    for place in range(steps):
        logits, state = model.step(token, state)
        token = logits.argmax(dim=-1).masked_fill(ended, end)
        answer[:, place] = token
        ended = ended | (token == end)
        if bool(ended.all()):
            break
    return answer


def _choose(
    logits: Float[Tensor, "batch vocabulary"], temperature: float, generator: torch.Generator
) -> Int[Tensor, " batch"]:
    if temperature == 0:
        return logits.argmax(dim=-1)
    chances = torch.softmax(logits.float() / temperature, dim=-1)
    return torch.multinomial(chances, 1, generator=generator)[:, 0]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)
