"""Variants that go wrong, each in its own way; everything beside them must be measured all the same."""

import ctypes
import os
import sys
import time

import torch


def raises_in_forward(query, key, value, *, causal=False, padding=None):
    raise RuntimeError("no forward for you")


def hangs(query, key, value, *, causal=False, padding=None):
    time.sleep(3600)


def exits(query, key, value, *, causal=False, padding=None):
    os._exit(5)


def segfaults(query, key, value, *, causal=False, padding=None):
    ctypes.string_at(0)


def allocates_without_end(query, key, value, *, causal=False, padding=None):
    held = []
    while True:
        held.append(torch.ones(64 << 20))


def returns_nan(query, key, value, *, causal=False, padding=None):
    return query * float("nan")


def wrong_shape(query, key, value, *, causal=False, padding=None):
    return query.transpose(1, 2)


def wrong_dtype(query, key, value, *, causal=False, padding=None):
    return query.double()


def prints_megabytes(query, key, value, *, causal=False, padding=None):
    for _ in range(40):
        sys.stdout.write("x" * 50_000 + "\n")
        sys.stderr.write("y" * 50_000 + "\n")
    return torch.softmax(query @ key.transpose(-2, -1), -1) @ value


def softmax(query, key, value, *, causal=False, padding=None):
    return value
