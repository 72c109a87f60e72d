"""What the doctor says of energy: found counters, reasons and commands, readable at 80 columns."""

import io
import re

import counter_cases
import pytest
from counter_cases import CASES, Case, Machine
from counters import Gpu, steady
from rich.console import Console

from bench.doctor import Finding, energy_findings, print_findings


def findings(case: Case) -> list[Finding]:
    return list(energy_findings(counter_cases.run(case).found))


def printed(told: list[Finding], width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False, color_system=None)
    print_findings(told, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def named(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


def test_found_counters_are_told_with_component_tier_tool_and_pace() -> None:
    def build(built: Machine) -> None:
        counter_cases._memory_twice(built)
        built.gpus(Gpu(power=steady(120.0), counts=False))

    told = findings(Case("all", build, 1.0))
    assert told[0] == Finding(subject="energy", able=True, finding="counted for package-0, dram-0, gpu-0")
    assert [finding.subject for finding in told[1:]] == ["energy package-0", "energy dram-0", "energy gpu-0"]
    assert re.fullmatch(
        r"processor, measured: RAPL \(powercap, replayed\), moves every 1 ms by 0\.\d+ J", told[1].finding
    )
    assert told[3].finding == "accelerator, sampled: NVML power, sampled, moves every 100 ms by 12 J"


def test_what_cannot_be_read_has_its_reason_and_the_command() -> None:
    energy, package, *_ = findings(named("read by root only"))
    assert not energy.able
    assert energy.finding == "no counter: energy would be a constant times time"
    assert package.subject == "energy package-0"
    assert package.finding == "energy_uj may not be read by this user"
    assert re.fullmatch(r"sudo chmod a\+r /\S+/intel-rapl\*/energy_uj", package.advice)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_line_fits_80_columns_and_commands_stay_whole(case: Case) -> None:
    told = findings(case)
    lines = printed(told)
    assert all(len(line) <= 80 for line in lines)
    for finding in told:
        assert not finding.advice or f"        → {finding.advice}" in lines
        assert finding.able or finding.advice


def test_a_narrow_window_breaks_sentences_and_no_command() -> None:
    command = "sudo chmod a+r /sys/class/powercap/intel-rapl*/energy_uj"
    finding = Finding(
        subject="energy package-0, package-1, dram-0, dram-1",
        able=False,
        finding="energy_uj may not be read by this user",
        advice=command,
    )
    assert printed([finding], 40) == [
        "cannot  energy package-0, package-1, dram-0, dram-1",
        " " * 34 + "energy_uj may not be",
        " " * 34 + "read by this user",
        f"        → {command}",
    ]
