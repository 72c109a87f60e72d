"""The torch side of drop-in exchange: a BERT-shaped encoder of `transformers` that asks for its attention.

Models of transformers take their attention from `ALL_ATTENTION_FUNCTIONS` under the name that is given as
``attn_implementation=``. In transformers 4 BERT is not yet among them: it has classes of its own for
"eager" and "sdpa". While `exchange` lasts it has one more, which makes queries, keys and values with BERT's
own projections and asks the interface for the rest.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.bert import modeling_bert
from transformers.utils import logging

NAME = "attnbench"
UNTOUCHED = "eager"
PROJECTIONS = ("query", "key", "value", "output")
# Between a layer as it is and the same layer driven from outside, in float32, of the largest answer.
TOLERANCE = 1e-4
# How far weights are moved before that is tried: gates and the like may start where they do nothing.
MOVED = 0.02


class AskingSelfAttention(modeling_bert.BertSelfAttention):  # type: ignore[misc]  # seen without types
    """BERT's projections around what the attention interface holds for the model."""

    def __init__(self, config: Any, **settings: Any) -> None:
        super().__init__(config, **settings)
        self.config = config

    def forward(self, hidden_states: Tensor, attention_mask: Tensor | None = None, **_: Any) -> Any:
        """The mixed values ``[batch, time, width]``, and no weights, as BERT expects."""
        shape = (*hidden_states.shape[:2], self.num_attention_heads, self.attention_head_size)
        query, key, value = (
            projection(hidden_states).view(shape).transpose(1, 2)
            for projection in (self.query, self.key, self.value)
        )
        attend = ALL_ATTENTION_FUNCTIONS[self.config._attn_implementation]
        mixed, _weights = attend(self, query, key, value, attention_mask, dropout=0.0)
        return mixed.flatten(2), None


def attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **_: Any
) -> tuple[Tensor, None]:
    """What the interface is given: the layer of a variant that `module` holds mixes the values.

    All are ``[batch, heads, time, head_width]``; the mask is BERT's, ``[batch, 1, 1, source]``, 0 at real
    tokens and very negative at others. Answers ``[batch, time, heads, head_width]``.
    """
    padding = None if attention_mask is None else attention_mask[:, 0, 0] == 0
    return module.mixing.mix(query, key, value, padding, causal=False).transpose(1, 2), None


@contextmanager
def exchange() -> Iterator[None]:
    """While it lasts, encoders can be opened, and run, with another attention than their own."""
    classes: dict[str, Any] = modeling_bert.BERT_SELF_ATTENTION_CLASSES
    ALL_ATTENTION_FUNCTIONS[NAME] = attend
    classes[NAME] = AskingSelfAttention
    try:
        yield
    finally:
        del ALL_ATTENTION_FUNCTIONS[NAME], classes[NAME]


class Pooled(nn.Module):
    """An encoder and the mean of its vectors at real tokens."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def vectors(self, tokens: Tensor, padding: Tensor) -> Tensor:
        """One vector a token, ``[batch, time, width]``."""
        vectors: Tensor = self.encoder(input_ids=tokens, attention_mask=padding.long()).last_hidden_state
        return vectors

    def forward(self, tokens: Tensor, padding: Tensor) -> Tensor:
        """The features of texts ``[batch, width]``."""
        weights = padding[..., None].float()
        return (self.vectors(tokens, padding) * weights).sum(dim=1) / weights.sum(dim=1)


class PretrainedClassifier(nn.Module):
    """A pretrained encoder under a linear head: tokens and padding to logits."""

    def __init__(self, encoder: nn.Module, width: int, classes: int) -> None:
        super().__init__()
        self.pooled = Pooled(encoder)
        self.head = nn.Linear(width, classes)

    def forward(self, tokens: Tensor, padding: Tensor) -> Tensor:
        """Logits ``[batch, classes]``."""
        logits: Tensor = self.head(self.pooled(tokens, padding))
        return logits

    def set_head(self, kernel: np.ndarray, bias: np.ndarray) -> None:
        """A head found elsewhere: `kernel` ``[width, classes]`` and `bias` ``[classes]``."""
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor(kernel.T))
            self.head.bias.copy_(torch.tensor(bias))

    def added_weights(self) -> int:
        """Trainable numbers that came with the exchange."""
        mixing = (layer for name, layer in self.named_modules() if name.endswith(".mixing"))
        return sum(weights.numel() for layer in mixing for weights in layer.parameters())


Mixing = Callable[[], nn.Module]
"""Builds a variant's layer, of the encoder's width and heads."""


def open_classifier(
    folder: Path, *, classes: int, device: str, mixing: Mixing | None = None
) -> PretrainedClassifier:
    """The encoder in `folder` under a head that is not trained, with its own attention or, within
    `exchange`, with `mixing`'s in each layer; dropout is off, in training too.

    Raises NotImplementedError for a layer that cannot be given another model's queries, keys and values.
    """
    # The head over [CLS] that the file holds is not used, which transformers would print each time.
    logging.set_verbosity_error()
    config = BertConfig.from_pretrained(folder, local_files_only=True)
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    encoder = BertModel.from_pretrained(
        folder,
        config=config,
        add_pooling_layer=False,
        local_files_only=True,
        attn_implementation=UNTOUCHED if mixing is None else NAME,
    )
    if mixing is not None:
        require_drivable(mixing(), config.hidden_size, config.num_attention_heads)
        for layer in encoder.encoder.layer:
            layer.attention.self.mixing = stripped(mixing())
    return PretrainedClassifier(encoder, config.hidden_size, classes).to(device)


def stripped(layer: nn.Module) -> nn.Module:
    """The layer without its projections: the pretrained ones take their place."""
    for name in PROJECTIONS:
        if hasattr(layer, name):
            delattr(layer, name)
    return layer


def require_drivable(layer: Any, width: int, heads: int, length: int = 12) -> None:
    """Raise NotImplementedError unless all that the layer does between its projections is its `mix`.

    Tried on made-up tokens, with weights moved off whatever they start from.
    """
    name = type(layer).__name__
    if not callable(getattr(layer, "mix", None)):
        raise NotImplementedError(f"{name} has no mix(query, key, value, padding, causal=…) to be driven by")
    _require_same_projections(layer, width, heads)
    device, generator = layer.output.weight.device, torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weights in layer.parameters():
            weights.add_(torch.randn(weights.shape, generator=generator).to(device), alpha=MOVED)
        tokens = torch.randn(2, length, width, generator=generator).to(device)
        padding = torch.ones(2, length, dtype=torch.bool, device=device)
        padding[1, -length // 3 :] = False
        expected = layer(tokens, padding=padding)
        try:
            driven = _driven(layer, tokens, padding)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise NotImplementedError(
                f"{name} cannot be driven by given queries, keys and values: {error}"
            ) from error
    allowed = TOLERANCE * expected[padding].abs().max()
    if driven.shape != expected.shape or (driven - expected)[padding].abs().max() > allowed:
        raise NotImplementedError(f"{name} does more than mix given queries, keys and values")


def _require_same_projections(layer: Any, width: int, heads: int) -> None:
    if layer.heads != heads:
        raise NotImplementedError(
            f"{type(layer).__name__} has {layer.heads} heads, the pretrained model {heads}"
        )
    for name in PROJECTIONS:
        projection = getattr(layer, name, None)
        if projection is None and name in ("query", "key"):
            continue  # what looks at neither has none
        shape = list(projection.weight.shape) if isinstance(projection, nn.Linear) else None
        if shape != [width, width]:
            raise NotImplementedError(
                f"{type(layer).__name__} has not the pretrained model's projections: {name} must map"
                f" {width} to {width} channels, {'it does not' if shape is None else f'got {shape[::-1]}'}"
            )


def _driven(layer: Any, tokens: Tensor, padding: Tensor) -> Tensor:
    """What the layer answers when its own projections are applied from outside."""
    heads = [
        (projection(tokens) if projection is not None else tokens)
        .unflatten(-1, (layer.heads, -1))
        .transpose(1, 2)
        for projection in (getattr(layer, name, None) for name in PROJECTIONS[:3])
    ]
    mixed = layer.mix(*heads, padding, causal=False)
    answer: Tensor = layer.output(mixed.transpose(1, 2).flatten(2))
    return answer
