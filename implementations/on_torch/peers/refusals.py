"""What a package cannot do is refused in the words of all variants, never answered by something else."""

from torch import Tensor


def refuse_causal(package: str, causal: bool) -> None:
    """Raise NotImplementedError where a layer that sees the future is asked to be causal."""
    if causal:
        raise NotImplementedError(f"{package} has no causal form; build it with causal=False")


def refuse_context(package: str, context: Tensor | None) -> None:
    """Raise NotImplementedError where a layer for self-attention is given a context."""
    if context is not None:
        raise NotImplementedError(f"{package} has no cross-attention; call it without a context")


def refuse_padding(package: str, padding: Tensor | None) -> None:
    """Raise NotImplementedError where a layer would take no notice of the padding it is given."""
    if padding is not None:
        raise NotImplementedError(f"{package} takes no padding; call it with tokens of one length")
