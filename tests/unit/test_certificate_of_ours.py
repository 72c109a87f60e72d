"""No variant of ours is flagged: every property that a row claims holds on torch, and here on Keras for some.

All of Keras takes minutes and runs in ``tox run -e certify``.
"""

import pytest
from test_certificate import certify

from bench.registry import registry

OURS = [row for row in registry().variants.values() if row.family and not row.peer_of]
ON_TORCH = [row for row in OURS if "torch" in row.targets]
# One of each kind: written out, in blocks, a window, features, a recurrence.
ON_KERAS = [row for row in OURS if row.name in ("softmax", "linear", "sliding_window", "retention")]


@pytest.mark.parametrize("row", ON_TORCH, ids=lambda row: row.name)
def test_no_variant_of_ours_is_flagged_on_torch(row) -> None:
    rows = certify(row.targets["torch"], row.claims, dict(row.options))
    assert {name: found.reason for name, found in rows.items() if found.status == "failed"} == {}
    # FlexAttention has no backward on a CPU, and says so.
    unsupported = {name for name, found in rows.items() if found.status != "ok"}
    assert unsupported == ({"gradient"} if row.name == "flex" else set())
    checked = {"definition" if not row.exact else "exactness", "mixing", "padding"}
    checked |= {"causality"} if row.causal else set()
    checked |= {"stepwise", "state"} if row.state else set()
    checked |= {"gradient"} if row.trainable else set()
    assert checked <= rows.keys()


@pytest.mark.parametrize("row", ON_KERAS, ids=lambda row: row.name)
def test_no_variant_of_ours_is_flagged_on_keras(row) -> None:
    rows = certify(
        row.targets["keras"],
        row.claims,
        dict(row.options),
        framework="keras",
        twin=row.targets["torch"],
    )
    assert {name: found.reason for name, found in rows.items() if found.status != "ok"} == {}
    assert "twins" in rows
