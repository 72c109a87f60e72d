"""What torch models are trained to lessen."""

from collections.abc import Callable

import torch

from suites.framework import NOT_SCORED


def loss_of(name: str) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """``loss(output, target)`` by name; raises ValueError for another."""
    if name == "mean_squared_error":
        return torch.nn.functional.mse_loss
    if name == "cross_entropy":
        return cross_entropy
    raise ValueError(f"loss must be 'mean_squared_error' or 'cross_entropy', got {name!r}")


def cross_entropy(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The mean over scored targets, 0 without any: `[batch, classes]` or `[batch, time, vocabulary]`."""
    losses = torch.nn.functional.cross_entropy(
        logits.flatten(0, -2), target.flatten(), ignore_index=NOT_SCORED, reduction="none"
    )
    # torch's own mean over no target is NaN, and so are its gradients; a sum in bfloat16 stands still.
    wide = torch.promote_types(losses.dtype, torch.float32)
    mean = losses.sum(dtype=wide) / (target != NOT_SCORED).sum().clamp(min=1)
    return mean.to(losses.dtype)
