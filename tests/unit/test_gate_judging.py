"""Certificates through the gate: what counts is shown twice, and a worker that fell over shows nothing."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bench.gate.judging import Judging
from bench.gate.ordinary import Ordinary, name_of
from bench.gate.pairing import ArmPair
from bench.schema import Arm, Measurement, Metric, Suite

CERTIFICATE = Suite(
    name="certificate",
    title="",
    metrics=(Metric(name="holds", title="", unit="holds", better="higher"),),
    target="",
    admits=True,
)
Rows = dict[tuple[str, int], tuple[Measurement, ...]]
FINE = {"loads": "ok", "causality": "ok"}
LEAKS = {"loads": "ok", "causality": "failed"}
FELL = {"loads": "fell over"}


def rows(told: dict[str, str]) -> tuple[Measurement, ...]:
    return tuple(
        Measurement(
            run="run",
            suite="certificate",
            metric=name,
            unit="holds",
            implementation="linear@torch",
            subject="certificate",
            seed=0,
            launch=0,
            method="measured",
            tool="x",
            environment_id="here",
            started_at="",
            status="ok" if word == "ok" else "failed",
            values=(1.0,) if word == "ok" else (),
            reason="" if word == "ok" else f"{name} {word}",
            details={"cause": "time"} if word == "fell over" else {},
        )
        for name, word in told.items()
    )


class Scripted:
    """The candidate's proofs as told, one after the other; the baseline's are always fine."""

    fell_over = Ordinary.fell_over

    def __init__(self, *proofs: dict[str, str]) -> None:
        arm = Arm(implementation="linear@torch", role="candidate", target="")
        self.pair = ArmPair(
            suite="certificate",
            step="certificate",
            subject="certificate",
            framework="torch",
            arms={"baseline": arm, "candidate": arm},
            keys={"baseline": "a", "candidate": "b"},
        )
        self.pairs, self.unchanged = [self.pair], ()
        self.rows: dict[str, dict[tuple[str, int], tuple[Measurement, ...]]] = {
            "baseline": {},
            "candidate": {},
        }
        self._proofs = proofs
        self.asked = 0

    def _prove(self, launch: int) -> None:
        place = (name_of(self.pair), launch)
        self.rows["baseline"][place], self.rows["candidate"][place] = rows(FINE), rows(self._proofs[launch])

    def screen(self) -> None:
        self._prove(0)

    def confirm(self, pairs: Sequence[ArmPair], again: int = 1) -> None:
        self.asked += 1
        self._prove(again)


def judged(*proofs: dict[str, str]) -> tuple[dict[str, str], int]:
    """The words, and how often a certificate was proven again."""
    ordinary = Scripted(*proofs)
    times = SimpleNamespace(cells=(), unchanged=(), screen=lambda: None, moved=lambda: {})
    judging = Judging(
        cast(Any, ordinary), cast(Any, times), {"certificate": CERTIFICATE}, 0.02, lambda line: None
    )
    return {cell.metric: cell.word for cell in judging.cells()}, ordinary.asked


@pytest.mark.parametrize(
    ("proofs", "words", "asked"),
    [
        ((FINE,), {"loads": "same", "causality": "same"}, 0),
        ((LEAKS, LEAKS), {"loads": "same", "causality": "worse"}, 1),
        ((LEAKS, FINE), {"loads": "same", "causality": "undecided"}, 1),
        ((FELL, FINE), {"loads": "same", "causality": "same"}, 1),
        ((FELL, LEAKS, LEAKS), {"loads": "same", "causality": "worse"}, 2),
        ((FELL, LEAKS, FINE), {"loads": "same", "causality": "undecided"}, 2),
        ((FELL, FELL), {"loads": "worse", "causality": "undecided"}, 1),
    ],
)
def test_a_change_is_shown_twice_and_a_fault_of_the_hour_is_no_change(
    proofs: tuple[dict[str, str], ...], words: dict[str, str], asked: int
) -> None:
    assert judged(*proofs) == (words, asked)
