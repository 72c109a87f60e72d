"""The central types refuse what would make a report lie, and survive the way to disk and back."""

import dataclasses

import msgspec
import pytest

from bench import wire
from bench.schema import Measurement, Variant, Workload


def measurement(**changes: object) -> Measurement:
    fields: dict[str, object] = {
        "run": "r",
        "suite": "throughput",
        "metric": "seconds",
        "unit": "s",
        "implementation": "softmax@torch",
        "subject": "layer/forward/13",
        "seed": 0,
        "launch": 0,
        "method": "measured",
        "tool": "t",
        "environment_id": "e",
        "started_at": "now",
        "values": (1.0, 2.0),
    }
    return Measurement(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": ()}, "needs values"),
        ({"values": (float("nan"),)}, "must be finite"),
        ({"values": (float("inf"),)}, "must be finite"),
        ({"status": "failed", "values": ()}, "needs a reason"),
        ({"status": "failed", "reason": "why"}, "carries no values"),
        ({"status": "unsupported", "reason": "why", "values": (0.0,)}, "carries no values"),
    ],
)
def test_a_row_that_would_lie_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measurement(**changes)


def test_a_measurement_comes_back_from_disk_as_it_was() -> None:
    row = measurement(details={"a": "b"})
    assert wire.decode(wire.encode(row), Measurement) == row


def test_a_status_that_does_not_exist_is_refused_on_reading() -> None:
    line = wire.encode(measurement()).replace(b'"ok"', b'"fine"')
    with pytest.raises(msgspec.ValidationError, match="status"):
        wire.decode(line, Measurement)


def test_a_row_that_lies_is_refused_on_reading_too() -> None:
    line = wire.encode(measurement()).replace(b"[1.0,2.0]", b"[]")
    with pytest.raises(msgspec.ValidationError, match="needs values"):
        wire.decode(line, Measurement)


def test_work_that_cannot_be_is_refused() -> None:
    work = {
        "architecture": "layer",
        "phase": "forward",
        "batch": 1,
        "query_length": 7,
        "key_length": 7,
        "heads": 3,
    }
    with pytest.raises(ValueError, match="heads must divide width"):
        Workload(name="w", width=16, **work)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="batch must be at least 1"):
        Workload(name="w", width=15, **{**work, "batch": 0})  # type: ignore[arg-type]


def test_a_variant_is_not_both_there_and_missing() -> None:
    row = Variant(
        name="v",
        title="",
        paper="",
        equation="",
        time="n",
        memory="n",
        time_exponent=1,
        exact=False,
        causal=True,
        cross_attention=True,
        trainable=True,
        targets={"torch": "a:b"},
    )
    with pytest.raises(ValueError, match="both implemented and unsupported"):
        dataclasses.replace(row, unsupported={"torch": "no"})
