"""What this machine can and cannot measure, each with what to do about it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from bench.candidates import FRAMEWORK_EXTRAS
from bench.counters import Found, open_counters
from bench.environment import container_memory, cpu_model, memory_available
from bench.registry import Registry

if TYPE_CHECKING:
    from rich.console import Console

GIB = 1 << 30
LONGEST_SUBJECT = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`able` says whether it can be measured or is in order; `advice` what would change that."""

    subject: str
    able: bool
    finding: str
    advice: str = ""


def examine(registry: Registry) -> list[Finding]:
    """All findings on this machine and Python environment."""
    return [
        *_machine(),
        *_frameworks(),
        *_suites(registry),
        *_memory(),
        *_timing(),
        *energy_findings(open_counters()),
        *_accelerator(),
    ]


def _machine() -> Iterator[Finding]:
    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    free = memory_available() / GIB
    limit = container_memory()
    note = f", container limit {limit / GIB:.1f} GiB" if limit else ""
    yield Finding(
        subject="machine",
        able=True,
        finding=f"{cpu_model()}, {cores} cores, {free:.1f} GiB of memory free{note}",
    )


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _frameworks() -> Iterator[Finding]:
    for framework, (extra, module) in FRAMEWORK_EXTRAS.items():
        able = _installed(module)
        advice = "" if able else f"pip install 'attnbench[{extra}]'"
        yield Finding(
            subject=framework, able=able, finding="installed" if able else "not installed", advice=advice
        )


def _suites(registry: Registry) -> Iterator[Finding]:
    for suite in registry.suites.values():
        absent = [module for module in suite.modules if not _installed(module)]
        advice = f"pip install 'attnbench[{suite.extra}]'" if absent else ""
        finding = f"needs {', '.join(absent)}" if absent else "ready"
        yield Finding(subject=f"suite {suite.name}", able=not absent, finding=finding, advice=advice)
    for name, reason in registry.refused.items():
        yield Finding(
            subject=f"plug-in {name}", able=False, finding=reason, advice="mend or uninstall that package"
        )


def _memory() -> Iterator[Finding]:
    able = sys.platform == "linux" and os.access("/proc/self/clear_refs", os.W_OK)
    finding = "the kernel's high-water mark can be reset" if able else "no /proc/self/clear_refs to write to"
    yield Finding(
        subject="peak memory", able=able, finding=finding, advice="" if able else "measure memory on Linux"
    )


def _timing() -> Iterator[Finding]:
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    busy = load > 0.25 * cores
    advice = "stop what else runs: ratios bear it, absolute times do not" if busy else ""
    yield Finding(subject="quiet", able=not busy, finding=f"load {load:.2f} on {cores} cores", advice=advice)
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    if not governor.is_file():
        yield Finding(
            subject="clock", able=True, finding="no frequency governor is visible (usual on virtual machines)"
        )
        return
    name = governor.read_text().strip()
    fixed = name == "performance"
    advice = "" if fixed else "sudo cpupower frequency-set -g performance"
    yield Finding(subject="clock", able=fixed, finding=f"governor {name}", advice=advice)


def energy_findings(found: Found) -> Iterator[Finding]:
    """What counts energy here, why something does not, and the command that would allow it."""
    names = ", ".join(counter.domain.name for counter in found.counters)
    yield Finding(
        subject="energy",
        able=bool(names),
        finding=f"counted for {names}" if names else "no counter: energy would be a constant times time",
        advice="" if names else "see below what each counter lacks; until then energy ranks nothing",
    )
    for counter in found.counters:
        domain = counter.domain
        pace = f"moves every {1000 * counter.update_seconds:.3g} ms by {counter.quantum_joules:.2g} J"
        yield Finding(
            subject=f"energy {domain.name}",
            able=True,
            finding=f"{domain.component}, {domain.method}: {domain.tool}, {pace}",
        )
    for refusal in found.refusals:
        yield Finding(
            subject=f"energy {refusal.subject}", able=False, finding=refusal.reason, advice=refusal.advice
        )


def _accelerator() -> Iterator[Finding]:
    able = shutil.which("nvidia-smi") is not None
    finding = "nvidia-smi is there" if able else "no NVIDIA driver: --device cuda is not possible"
    yield Finding(subject="accelerator", able=able, finding=finding)


def print_findings(findings: list[Finding], console: Console | None = None) -> None:
    """A finding beside its subject, and under it what to do, on a line that can be copied whole."""
    from rich.console import Console
    from rich.text import Text

    console = console or Console(highlight=False)
    width = min(LONGEST_SUBJECT, max(len(finding.subject) for finding in findings))
    room = max(console.width - width - 10, 20)
    for finding in findings:
        mark = Text("can   ", "green") if finding.able else Text("cannot", "yellow")
        first, *more = textwrap.wrap(finding.finding, room, break_on_hyphens=False) or [""]
        long = len(finding.subject) > width
        more = [first, *more] if long else more
        start = finding.subject if long else f"{finding.subject:<{width}}  {first}"
        console.print(Text.assemble(mark, f"  {start}"), soft_wrap=True)
        for line in more:
            console.print(Text(f"        {'':<{width}}  {line}"), soft_wrap=True)
        if finding.advice:
            console.print(Text(f"        → {finding.advice}"), soft_wrap=True)
