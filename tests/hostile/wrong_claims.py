"""Kernels and layers that run well and are not what they claim; each breaks one property."""

import os

import torch
from torch import nn


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


def right_in_single(query, key, value, *, causal=False, padding=None):
    """Nothing is wrong with it, but it has no digits beyond float32's, whatever comes in."""
    parts = (part.float() for part in (query, key, value))
    return right(*parts, causal=causal, padding=padding).to(value.dtype)


def right_causal_only(query, key, value, *, causal=False, padding=None):
    if not causal:
        raise NotImplementedError("build it with causal=True")
    return right(query, key, value, causal=True, padding=padding)


def sees_the_future(query, key, value, *, causal=False, padding=None):
    return _softmax(query, key, value, _hidden(query, key, False, padding))


def peeks_by_one_token(query, key, value, *, causal=False, padding=None):
    hidden = _hidden(query, key, False, padding)
    return _softmax(query, key, value, hidden | torch.ones_like(hidden).triu(2) if causal else hidden)


class _OfTheFuture(torch.autograd.Function):
    """The identity, whose gradient leaks to where it must not."""

    @staticmethod
    def forward(ctx, mixed, value):
        return mixed.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient, gradient.flip(-2)


def learns_from_the_future(query, key, value, *, causal=False, padding=None):
    return _OfTheFuture.apply(right(query, key, value, causal=causal, padding=padding), value)


def sees_padding(query, key, value, *, causal=False, padding=None):
    return _softmax(query, key, value, _hidden(query, key, causal, None))


def nan_when_all_is_padded(query, key, value, *, causal=False, padding=None):
    scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
    return scores.masked_fill(_hidden(query, key, causal, padding), float("-inf")).softmax(-1) @ value


def mixes_nothing(query, key, value, *, causal=False, padding=None):
    return value if padding is None else value * padding[:, None, :, None]


def never_the_same_twice(query, key, value, *, causal=False, padding=None):
    return right(query, key, value, causal=causal, padding=padding) + 0.01 * torch.randn_like(query)


class DrawnFromNowhere(nn.Module):
    """Starts from weights that no seed decides."""

    def __init__(self, width, heads, *, causal=False, max_length=None):
        super().__init__()
        self.value = nn.Linear(width, width)
        generator = torch.Generator().manual_seed(int.from_bytes(os.urandom(4)))
        with torch.no_grad():
            self.value.weight.normal_(generator=generator)

    def forward(self, query, context=None, padding=None):
        return self.value(query)


def mixes_the_batch(query, key, value, *, causal=False, padding=None):
    return right(query, key, value, causal=causal, padding=padding) + 0.1 * value.mean(dim=0, keepdim=True)


def forgets_the_scale(query, key, value, *, causal=False, padding=None):
    return right(query * query.shape[-1] ** 0.5, key, value, causal=causal, padding=padding)


def rounds_to_half(query, key, value, *, causal=False, padding=None):
    halves = (part.to(torch.bfloat16).to(part.dtype) for part in (query, key, value))
    return right(*halves, causal=causal, padding=padding)


def drops_the_last_block(query, key, value, *, causal=False, padding=None, block=4):
    mixed = right(query, key, value, causal=causal, padding=padding)
    whole = query.shape[-2] // block * block
    return torch.cat((mixed[:, :, :whole], value[:, :, whole:]), dim=2)


def swaps_heads_and_time(query, key, value, *, causal=False, padding=None):
    flat = right(query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2))
    return flat.transpose(1, 2)


def reshapes_instead_of_transposing(query, key, value, *, causal=False, padding=None):
    batch, heads, time, width = query.shape
    parts = (part.transpose(1, 2).reshape(batch, heads, time, width) for part in (query, key, value))
    return right(*parts, causal=causal, padding=padding)


def sees_beyond_its_window(query, key, value, *, causal=False, padding=None, window=3):
    distance = torch.arange(query.shape[-2])[:, None] - torch.arange(key.shape[-2])
    far = distance.abs() > window  # one more than `window - 1` allows
    return _softmax(query, key, value, _hidden(query, key, causal, padding) | far)


class _HalfGradient(torch.autograd.Function):
    """The identity with half the gradient."""

    @staticmethod
    def forward(ctx, mixed):
        return mixed.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient / 2


def learns_by_halves(query, key, value, *, causal=False, padding=None):
    return _HalfGradient.apply(right(query, key, value, causal=causal, padding=padding))


def overflows(query, key, value, *, causal=False, padding=None):
    weights = (query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5).exp()
    weights = weights.masked_fill(_hidden(query, key, causal, padding), 0.0)
    return (weights / weights.sum(-1, keepdim=True).clamp(min=1e-30)) @ value


def fails_on_one_token(query, key, value, *, causal=False, padding=None):
    mixed = right(query, key, value, causal=causal, padding=padding)
    return mixed / (query.shape[-2] - 1) * (query.shape[-2] - 1)


def builds_all_scores(query, key, value, *, causal=False, padding=None):
    """A running mean whose n x n mask hides in element-wise work that no counter of operations sees."""
    real = torch.ones(value.shape[0], value.shape[-2]) if padding is None else padding.float()
    visible = (real[:, None, :] * torch.ones(value.shape[-2], 1)).to(value.dtype)
    visible = visible.tril() if causal else visible
    total = (value * real[:, None, :, None].to(value.dtype)).cumsum(dim=-2)
    total = total if causal else total[:, :, -1:].expand_as(total)
    return total / visible.sum(-1)[:, None, :, None].clamp(min=1)


def multiplies_all_pairs(query, key, value, *, causal=False, padding=None):
    return right(query, key, value, causal=causal, padding=padding)


def never_nears_softmax(query, key, value, *, causal=False, padding=None, features=4):
    return right(query, -key, value, causal=causal, padding=padding)


def _real_values(layer, query, padding):
    real = torch.ones(query.shape[:2], dtype=torch.bool) if padding is None else padding
    return layer.value(query) * real[..., None]


class _Recurrent(nn.Module):
    """A running mean of the values: the frame of the layers that decode wrongly."""

    def __init__(self, width, heads, *, causal=False, max_length=None):
        super().__init__()
        self.value = nn.Linear(width, width)

    def forward(self, query, context=None, padding=None):
        counts = torch.arange(1, query.shape[1] + 1, dtype=query.dtype)[:, None]
        return _real_values(self, query, padding).cumsum(dim=1) / counts

    def initial_state(self, batch):
        return self.value.weight.new_zeros(batch, 1, self.value.out_features), 0

    def step(self, token, state):
        total, seen = state
        total = total + self.value(token)
        return total / (seen + 1), (total, seen + 1)


class RightRecurrence(_Recurrent):
    pass


class ForgetsWhileDecoding(_Recurrent):
    def step(self, token, state):
        answer, (total, seen) = super().step(token, state)
        return answer, (0.9 * total, seen)


class HoardsState(_Recurrent):
    def initial_state(self, batch):
        return (*super().initial_state(batch), ())

    def step(self, token, state):
        total, seen, kept = state
        answer, (total, seen) = super().step(token, (total, seen))
        return answer, (total, seen, (*kept, token.clone()))


class NoStepAtAll(nn.Module):
    def __init__(self, width, heads, *, causal=False, max_length=None):
        super().__init__()
        self.value = nn.Linear(width, width)

    def forward(self, query, context=None, padding=None):
        return _real_values(self, query, padding).cumsum(dim=1)
