"""Each channel mixed with its own last few inputs: the short causal convolution of recurrent layers.

y_t = sum over s < taps of w_s * x_{t - taps + 1 + s},   w [taps, channels], x before the first token 0
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


def fresh_taps(taps: int, channels: int) -> nn.Parameter:
    """Weights as torch's own depthwise convolution starts them: uniform within 1 / sqrt(taps)."""
    return nn.Parameter(torch.empty(taps, channels).uniform_(-(taps**-0.5), taps**-0.5))


def convolved(
    tokens: Float[Tensor, "batch time channels"],
    taps: Float[Tensor, "taps channels"],
    recent: Float[Tensor, "batch recent channels"] | None = None,
) -> tuple[Float[Tensor, "batch time channels"], Float[Tensor, "batch recent channels"]]:
    """The answer, and the last ``taps - 1`` inputs; `recent` are those before the first token, or zeros."""
    count = taps.shape[0]
    if recent is None:
        recent = tokens.new_zeros(tokens.shape[0], count - 1, tokens.shape[2])
    padded = torch.cat((recent, tokens), dim=1)
    length = tokens.shape[1]
    mixed = padded[:, :length] * taps[0]
    for tap in range(1, count):
        mixed = torch.addcmul(mixed, padded[:, tap : tap + length], taps[tap])
    # A copy, so that a state does not keep all the tokens alive.
    return mixed, padded[:, length:].clone()
