"""Kernels that run well and are not what they claim; each breaks one property."""

import torch


def _softmax(query, key, value, hidden):
    scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
    return scores.masked_fill(hidden, float("-inf")).softmax(-1).nan_to_num(0.0) @ value


def _hidden(query, key, causal, padding):
    hidden = torch.zeros(len(query), 1, query.shape[-2], key.shape[-2], dtype=torch.bool)
    if causal:
        hidden = hidden | torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool).triu(1)
    if padding is not None:
        hidden = hidden | ~padding[:, None, None, :]
    return hidden


def right(query, key, value, *, causal=False, padding=None):
    return _softmax(query, key, value, _hidden(query, key, causal, padding))


def sees_the_future(query, key, value, *, causal=False, padding=None):
    return _softmax(query, key, value, _hidden(query, key, False, padding))


def sees_padding(query, key, value, *, causal=False, padding=None):
    return _softmax(query, key, value, _hidden(query, key, causal, None))


def nan_when_all_is_padded(query, key, value, *, causal=False, padding=None):
    scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
    return scores.masked_fill(_hidden(query, key, causal, padding), float("-inf")).softmax(-1) @ value


def mixes_nothing(query, key, value, *, causal=False, padding=None):
    return value if padding is None else value * padding[:, None, :, None]


def never_the_same_twice(query, key, value, *, causal=False, padding=None):
    return right(query, key, value, causal=causal, padding=padding) + 0.01 * torch.randn_like(query)


def mixes_the_batch(query, key, value, *, causal=False, padding=None):
    return right(query, key, value, causal=causal, padding=padding) + 0.1 * value.mean(dim=0, keepdim=True)


def forgets_the_scale(query, key, value, *, causal=False, padding=None):
    return right(query * query.shape[-1] ** 0.5, key, value, causal=causal, padding=padding)


def swaps_heads_and_time(query, key, value, *, causal=False, padding=None):
    flat = right(query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2))
    return flat.transpose(1, 2)
