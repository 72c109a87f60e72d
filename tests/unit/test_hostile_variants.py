"""Twelve hostile variants in one run: each ends in its own row with its reason, the rest is measured."""

import dataclasses
from pathlib import Path

import pytest

from bench import session
from bench.executors import local
from bench.profiles import PROFILES
from bench.progress import Silent
from bench.schema import Measurement, Request
from bench.store import read_run

HOSTILE = Path(__file__).parent.parent / "hostile"
KERNELS = HOSTILE / "kernels.py"
REASONS = {
    "attend": "this module refuses to load",
    "raises_in_forward": "no forward for you",
    "hangs": "no answer within the time limit",
    "exits": "exited with code 5",
    "segfaults": "SIGSEGV",
    "allocates_without_end": "out of memory",
    "returns_nan": "NaN or infinite",
    "wrong_shape": "must have shape",
    "wrong_dtype": "must be float32",
    "nowhere": "has no 'nowhere'",
}


def specs() -> tuple[str, ...]:
    named = [name for name in REASONS if name not in ("attend",)]
    return (
        f"{HOSTILE / 'raises_on_import.py'}:attend",
        *(f"{KERNELS}:{name}" for name in named),
        f"{KERNELS}:prints_megabytes",
        f"{KERNELS}:softmax",
    )


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[Measurement, ...]:
    path = tmp_path_factory.mktemp("hostile") / "run"
    with pytest.MonkeyPatch.context() as patch:
        impatient = dataclasses.replace(PROFILES["smoke"], time_limit=25)
        patch.setitem(PROFILES, "smoke", impatient)
        patch.setattr(local, "memory_available", lambda: 6 << 30)
        request = Request(
            variants=("sdpa",),
            extra=specs(),
            frameworks=("torch",),
            suites=("throughput",),
            lengths=(19,),
            profile="smoke",
            threads=2,
            jobs=2,
        )
        session.create(request, path, "attnbench run")
        session.Session(path, lambda plan, jobs: Silent(), report=False).go_on()
    return read_run(path).measurements


@pytest.mark.slow
@pytest.mark.parametrize("name", REASONS)
def test_a_hostile_variant_has_its_row_and_its_reason(rows: tuple[Measurement, ...], name: str) -> None:
    own = [m for m in rows if m.implementation == f"{name}@torch"]
    barred = [m for m in own if m.suite == "certificate" and m.status == "failed"]
    assert len(barred) == 1
    assert REASONS[name] in barred[0].reason
    timed = [m for m in own if m.suite == "throughput"]
    assert {m.subject for m in timed} >= {"layer/forward/19", "layer/train_step/19"}
    assert all(m.status == "failed" and "certificate" in m.reason and not m.values for m in timed)


@pytest.mark.slow
def test_a_duplicate_name_has_its_own_row(rows: tuple[Measurement, ...]) -> None:
    own = [m for m in rows if m.implementation == f"{KERNELS}:softmax@torch"]
    assert own and all(m.status == "failed" and "duplicate name" in m.reason for m in own)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["softmax", "sdpa", "prints_megabytes"])
def test_everything_else_is_measured(rows: tuple[Measurement, ...], name: str) -> None:
    timed = [
        m
        for m in rows
        if m.implementation == f"{name}@torch" and m.metric == "seconds" and m.role != "control"
    ]
    subjects = {m.subject for m in timed}
    assert subjects >= {"layer/forward/19", "layer/train_step/19"}
    assert all(m.status == "ok" and m.values for m in timed)


@pytest.mark.slow
def test_no_row_is_doubled_or_blank(rows: tuple[Measurement, ...]) -> None:
    keys = [(m.suite, m.metric, m.implementation, m.role, m.subject, m.launch, m.seed) for m in rows]
    assert len(keys) == len(set(keys))
    assert all(m.values or m.reason for m in rows)
