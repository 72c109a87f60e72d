"""Which counters are found, why others are not used, and whether the advice that goes with it helps."""

import importlib.util
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import counter_cases
import psutil
import pytest
import replay
from counter_cases import DRAM, PACKAGE, Machine
from counters import Clock, Gpu, Nvml, as_nobody, steady

from bench.counters import Found, Refusal, open_counters, rapl
from bench.counters.nvml import open_nvml
from bench.counters.visible import Device, VisibilityError, visible

STANDIN = Path(counter_cases.__file__).parent


@pytest.fixture
def built() -> Iterator[Machine]:
    with counter_cases.machine() as machine:
        yield machine


def found_on(built: Machine, root: Path | None = None) -> Found:
    folder = built.tree.folder
    return open_counters(
        root or folder, built.nvml, clock=built.clock, pause=built.clock.pause, hwmon=folder / "hwmon"
    )


def names(found: Found) -> list[str]:
    return [counter.domain.name for counter in found.counters]


def of_rapl(found: Found) -> Refusal:
    return next(refusal for refusal in found.refusals if refusal.subject != "NVML")


def test_the_command_that_is_advised_lets_everyone_read(built: Machine) -> None:
    built.package("intel-rapl:0", "package-0", PACKAGE)
    built.dram("intel-rapl:0:0", DRAM)
    built.tree.lock()
    with as_nobody():
        before = found_on(built)
    assert names(before) == []
    advice = of_rapl(before).advice
    assert advice == f"sudo chmod a+r {built.tree.folder}/intel-rapl*/energy_uj"
    assert advice in {refusal.advice for refusal in before.refusals if refusal.subject == "dram-0"}
    subprocess.run(["sh", "-c", advice.removeprefix("sudo ")], check=True)
    for path in built.tree.registers:
        path.chmod(path.stat().st_mode | 0o222)  # the fake writes as whoever reads
    built.tree.locked.clear()
    with as_nobody():
        assert names(found_on(built)) == ["package-0", "dram-0"]


def test_the_command_names_files_where_zones_lie_within_one_another(built: Machine) -> None:
    built.package("intel-rapl:0", "package-0", PACKAGE)
    built.tree.zone("intel-rapl:0:1", "dram", DRAM, nested=True)
    built.tree.lock()
    with as_nobody():
        advice = of_rapl(found_on(built)).advice
    folder = built.tree.folder / "intel-rapl:0"
    assert advice == f"sudo chmod a+r {folder}/energy_uj {folder}/intel-rapl:0:1/energy_uj"


def test_the_command_names_another_file_where_that_is_what_may_not_be_read(built: Machine) -> None:
    built.package("intel-rapl:0", "package-0", PACKAGE)
    span = built.tree.folder / "intel-rapl:0" / "max_energy_range_uj"
    span.chmod(0o400)
    with as_nobody():
        assert of_rapl(found_on(built)).advice == f"sudo chmod a+r {span}"


def test_a_folder_that_may_not_be_listed_has_its_own_command(built: Machine) -> None:
    built.package("intel-rapl:0", "package-0", PACKAGE)
    built.tree.folder.chmod(0o700)
    with as_nobody():
        refusal = of_rapl(found_on(built))
    assert refusal.advice == f"sudo chmod a+rx {built.tree.folder}"


def test_zones_within_one_another_are_found_as_a_container_mounts_them(built: Machine) -> None:
    built.package("intel-rapl:0", "package-0", PACKAGE)
    built.dram("intel-rapl:0:1", DRAM, nested=True)
    assert names(found_on(built)) == ["package-0", "dram-0"]


def test_more_than_nine_packages_stand_in_order(built: Machine) -> None:
    for number in range(11):
        built.package(f"intel-rapl:{number}", f"package-{number}", PACKAGE)
    assert names(found_on(built)) == [f"package-{number}" for number in range(11)]


def test_the_first_way_to_a_package_is_used_where_both_count(built: Machine) -> None:
    built.tree.zone("intel-rapl-mmio:0", "package-0", replace(PACKAGE, power=steady(500.0)))
    built.package("intel-rapl:1", "package-0", replace(PACKAGE, power=steady(50.0)))
    (counter,) = found_on(built).counters
    before = counter.joules()
    built.clock.pause(1.0)
    assert counter.joules() - before == pytest.approx(50.0, rel=0.01)


def test_memory_is_named_after_its_package_and_die(built: Machine) -> None:
    built.package("intel-rapl:3", "package-1-die-0", PACKAGE)
    built.dram("intel-rapl:3:0", DRAM)
    assert names(found_on(built)) == ["package-1-die-0", "dram-1-die-0"]


def test_links_that_lead_nowhere_are_zones_that_a_container_hides(built: Machine) -> None:
    (built.tree.folder / "intel-rapl:0").symlink_to(built.tree.folder / "masked")
    refusal = of_rapl(found_on(built))
    assert "hidden" in refusal.reason
    assert refusal.advice.startswith("docker run -v /sys/class/powercap/intel-rapl:")


@pytest.mark.parametrize(
    ("flags", "machine", "advice"),
    [
        ("flags : fpu hypervisor", "x86_64", "measure on bare metal"),
        ("flags : fpu", "x86_64", "sudo modprobe intel_rapl_msr"),
        ("Features : fp", "aarch64", "wall meter"),
    ],
)
def test_without_powercap_the_advice_fits_the_machine(
    built: Machine, monkeypatch: pytest.MonkeyPatch, flags: str, machine: str, advice: str
) -> None:
    cpuinfo = built.tree.folder / "cpuinfo"
    cpuinfo.write_text(flags + "\n")
    monkeypatch.setattr(rapl, "CPUINFO", cpuinfo)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    refusal = of_rapl(found_on(built, built.tree.folder / "absent"))
    assert refusal.subject == "RAPL"
    assert refusal.reason.startswith("there is no ")
    assert advice in refusal.advice


def test_a_tree_that_the_kernel_does_not_write_says_that_it_is_replayed(
    built: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    built.package("intel-rapl:0", "package-0", PACKAGE)
    assert found_on(built).counters[0].domain.tool == "RAPL (powercap, replayed)"
    mounts = [
        SimpleNamespace(mountpoint="/", fstype="overlay"),
        SimpleNamespace(mountpoint=str(built.tree.folder.resolve()), fstype="sysfs"),
    ]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: mounts)
    assert found_on(built).counters[0].domain.tool == "RAPL (powercap)"


def test_a_variable_names_another_tree(built: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    built.package("intel-rapl:0", "package-0", PACKAGE)
    monkeypatch.setenv("ATTNBENCH_POWERCAP", str(built.tree.folder))
    assert names(open_counters(None, built.nvml, clock=built.clock, pause=built.clock.pause)) == ["package-0"]


def test_amds_other_driver_is_named_where_powercap_has_nothing(built: Machine) -> None:
    folder = built.tree.folder / "hwmon" / "hwmon3"
    folder.mkdir(parents=True)
    (folder / "name").write_text("amd_energy\n")
    (refusal,) = [one for one in found_on(built).refusals if one.subject == "amd_energy"]
    assert refusal.advice == "sudo modprobe intel_rapl_msr"
    built.package("intel-rapl:0", "package-0", PACKAGE)
    assert "amd_energy" not in {one.subject for one in found_on(built).refusals}


def test_a_missing_part_takes_its_whole_component_away_and_leaves_the_other(built: Machine) -> None:
    for number in (0, 1):
        built.package(f"intel-rapl:{number}", f"package-{number}", PACKAGE)
        built.dram(f"intel-rapl:{number}:0", replace(DRAM, still_from=0.0 if number else 1e9))
    found = found_on(built)
    assert names(found) == ["package-0", "package-1"]
    assert {refusal.subject for refusal in found.refusals} == {"dram-0", "dram-1", "NVML"}


def gpus_shown(monkeypatch: pytest.MonkeyPatch, value: str, *gpus: Gpu, order: str = "") -> Found:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", order)
    clock = Clock()
    return open_nvml(Nvml(clock, *gpus), environment=os.environ, clock=clock, pause=clock.pause)


SAME = (Gpu(power=steady(90.0), uuid="GPU-aa1"), Gpu(power=steady(30.0), uuid="GPU-ab2"))
MIXED = (SAME[0], replace(SAME[1], model="another"))


@pytest.mark.parametrize(
    ("shown", "order", "gpus", "expected"),
    [
        ("1", "", SAME, ["gpu-1"]),
        ("1,0", "", SAME, ["gpu-1", "gpu-0"]),
        ("GPU-ab", "", MIXED, ["gpu-1"]),
        ("GPU-a", "", SAME, []),  # two begin so
        ("1,7,0", "", SAME, ["gpu-1"]),
        ("0", "PCI_BUS_ID", MIXED, ["gpu-0"]),
        ("-1", "", SAME, []),
        ("", "", SAME, []),
    ],
)
def test_only_gpus_that_cuda_shows_are_metered(
    monkeypatch: pytest.MonkeyPatch, shown: str, order: str, gpus: tuple[Gpu, ...], expected: list[str]
) -> None:
    found = gpus_shown(monkeypatch, shown, *gpus, order=order)
    assert names(found) == expected
    assert [refusal.advice for refusal in found.refusals] == (
        [] if expected else ["unset CUDA_VISIBLE_DEVICES"]
    )


def test_numbers_among_several_models_are_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    (refusal,) = gpus_shown(monkeypatch, "0", *MIXED).refusals
    assert refusal.advice == "export CUDA_DEVICE_ORDER=PCI_BUS_ID"


def test_a_part_of_a_gpu_is_not_metered() -> None:
    with pytest.raises(VisibilityError, match="a part of a GPU"):
        visible([Device(index=0, uuid="GPU-a", model="m")], {"CUDA_VISIBLE_DEVICES": "MIG-12"})


def test_a_gpu_that_is_refused_leaves_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    clock = Clock()
    nvml = Nvml(clock, replace(SAME[0], still_from=0.0), replace(SAME[1], counts=False))
    found = open_nvml(nvml, environment={}, clock=clock, pause=clock.pause)
    (counter,), (refusal,) = found.counters, found.refusals
    assert (counter.domain.name, counter.domain.tool, counter.domain.method) == (
        "gpu-1",
        "NVML power, sampled",
        "sampled",
    )
    assert (refusal.subject, refusal.advice) == ("gpu-0", "sudo nvidia-smi -i 0 --gpu-reset")
    assert refusal.reason == "stood still for 1.5 s while it was being read"


def test_eight_gpus_are_watched_at_once() -> None:
    clock = Clock()
    begin = clock.now
    gpus = [Gpu(power=steady(50.0 + number)) for number in range(8)]
    found = open_nvml(Nvml(clock, *gpus), environment={}, clock=clock, pause=clock.pause)
    assert len(found.counters) == 8
    assert clock.now - begin < 1.0


def test_without_driver_or_package_nvml_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    (refusal,) = open_nvml(Nvml(clock), environment={}, clock=clock, pause=clock.pause).refusals
    assert refusal.reason == "there is no NVIDIA driver"
    monkeypatch.setitem(sys.modules, "pynvml", None)
    (refusal,) = open_nvml(None, environment={}, clock=clock, pause=clock.pause).refusals
    assert refusal.advice == "pip install 'attnbench[energy]'"


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("replayed_pynvml", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_replayed_gpu_says_so_and_counts_what_was_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml, clock = loaded(STANDIN / "replayed_nvml" / "pynvml.py"), Clock()
    monkeypatch.setattr(nvml.time, "monotonic", clock)
    nvml.BEGIN = clock.now
    found = open_nvml(nvml, environment={}, clock=clock, pause=clock.pause)
    (counter,) = found.counters
    assert counter.domain.tool == "NVML total energy, replayed"
    before, begin = counter.joules(), clock.now - nvml.BEGIN
    for _ in range(40):
        clock.pause(1.0)
        counter.joules()
    true = nvml.GPU.power.joules(begin + 40) - nvml.GPU.power.joules(begin)
    assert counter.joules() - before == pytest.approx(true, rel=0.01)


def test_the_replay_writes_a_tree_that_is_found(tmp_path: Path) -> None:
    replay.main(tmp_path, 0.02)
    assert (tmp_path / "intel-rapl:0" / "name").read_text() == "package-0\n"
    assert int((tmp_path / "intel-rapl:0:0" / "energy_uj").read_text()) >= 7_000_000
    assert not list(tmp_path.rglob("*.new"))
