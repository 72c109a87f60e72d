"""Words of a gate from made-up effects: small changes found, noise believed by nobody."""

import math
import random

import pytest

from bench.gate.cells import Cell, Sample, certified, confirm, flagged, screen, settled
from bench.gate.result import GateResult

PLANNED = 6


def cell(name: str = "sliding_window@torch", kind: str = "time", **fields: object) -> Cell:
    told = {
        "suite": "throughput",
        "metric": "seconds",
        "unit": "s",
        "subject": "layer/forward/257",
        "margin": 0.02,
    }
    return Cell(kind=kind, implementation=name, **{**told, **fields})


def sample(effects: list[float], fresh: list[float] = (), **fields: object) -> Sample:
    found = Sample(cell=cell(**fields), planned=PLANNED)
    found.effects = dict(enumerate(effects))
    found.fresh = dict(enumerate(fresh, PLANNED))
    return found


def around(effect: float, count: int = PLANNED, noise: float = 0.004, seed: int = 0) -> list[float]:
    drawn = random.Random(seed)
    return [effect + drawn.gauss(0, noise) for _ in range(count)]


def gated(samples: list[Sample]) -> list[Cell]:
    """Both phases, as a gate goes through them."""
    words = {c.place: c for c in screen(samples)}
    suspects = flagged(list(words.values()))
    of = {s.cell.place: s for s in samples}
    words |= {c.place: c for c in confirm([(of[c.place], c) for c in suspects])}
    return list(words.values())


def result(cells: list[Cell], **fields: object) -> GateResult:
    told = {"titles": {"baseline": "a", "candidate": "b"}, "command": "attnbench gate", "margin": 0.02}
    times = {"started_at": "2026-01-02T03:04:05+00:00", "finished_at": "2026-01-02T03:14:05+00:00"}
    return GateResult(cells=tuple(cells), launches=PLANNED, threads=1, **{**told, **times, **fields})


def test_a_slowdown_of_4_percent_is_found_and_confirmed_with_its_size() -> None:
    (found,) = gated([sample(around(math.log(1.04)), around(math.log(1.04), seed=1))])
    assert (found.word, found.shown, found.confirmed) == ("worse", "slower", True)
    assert found.low is not None and found.high is not None
    assert found.low < 1.04 < found.high
    assert result([found]).exit_code == 1


def test_a_speedup_is_faster_and_no_reason_to_worry() -> None:
    (found,) = gated([sample(around(math.log(0.9)), around(math.log(0.9), seed=1))])
    assert found.shown == "faster"
    assert result([found]).exit_code == 0


def test_no_change_is_the_same_within_the_margin() -> None:
    (found,) = gated([sample(around(0.0))])
    assert found.word == "same"


def test_what_fresh_launches_do_not_show_again_is_not_called_a_change() -> None:
    calm, wild = around(0.0, seed=1), around(0.0, noise=0.1, seed=1)
    assert gated([sample(around(0.05), calm)])[0].word == "same"
    assert gated([sample(around(0.05), wild)])[0].word == "undecided"
    other_way = gated([sample(around(0.05), around(-0.05, seed=1))])[0]
    assert other_way.word == "undecided"
    assert "seemed slower" in other_way.reason


def test_fresh_launches_alone_give_the_size_of_a_confirmed_change() -> None:
    (found,) = gated([sample(around(0.2), around(0.05, seed=1))])
    assert found.effect == pytest.approx(math.exp(0.05), abs=0.01)


def test_a_cell_without_enough_launches_is_undecided() -> None:
    (found,) = gated([sample([0.05])])
    assert (found.word, result([found]).exit_code) == ("undecided", 0)


def test_a_failure_is_neither_worse_nor_fine() -> None:
    failed = sample([])
    failed.failure = "candidate: ValueError: as asked"
    (found,) = gated([failed])
    assert (found.word, found.reason) == ("not_measured", failed.failure)
    assert result([found]).exit_code == 3
    slower = gated([sample(around(0.05), around(0.05, seed=1))])
    assert result([found, *slower]).exit_code == 1


def test_a_gate_without_cells_or_sides_could_not_measure() -> None:
    assert result([]).exit_code == 3
    assert result([], failure="baseline: no catalogue").headline == "Could not measure"


def test_among_many_cells_one_weak_outlier_is_none() -> None:
    weak = [0.03, 0.05, 0.02, 0.045, 0.015, 0.07]
    assert screen([sample(weak)])[0].word == "worse"
    many = [sample(around(0.0, noise=0.03, seed=n), name=f"v{n}@torch") for n in range(200)]
    first = screen([sample(weak), *many])[0]
    assert first.word == "undecided"
    assert "so many cells" in first.reason


def test_scores_are_differences_within_a_margin_of_their_own() -> None:
    lost = sample(
        around(-0.03, noise=0.002),
        around(-0.03, noise=0.002, seed=1),
        kind="score",
        metric="accuracy",
        better="higher",
        margin=0.01,
    )
    (found,) = gated([lost])
    assert found.word == "worse"
    assert found.effect == pytest.approx(-0.03, abs=0.005)


def test_the_same_answers_on_every_example_are_the_same_at_a_single_seed() -> None:
    assert gated([sample([0.0], kind="score", better="higher")])[0].word == "same"
    assert gated([sample([0.0])])[0].word == "undecided"


def test_launches_end_early_where_a_look_has_settled_it() -> None:
    assert settled(sample([0.5, 0.5001]))
    assert not settled(sample([0.5]))
    assert not settled(sample([0.03, -0.03]))
    assert settled(sample([0.03, -0.03] * 3))
    assert not settled(sample([], [0.5, 0.5001]), fresh=True)


def simulate(
    change: float, noise: float, nights: int, cells: int = 40, *, changed: int = 0
) -> tuple[int, int]:
    """In how many nights an unchanged cell was called worse, and how many changed ones were found in all."""
    drawn, alarms, found = random.Random(7), 0, 0
    for _ in range(nights):
        samples = []
        for number in range(cells):
            true = math.log1p(change) if number < changed else 0.0
            both = [[true + drawn.gauss(0, noise) for _ in range(PLANNED)] for _ in range(2)]
            samples.append(sample(*both, name=f"v{number}@torch"))
        worse = {c.implementation for c in gated(samples) if c.word == "worse"}
        alarms += any(int(name[1:].partition("@")[0]) >= changed for name in worse)
        found += sum(int(name[1:].partition("@")[0]) < changed for name in worse)
    return alarms, found


def test_nights_on_which_nothing_changed_raise_no_alarm() -> None:
    for noise in (0.006, 0.02):
        alarms, _ = simulate(0.0, noise, nights=150)
        assert alarms <= 3


def test_3_percent_at_the_noise_of_interleaved_launches_is_found() -> None:
    alarms, found = simulate(0.03, 0.006, nights=60, changed=2)
    assert found >= 0.95 * 2 * 60
    assert alarms <= 2


def test_certificates_are_facts() -> None:
    blank = cell(kind="certificate", suite="certificate", better="higher")
    ok, leaks, none = ("ok", ""), ("failed", "token 3 saw token 5"), ("unsupported", "no state")
    told = {
        "causality": (ok, leaks),
        "mixing": (ok, ok),
        "growth": (leaks, ok),
        "exactness": (leaks, leaks),
        "state": (ok, none),
        "twins": (none, none),
    }
    before = {name: sides[0] for name, sides in told.items()}
    after = {name: sides[1] for name, sides in told.items()} | {"padding": ok}
    found = {c.metric: c for c in certified(before, after, blank)}
    assert {name: c.word for name, c in found.items()} == {
        "causality": "worse",
        "mixing": "same",
        "growth": "better",
        "exactness": "same",
        "state": "undecided",
        "padding": "undecided",
    }
    assert found["causality"].shown == "broken"
    assert found["causality"].reason == "token 3 saw token 5"
