"""Last words of a gate: a certificate shows itself twice, and a worker that fell over shows nothing; scores
that differ take more seeds."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bench.gate.judging import Judging
from bench.gate.kept import Kept
from bench.gate.ordinary import FEWEST_SEEDS, Ordinary, first_seeds, launches_of, name_of
from bench.gate.pairing import ArmPair
from bench.profiles import PROFILES
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


def untimed() -> Any:
    """No cells of time."""
    return SimpleNamespace(
        cells=(), unchanged=(), screen=lambda: None, moved=lambda: {}, confirm=lambda suspects: None
    )


def judged(*proofs: dict[str, str]) -> tuple[dict[str, str], int]:
    """The words, and how often a certificate was proven again."""
    ordinary = Scripted(*proofs)
    judging = Judging(cast(Any, ordinary), untimed(), {"certificate": CERTIFICATE}, 0.02, lambda line: None)
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


ACCURACY = Suite(
    name="accuracy",
    title="",
    metrics=(Metric(name="accuracy", title="", unit="fraction", better="higher"),),
    target="",
    tasks=("digits",),
)
ROBUSTNESS = replace(ACCURACY, name="robustness", tasks=(), trained_by="accuracy")
EXAMPLES = 200


class Trained:
    """A candidate that has so many of the examples right, seed by seed, where the baseline has 180."""

    def __init__(self, right: Sequence[int]) -> None:
        arm = Arm(implementation="linear@torch", role="candidate", target="")
        self.pair = ArmPair(
            suite="accuracy",
            step="digits",
            subject="digits",
            framework="torch",
            arms={"baseline": arm, "candidate": arm},
            keys={"baseline": "a", "candidate": "b"},
        )
        self.pairs, self.unchanged = [self.pair], ()
        self.rows: dict[str, Rows] = {"baseline": {}, "candidate": {}}
        self._right = right

    def _train(self, seeds: range) -> None:
        for seed in seeds:
            for side, right in (("baseline", 180), ("candidate", self._right[seed])):
                self.rows[side][name_of(self.pair), seed] = (self._scored(seed, right),)

    def _scored(self, seed: int, right: int) -> Measurement:
        return replace(
            rows(FINE)[0],
            suite="accuracy",
            metric="accuracy",
            unit="fraction",
            subject="digits",
            launch=seed,
            values=(1.0,) * right + (0.0,) * (EXAMPLES - right),
        )

    def planned(self, suite: str) -> int:
        return launches_of(ACCURACY, PROFILES["quick"])

    def screen(self) -> None:
        self._train(range(first_seeds(ACCURACY, PROFILES["quick"])))

    def more_seeds(self, pairs: Sequence[ArmPair]) -> None:
        assert pairs == [self.pair]
        self._train(range(FEWEST_SEEDS))

    def confirm(self, pairs: Sequence[ArmPair], again: int = 1) -> None:
        self._train(range(again * FEWEST_SEEDS, (again + 1) * FEWEST_SEEDS))


@pytest.mark.parametrize(
    ("right", "word", "evidence"),
    [
        ([180] * 3, "same", 3),
        ([85, 73, 101, 81, 96, 77, 90, 72, 84, 99, 80, 93], "worse", 6),
        ([180, 181, 180, 179, 181, 180], "same", 6),
        ([180, 190, 168, 182, 166, 187], "undecided", 6),
        ([85, 73, 101, 81, 96, 77, *[180] * 6], "same", 6),
    ],
)
def test_scores_that_differ_are_looked_at_over_more_seeds(right: list[int], word: str, evidence: int) -> None:
    judging = Judging(cast(Any, Trained(right)), untimed(), {"accuracy": ACCURACY}, 0.02, lambda line: None)
    (cell,) = judging.cells()
    assert (cell.word, cell.evidence) == (word, evidence)


def test_attacks_take_their_further_seeds_on_trainings_of_the_same(tmp_path: Path) -> None:
    ordinary = Ordinary(
        (),
        {"accuracy": ACCURACY, "robustness": ROBUSTNESS},
        {},
        kept=Kept(tmp_path, fresh=True),
        folder=tmp_path,
        profile=PROFILES["quick"],
        seed=0,
        jobs=1,
        again=False,
        tell=lambda line: None,
    )
    trained = Trained([]).pair
    attacked = replace(trained, suite="robustness")
    ordinary.pairs = [trained, attacked]
    asked: list[tuple[list[ArmPair], range, range]] = []
    measure: Any = lambda pairs, mark, of: asked.append((list(pairs), of("accuracy"), of("robustness")))  # noqa: E731
    ordinary._measure = measure  # type: ignore[method-assign]
    ordinary.screen()
    ordinary.more_seeds([attacked])
    ordinary.more_seeds([trained])
    ordinary.confirm([attacked])
    both = [trained, attacked]
    assert asked == [
        (both, range(3), range(1)),
        (both, range(1, 6), range(1, 6)),
        ([trained], range(3, 6), range(3, 6)),
        (both, range(6, 12), range(6, 12)),
    ]
