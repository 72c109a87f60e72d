"""Gradient checkpointing: a block's activations are computed again in the backward pass, not kept.

Memory of training then grows by one tensor a block instead of by all that the block holds, for about one
more forward pass of time. Paper: Chen and others 2016, arXiv:1604.06174. Outputs and gradients stay what
they are.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def set_checkpointing(model: nn.Module, on: bool) -> None:
    """Turn checkpointing of every block on or off: of the entries of the model's lists of modules.

    Raises ValueError for a model without such a list, which has nothing to checkpoint.
    """
    blocks = list(_blocks(model))
    if not blocks:
        raise ValueError(
            f"{type(model).__name__} has no blocks to checkpoint: put them into a torch.nn.ModuleList"
        )
    for block in blocks:
        # On the instance, so that weights keep their names and a copied model its own blocks.
        if on:
            block.forward = partial(_checkpointed, block)
        elif "forward" in vars(block):
            del block.forward


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The outermost ones: a block inside a block would be computed a third time."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        else:
            yield from _blocks(child)


def _checkpointed(block: nn.Module, *inputs: Any, **named: Any) -> Any:
    forward = partial(type(block).forward, block)
    if not torch.is_grad_enabled():
        return forward(*inputs, **named)
    return checkpoint(forward, *inputs, use_reentrant=False, **named)
