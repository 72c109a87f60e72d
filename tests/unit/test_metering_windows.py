"""Windows in a made-up world whose joules are known: what is told is true, or it is said why not."""

from collections import Counter
from collections.abc import Callable

import pytest
from metered import CORES, World, WorldMeter, bench_of, counted, step_of

from bench.measuring import arm_key
from bench.schema import Measurement, Step
from suites.metering.arms import Ready, in_windows
from suites.metering.meter import Certainty
from suites.metering.windows import Unit

WATTS = {"a": 20.0, "b": 40.0, "c": 15.0}
SECONDS = {"a": 0.3, "b": 0.013, "c": 1.7}
IDLE = 10.0


def metered(
    world: World, meter: WorldMeter | None = None, step: Step | None = None, **calls: Callable[[], None]
) -> list[Measurement]:
    """Three arms of known power and speed, or those given."""
    step = step or step_of(*(calls or WATTS))
    units = calls or {name: world.work(name, SECONDS[name], WATTS[name]) for name in WATTS}
    ready = [Ready(arm=arm, unit=Unit(call=units[arm.implementation[:-6]])) for arm in step.arms]
    return in_windows(
        step,
        bench_of(step),
        ready,
        opened=lambda _device: meter or WorldMeter(world),
        surroundings=world.surroundings(),
    )


def row(rows: list[Measurement], metric: str, name: str = "a") -> Measurement:
    (found,) = [m for m in rows if m.metric == metric and m.implementation == f"{name}@torch"]
    return found


def test_joules_a_call_gross_and_net_are_the_true_ones() -> None:
    rows = metered(World())
    for name, watts in WATTS.items():
        gross, net = row(rows, "joules", name), row(rows, "net_joules", name)
        assert gross.values == pytest.approx([(IDLE + watts) * SECONDS[name]] * 5, rel=1e-6)
        assert net.values == pytest.approx([watts * SECONDS[name]] * 5, rel=1e-6)
        assert row(rows, "window_seconds", name).values == pytest.approx([SECONDS[name]] * 5)
        assert (gross.unit, gross.method, gross.details["windows"]) == ("J", "measured", "5")


def test_idling_is_metered_before_and_after() -> None:
    rows = metered(World())
    (idle,) = [m for m in rows if m.metric == "idle_watts"]
    assert (idle.implementation, idle.role) == ("idle@torch", "yardstick")
    assert idle.values == pytest.approx([IDLE, IDLE])


def test_memory_is_told_apart_and_never_added() -> None:
    rows = metered(World(idle_watts={"processor": IDLE, "memory": 100.0}))
    assert row(rows, "joules").values == pytest.approx([(IDLE + WATTS["a"]) * SECONDS["a"]] * 5)
    assert row(rows, "memory_joules").values == pytest.approx([100.0 * SECONDS["a"]] * 5)


def test_a_window_lasts_five_seconds_and_fifty_updates_of_the_slowest_counter() -> None:
    for update, least in ((0.001, 5.0), (0.3, 15.0)):
        world = World()
        rows = metered(world, WorldMeter(world, (counted(update_seconds=update),)))
        for name in WATTS:
            assert least <= float(row(rows, "joules", name).details["window_seconds"]) < least + SECONDS[name]


def test_each_block_holds_each_arm_once_in_an_order_drawn_anew() -> None:
    world = World()
    metered(world)
    turns = [now for now, before in zip(world.history, ["", *world.history], strict=False) if now != before]
    # Two windows of one arm that meet at the border of two blocks look like one.
    assert 3 * 5 - 4 <= len(turns) <= 3 * 5
    assert {name: count >= 4 for name, count in Counter(turns).items()} == dict.fromkeys(WATTS, True)
    assert len({tuple(turns[i : i + 3]) for i in range(0, len(turns), 3)}) > 1


def test_a_wrong_estimate_costs_neither_a_short_window_nor_a_long_one() -> None:
    for guess in (1e-6, 0.3, 1000.0):
        world, step = World(), step_of("a")
        unit = Unit(call=world.work("a", 0.3, 20.0), seconds=max(guess, 0.15))
        (arm,) = step.arms
        rows = in_windows(
            step,
            bench_of(step),
            [Ready(arm=arm, unit=unit)],
            opened=lambda _device, world=world: WorldMeter(world),
            surroundings=world.surroundings(),
        )
        assert row(rows, "joules").details["calls_per_window"] == "17"


def test_load_from_outside_is_told_and_flags_its_window() -> None:
    world = World()
    quiet = world.work("a", 1.0, 20.0)
    calls = []

    def call() -> None:
        calls.append(1)
        # Five calls a window: the second window alone has company, on one core of four.
        world.others = 1.0 if 5 < len(calls) <= 10 else 0.0
        quiet()
        world.others = 0.0

    rows = metered(world, a=call)
    assert row(rows, "outside_load").values == pytest.approx([0, 1 / CORES, 0, 0, 0])
    assert {m.details["flagged"] for m in rows if m.implementation == "a@torch"} == {"1 of 5"}


def test_where_others_kept_the_machine_from_idling_net_is_inconclusive() -> None:
    rows = metered(World(others=2.0))
    net = row(rows, "net_joules")
    assert net.status == "inconclusive" and "50%" in net.reason
    assert row(rows, "joules").status == "ok"


def test_too_few_steps_of_a_counter_are_below_resolution_and_carry_no_value() -> None:
    world = World()
    rows = metered(world, WorldMeter(world, (counted(quantum_joules=10.0),)))
    for metric in ("joules", "net_joules", "processor_joules"):
        assert (row(rows, metric).status, row(rows, metric).values) == ("below_resolution", ())
    # Five seconds at 30 W are 15 steps of 10 J; the reason says so.
    assert "15." in row(rows, "joules").reason
    assert row(rows, "window_seconds").status == "ok"


def test_what_takes_no_more_than_idling_has_no_net_energy() -> None:
    rows = metered(world := World(), a=world.work("a", 1.0, 0.0))
    assert row(rows, "joules").status == "ok"
    assert row(rows, "net_joules").status == "below_resolution"


def test_an_arm_that_breaks_leaves_and_the_others_keep_their_windows() -> None:
    world = World()
    fine, calls = world.work("a", 1.0, 20.0), []

    def breaks() -> None:
        calls.append(1)
        if len(calls) == 8:
            raise RuntimeError("kaput")
        world.work("b", 1.0, 20.0)()

    rows = metered(world, a=fine, b=breaks)
    (failed,) = [m for m in rows if m.implementation == "b@torch"]
    assert (failed.metric, failed.status) == ("joules", "failed") and "kaput" in failed.reason
    assert len(row(rows, "joules").values) == 5


@pytest.mark.parametrize("window", [1, 4, 17])
def test_a_meter_that_breaks_is_a_failure_of_every_arm_and_never_a_zero(window: int) -> None:
    world = World()
    rows = metered(world, WorldMeter(world, breaks_at=window))
    assert {m.implementation for m in rows} == {f"{name}@torch" for name in WATTS}
    assert {(m.metric, m.status, m.reason, m.values) for m in rows} == {
        ("joules", "failed", "the counter has gone back", ())
    }


def test_no_meter_is_a_refusal_of_every_arm() -> None:
    step = step_of("a", "b")

    def refuse(_device: str) -> WorldMeter:
        raise NotImplementedError("no energy counter for cuda")

    ready = [Ready(arm=arm, unit=Unit(call=lambda: None)) for arm in step.arms]
    rows = in_windows(step, bench_of(step), ready, opened=refuse)
    assert [(m.status, m.reason) for m in rows] == [("unsupported", "no energy counter for cuda")] * 2


def test_the_headline_is_known_as_well_as_its_weakest_part() -> None:
    world = World(idle_watts={"processor": IDLE, "accelerator": 30.0})
    modelled = counted("accelerator", method="modelled", model="30 W", update_seconds=0.0, quantum_joules=0.0)
    told = row(metered(world, WorldMeter(world, (counted(), modelled))), "joules")
    assert (told.method, told.details["model"]) == ("modelled", "30 W")
    assert told.details["components"].startswith("processor: measured, made up; accelerator: modelled")
    assert told.details["components"].endswith("memory: none")
    # The ticks are those of the part that has some.
    assert float(told.details["fewest_ticks"]) > 1000


def test_bounds_of_the_method_weigh_the_parts_by_their_energy() -> None:
    world = World(idle_watts={"processor": 10.0, "accelerator": 30.0})
    exact = counted("accelerator", certainty=Certainty(low=1.0, high=1.0, basis="exact"))
    told = row(
        metered(world, WorldMeter(world, (counted(), exact)), a=world.work("a", 1.0, 20.0)), "joules"
    ).details
    # Half of the energy is the processor's, at 0.9 to 1.2.
    assert (told["method_low"], told["method_high"]) == ("0.95", "1.10")
    unknown = counted("accelerator", certainty=Certainty(low=None, high=None, basis="nobody knows"))
    told = row(metered(world, WorldMeter(world, (counted(), unknown))), "joules").details
    assert (told["method_low"], told["method_high"]) == ("unknown", "unknown")
    assert told["method_basis"] == "made up; nobody knows"


def test_every_arm_that_is_asked_for_has_a_row() -> None:
    step = step_of(*WATTS)
    rows = metered(World(), step=step)
    assert {arm_key(arm) for arm in step.arms} <= {f"{m.implementation} {m.role}" for m in rows}
