"""The audit's arithmetic on numbers worked out by hand; the working stands beside each."""

from __future__ import annotations

from typing import Any

import pytest

from reports.audit.asked import Asked, Embodied, asked
from reports.audit.carbon import Straight, break_even, crossing, crossing_on_logs, operational_grams
from reports.audit.intensities import given
from reports.audit.prices import Price, price
from reports.audit.readings import Reading, Sample
from reports.audit.sensitivity import Pair, embodied, flips, intensity, length, method, pue, volume

# 31.536 kg over one year of 8,760 hours is 1 mg a second.
MACHINE = Embodied(kilograms=31.536, years=1, share=1, source="worked out by hand")


def reading(name: str, samples: list[tuple[float, float | None]], **fields: Any) -> Reading:
    known: dict[str, Any] = {
        "environment_id": "here",
        "suite": "task_energy",
        "subject": "sentiment/forward",
        "series": "sentiment/forward",
        "length": 0,
        "implementation": name,
        "role": "candidate",
        "phase": "forward",
        "items": 1,
        "tokens": 1,
        "method": "measured",
        "tool": "RAPL",
        "samples": tuple(Sample(joules=joules, seconds=seconds) for joules, seconds in samples),
        "net_joules": None,
        "windows": len(samples),
        "launches": 1,
        "started_at": "2026-01-02T03:04:05+00:00",
    }
    return Reading(**(known | fields))


def priced(name: str, joules: float, seconds: float | None, inputs: Asked, **fields: Any) -> Price:
    """Two equal windows: the mean is the number itself."""
    return price(reading(name, [(joules, seconds)] * 2, **fields), inputs, "inference", 0.99)


def audit(grams: float | None = 100.0, factor: float | None = None, machine: Embodied | None = None) -> Asked:
    chosen = None if grams is None else given(grams, "somewhere", "by hand")
    return Asked(intensity=chosen, pue=factor, embodied=machine)


def test_operational_grams_take_pue_once() -> None:
    # 7.2 MJ are 2 kWh; times 1.5 are 3 kWh; at 100 g/kWh they are 300 g.
    assert operational_grams(7.2e6, pue=1.5, grams_per_kilowatt_hour=100) == pytest.approx(300)


def test_embodied_grams_are_those_of_the_specification_s_own_example() -> None:
    # SCI v1.1: 1,000 kg over four years, reserved for an hour, is around 28 g: 1e6 g / 35,040 h.
    machine = Embodied(kilograms=1000, years=4, share=1, source="")
    assert machine.grams_a_second * 3600 == pytest.approx(1e6 / 35040)


def test_the_score_is_operational_plus_embodied_a_functional_unit() -> None:
    # A batch of 4 items takes 14.4 MJ and 8,000 s: an item takes 3.6 MJ (1 kWh) and 2,000 s.
    # PUE 1.2 and 50 g/kWh: 60 g. 1 mg a second, half the machine: 1 g. Together 61 g.
    half = Embodied(kilograms=31.536, years=1, share=0.5, source="")
    inputs = audit(50, 1.2, half)
    one = price(reading("a@torch", [(14.4e6, 8000.0)] * 2, items=4), inputs, "inference", 0.99)
    assert one.kilowatt_hours == pytest.approx(1.2)
    assert one.operational == pytest.approx((60, 60))
    assert one.embodied == pytest.approx((1, 1))
    assert one.total == pytest.approx((61, 61))


def test_an_interval_is_student_s_over_the_windows() -> None:
    # Windows 1, 2, 3: mean 2, standard error 1/√3, t(0.995; 2) = 9.9248: half width 5.7301.
    one = price(reading("a@torch", [(1.0, 1.0), (2.0, 1.0), (3.0, 1.0)]), audit(None), "inference", 0.99)
    found = one.estimate(one.joules)
    assert (found.mean, found.low, found.high) == pytest.approx((2, 2 - 5.7301, 2 + 5.7301), abs=1e-3)


def test_method_error_scales_energy_and_leaves_embodied_alone() -> None:
    # 3.6 MJ at 100 g/kWh are 100 g, plus 2,000 s at 1 mg: 2 g. Energy at 0.9 to 1.2: 92 g to 122 g.
    told = {"method_low": "0.9", "method_high": "1.2"}
    one = priced("a@torch", 3.6e6, 2000.0, audit(machine=MACHINE), details=told)
    assert one.with_method_error() == pytest.approx((92, 122))
    assert priced("a@torch", 1.0, 1.0, audit()).with_method_error() is None


def test_lines_cross_where_both_cost_the_same() -> None:
    # 10 + 2x = 4 + 5x at x = 2.
    one, other = Straight(fixed=10, slope=2), Straight(fixed=4, slope=5)
    assert crossing(one, other) == pytest.approx(2)
    assert one.at(2) == other.at(2) == 14
    assert crossing(one, Straight(fixed=11, slope=2)) is None


def test_costs_over_length_cross_on_straight_lines_in_logarithms() -> None:
    # One grows as n from 1 to 4 between 100 and 400, the other stays at 2: they meet at 200.
    assert crossing_on_logs((100, 400), (1, 4), (2, 2)) == pytest.approx(200)
    assert crossing_on_logs((100, 400), (1, 4), (0.5, 3)) is None
    assert crossing_on_logs((100, 400), (1, 4), (1, 4)) is None


def test_break_even_counts_the_requests_that_cost_a_training() -> None:
    assert break_even(6000, 0.75) == pytest.approx(8000)
    with pytest.raises(ValueError, match="never comes up"):
        break_even(6000, 0)


# `slow` needs 1 kWh and 3,000 s (3 g made), `fast` 1.5 kWh and 1,000 s (1 g made).
def two(inputs: Asked, **fields: Any) -> Pair:
    slow, fast = priced("slow@torch", 3.6e6, 3000.0, inputs), priced("fast@torch", 5.4e6, 1000.0, inputs)
    return Pair(cheaper=slow, dearer=fast, **fields)


def test_the_intensity_at_which_two_change_places() -> None:
    # 1·I + 3 = 1.5·I + 1 at I = 4; with PUE 2 at half of it.
    found = intensity(two(audit(100, None, MACHINE)), audit(100, None, MACHINE))
    assert (found.answer, found.at) == ("flips", pytest.approx(4))
    inputs = audit(100, 2, MACHINE)
    assert intensity(two(inputs), inputs).at == pytest.approx(2)


def test_the_pue_at_which_two_change_places() -> None:
    # At 2 g/kWh: 2·PUE + 3 = 3·PUE + 1 at PUE = 2; at 10 g/kWh it would have to be 0.4.
    inputs = audit(2, None, MACHINE)
    assert (pue(two(inputs), inputs).answer, pue(two(inputs), inputs).at) == ("flips", pytest.approx(2))
    inputs = audit(10, 1.5, MACHINE)
    found = pue(two(inputs), inputs)
    assert (found.answer, found.at) == ("cannot flip", pytest.approx(0.4))
    assert "none is below 1" in found.text


def test_the_embodied_share_at_which_two_change_places() -> None:
    # At 2 g/kWh: 2 + 3s = 3 + s at s = 0.5. At 100 g/kWh: 100 + 3s = 150 + s at 25 machines.
    half = Embodied(kilograms=31.536, years=1, share=0.1, source="")
    found = embodied(two(audit(2, None, half)), audit(2, None, half))
    assert (found.answer, found.at) == ("flips", pytest.approx(0.5))
    inputs = audit(100, None, MACHINE)
    found = embodied(two(inputs), inputs)
    assert (found.answer, found.at) == ("cannot flip", pytest.approx(25))
    assert "788 kg" in found.text  # 25 times 31.536


def test_without_an_estimate_time_says_what_embodied_carbon_could_do() -> None:
    # At 100 g/kWh: 100 + 3,000 r = 150 + 1,000 r at r = 0.025 g a second, 90 g an hour.
    found = embodied(two(audit(100)), audit(100))
    assert (found.answer, found.at) == ("flips", pytest.approx(90))
    assert "90.0 g an hour" in found.text
    both = Pair(cheaper=priced("a@torch", 1.0, 1.0, audit()), dearer=priced("b@torch", 2.0, 2.0, audit()))
    assert embodied(both, audit()).answer == "cannot flip"
    assert embodied(two(audit(None)), audit(None)).answer == "unknown"


def test_what_multiplies_both_alike_cannot_flip_them() -> None:
    for inputs in (audit(100), audit(None)):
        assert intensity(two(inputs), inputs).answer == "cannot flip"
        assert pue(two(inputs), inputs).answer == "cannot flip"


def test_one_that_needs_no_more_of_either_is_never_overtaken() -> None:
    inputs = audit(100, 1.2, MACHINE)
    pair = Pair(cheaper=priced("a@torch", 1e6, 10.0, inputs), dearer=priced("b@torch", 2e6, 20.0, inputs))
    assert {question(pair, inputs).answer for question in (intensity, pue, embodied)} == {"cannot flip"}


def test_windows_without_times_leave_embodied_questions_open() -> None:
    inputs = audit(100, 1.2, MACHINE)
    pair = Pair(cheaper=priced("a@torch", 1e6, None, inputs), dearer=priced("b@torch", 2e6, 20.0, inputs))
    assert {question(pair, inputs).answer for question in (intensity, pue, embodied)} == {"unknown"}


def test_the_number_of_requests_at_which_two_change_places() -> None:
    # 1,000 + 2n = 400 + 3n at n = 600: few requests for the one that trains cheaply.
    lines = Straight(fixed=1000, slope=2), Straight(fixed=400, slope=3)
    found = volume(two(audit(), over_requests=lines))
    assert (found.answer, found.at) == ("flips", pytest.approx(600))
    assert found.text.endswith("up to 600 requests fast@torch costs less, beyond them slow@torch")
    lines = Straight(fixed=400, slope=2), Straight(fixed=1000, slope=3)
    assert volume(two(audit(), over_requests=lines)).answer == "cannot flip"
    assert volume(two(audit())).answer == "unknown"


def curve(**costs: tuple[float, ...]) -> dict[str, dict[int, Reading]]:
    lengths = (100, 400, 1600)
    return {
        f"{name}@torch": {
            n: reading(f"{name}@torch", [(joules, 1.0)] * 3)
            for n, joules in zip(lengths, values, strict=False)
        }
        for name, values in costs.items()
    }


def test_the_length_at_which_two_change_places_is_between_two_that_were_measured() -> None:
    pair = two(audit())
    found = length(pair, [curve(slow=(1, 4, 16), fast=(2, 2, 2))])
    assert (found.answer, found.at) == ("flips", pytest.approx(200))
    assert "between 100 and 400" in found.text and "fast@torch needs less beyond" in found.text
    found = length(pair, [curve(slow=(1, 2, 3), fast=(2, 4, 6))])
    assert found.answer == "no flip seen" and "100 to 1,600" in found.text
    assert length(pair, [curve(slow=(1,), fast=(2,))]).answer == "unknown"
    assert length(pair, []).answer == "unknown"


def test_an_error_of_the_method_flips_what_its_bounds_can_make_up() -> None:
    def pair(low: str, high: str) -> Pair:
        told = {"method_low": low, "method_high": high}
        first = priced("a@torch", 90.0, 1.0, audit(), details=told)
        return Pair(cheaper=first, dearer=priced("b@torch", 100.0, 1.0, audit(), details=told))

    # 90 · 1.04 = 93.6 < 96 = 100 · 0.96; but 90 · 1.1 = 99 > 90 = 100 · 0.9.
    assert method(pair("0.96", "1.04")).answer == "cannot flip"
    assert method(pair("0.9", "1.1")).answer == "flips"
    assert method(pair("unknown", "unknown")).answer == "unknown"
    assert method(pair("0.9", "1.1")).at == pytest.approx(0.1)


def test_every_question_is_answered_once_a_pair() -> None:
    found = [flip.what for flip in flips(two(audit()), audit(), [])]
    assert found == [
        "carbon intensity",
        "PUE",
        "embodied share",
        "request volume",
        "sequence length",
        "error of the method",
    ]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"pue": 0.9}, "at least 1, got 0.9"),
        ({"pue": float("nan")}, "at least 1"),
        ({"intensity": 0.0}, "above 0 g/kWh"),
        ({"intensity": float("inf")}, "above 0 g/kWh"),
        ({"embodied": "1200"}, "KILOGRAMS,YEARS,SHARE"),
        ({"embodied": "1200,four,1"}, "KILOGRAMS,YEARS,SHARE"),
        ({"embodied": "1200,4,1.5"}, "a share from 0 to 1"),
        ({"embodied": "0,4,1"}, "above 0"),
        ({"functional_unit": "user"}, "known: inference, token, training"),
    ],
)
def test_what_cannot_be_is_refused(typed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        asked(**typed)
