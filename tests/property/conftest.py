"""Makes layers for the tests of all variants."""

import importlib
from collections.abc import Callable

import pytest


@pytest.fixture(scope="session")
def torch_layer() -> Callable[..., object]:
    """``make(variant, causal=…, max_length=…)``: a float64 layer, width 7, 3 heads of 5, random weights.

    Options are small, so that short sequences cross several windows, feature groups and landmarks.
    """
    import torch

    from implementations.catalog import VARIANTS
    from implementations.on_torch.layer import build_layer

    def make(variant: str, *, causal: bool, max_length: int) -> torch.nn.Module:
        row = next(one for one in VARIANTS if one.name == variant)
        module, name = row.targets["torch"].split(":")
        layer = build_layer(
            getattr(importlib.import_module(module), name),
            width=7,
            heads=3,
            causal=causal,
            max_length=max_length,
            options={**row.options, **row.small},
            head_width=5,
        ).double()
        generator = torch.Generator().manual_seed(2)
        with torch.no_grad():
            for weight in layer.parameters():
                weight.normal_(0.0, 0.5, generator=generator)
        return layer

    return make
