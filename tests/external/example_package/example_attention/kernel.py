"""Attention over cosine similarities, as a bare kernel."""

import torch
from torch.nn.functional import normalize


def attend(query, key, value, *, causal=False, padding=None):
    scores = 10 * normalize(query, dim=-1) @ normalize(key, dim=-1).transpose(-2, -1)
    hidden = torch.zeros(scores.shape[-2:], dtype=torch.bool, device=scores.device)
    if causal:
        hidden = torch.ones_like(hidden).triu(1)
    if padding is not None:
        hidden = hidden | ~padding[:, None, None, :]
    weights = scores.masked_fill(hidden, float("-inf")).softmax(-1).nan_to_num(0.0)
    return weights @ value
