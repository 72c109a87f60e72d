"""Twins start from the same distribution, whatever the variant: a uniform one has a known width."""

from typing import Any

import numpy as np
import pytest

SETTINGS = {"width": 60, "heads": 5, "causal": False, "max_length": 7, "options": {}}


def widest(weights: dict[str, np.ndarray], path: str) -> dict[str, float]:
    return {
        name: float(np.abs(weights[f"{path}{name}.kernel"]).max())
        for name in ("query", "key", "value", "output")
    }


@pytest.mark.parametrize("variant", ["softmax", "linear"])
@pytest.mark.parametrize(
    ("architecture", "path"), [("layer", ""), ("image_generator", "encoder.0.attention.")]
)
def test_projections_start_equally_wide(fresh_twins: Any, architecture: str, path: str, variant: str) -> None:
    torch_twin, keras_twin = fresh_twins(architecture, variant, **SETTINGS)
    own = widest(torch_twin.export(), path)
    assert widest(keras_twin.export(), path) == pytest.approx(own, rel=0.05)


def test_the_generator_starts_as_wide_as_keras_itself(fresh_twins: Any) -> None:
    import keras

    _, keras_twin = fresh_twins("image_generator", "linear", **SETTINGS)
    own = keras.layers.MultiHeadAttention(num_heads=5, key_dim=60)
    own.build((None, 7, 60), (None, 7, 60))
    expected = float(np.abs(own.query_dense.kernel.numpy()).max())
    assert widest(keras_twin.export(), "encoder.0.attention.")["query"] == pytest.approx(expected, rel=0.05)
