"""RAPL: opens the counters of a powercap tree, each energy once, and says why one cannot be used."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.counters.accumulating import EnergyCounter
from bench.counters.counter import Component, Counter, CounterError, Domain, Found, Refusal
from bench.counters.pace import Pace, Watched, watch
from bench.counters.powercap import NotAllowedError, Tree, Zone, find_zones, on_sysfs
from bench.counters.unwrapping import Register
from bench.units import joules_of_microjoules

CPUINFO = Path("/proc/cpuinfo")
# Twice what the largest packages are sold for; memory behind one of them draws less.
MOST_WATTS = 1000.0
# RAPL moves about every millisecond.
WATCHED_MOVES = 20
WATCHED_SECONDS = 0.5
ELSEWHERE = "no command mends it: measure elsewhere or with a wall meter"


@dataclass(slots=True, kw_only=True)
class Candidate:
    """A zone that was looked at: with its pace, or with the reason why it cannot be used."""

    zone: Zone
    register: Register | None = None
    pace: Pace | None = None
    reason: str = ""
    forbidden: Path | None = None


def open_rapl(root: Path, *, clock: Callable[[], float], pause: Callable[[float], None]) -> Found:
    """The counters below `root` that can be read and move, and the refusals of the others.

    Watching them takes 20 of their updates, half a second at most.
    """
    try:
        tree = find_zones(root)
    except PermissionError as error:
        reason = f"{error.filename} may not be listed by this user"
        advice = f"sudo chmod a+rx {shlex.quote(str(error.filename))}"
        return Found(counters=(), refusals=(Refusal(subject="RAPL", reason=reason, advice=advice),))
    if not tree.zones:
        return Found(counters=(), refusals=(_none_there(root, tree),))
    tool = "RAPL (powercap)" if on_sysfs(root) else "RAPL (powercap, replayed)"
    candidates = _looked_at(tree.zones, clock, pause)
    counters: list[Counter] = []
    refused: dict[tuple[Component, str, str], list[str]] = {}
    for name in dict.fromkeys(zone.domain for zone in tree.zones):
        same = [candidate for candidate in candidates if candidate.zone.domain == name]
        opened = _first_usable(same, tool, clock)
        if isinstance(opened, EnergyCounter):
            counters.append(opened)
        else:
            advice = ELSEWHERE if opened.forbidden is None else _allow(root, candidates)
            refused.setdefault((opened.zone.component, opened.reason, advice), []).append(name)
    refusals = [
        Refusal(subject=", ".join(names), reason=reason, advice=advice)
        for (_, reason, advice), names in refused.items()
    ]
    return _whole(Found(counters=tuple(counters), refusals=tuple(refusals)))


def _whole(found: Found) -> Found:
    """Work may run on any package: without the counters of all of them those of some would be too little."""
    for kind in ("package", "dram"):
        lacking = [refusal for refusal in found.refusals if refusal.subject.startswith(kind)]
        left_over = [counter for counter in found.counters if counter.domain.name.startswith(kind)]
        if lacking and left_over:
            reason = f"only a part: {lacking[0].subject} cannot be counted"
            names = ", ".join(counter.domain.name for counter in left_over)
            part = Refusal(subject=names, reason=reason, advice=lacking[0].advice)
            kept = tuple(counter for counter in found.counters if counter not in left_over)
            found = Found(counters=kept, refusals=(*found.refusals, part))
    return found


def _looked_at(
    zones: Sequence[Zone], clock: Callable[[], float], pause: Callable[[float], None]
) -> list[Candidate]:
    candidates: list[Candidate] = []
    watched: list[tuple[Candidate, Watched]] = []
    for zone in zones:
        candidate = Candidate(zone=zone)
        candidates.append(candidate)
        try:
            zone.microjoules()
            candidate.register = register = Register(
                span=zone.span_microjoules(),
                unit="µJ",
                in_joules=joules_of_microjoules,
                most_watts=MOST_WATTS,
            )
        except CounterError as error:
            candidate.reason = str(error)
            candidate.forbidden = error.path if isinstance(error, NotAllowedError) else None
        else:
            watched.append((candidate, Watched(read=zone.microjoules, register=register)))
    only = [register for _, register in watched]
    waited = watch(only, moves=WATCHED_MOVES, seconds=WATCHED_SECONDS, clock=clock, pause=pause)
    for candidate, seen in watched:
        candidate.pace = None if seen.failure else seen.pace(waited)
        if candidate.pace is None:
            candidate.reason = seen.failure or f"stood still for {waited:.1f} s while it was being read"
    return candidates


def _first_usable(
    same: Sequence[Candidate], tool: str, clock: Callable[[], float]
) -> EnergyCounter | Candidate:
    """The counter of one domain, or the candidate whose reason stands for all of them."""
    controls = [candidate.zone.control for candidate in same]
    if len(set(controls)) < len(controls):
        zones = ", ".join(candidate.zone.folder.name for candidate in same)
        return Candidate(
            zone=same[0].zone, reason=f"{zones} have one name: whether they meter one thing is unknown"
        )
    for candidate in same:
        if candidate.register is None or candidate.pace is None:
            continue
        zone = candidate.zone
        domain = Domain(name=zone.domain, component=zone.component, tool=tool, method="measured")
        return EnergyCounter(domain, zone.microjoules, candidate.register, candidate.pace, clock)
    return same[0]


def _allow(root: Path, candidates: Sequence[Candidate]) -> str:
    """The command that lets everyone read, until the next start of the machine."""
    files = [candidate.forbidden for candidate in candidates if candidate.forbidden is not None]
    if all(file.parent.parent == root and file.name == "energy_uj" for file in files):
        return f"sudo chmod a+r {shlex.quote(str(root))}/intel-rapl*/energy_uj"
    return "sudo chmod a+r " + " ".join(shlex.quote(str(file)) for file in files)


def _none_there(root: Path, tree: Tree) -> Refusal:
    if tree.others:
        told = ", ".join(name or "a zone without a name" for name in tree.others)
        reason = f"there is no package, only {told}, which meters more than the processor"
        return Refusal(subject="RAPL", reason=reason, advice="measure with a wall meter")
    if root.is_dir() and any(path.name.startswith("intel-rapl:") for path in root.iterdir()):
        return Refusal(
            subject="RAPL",
            reason=f"{root} is there and its zones are hidden, as containers do",
            advice="docker run -v /sys/class/powercap/intel-rapl:/rapl:ro -e ATTNBENCH_POWERCAP=/rapl",
        )
    reason = f"{root} holds no counter" if root.is_dir() else f"there is no {root}"
    if _is_virtual():
        advice = "measure on bare metal: guests do not see the counters of their host"
        return Refusal(subject="RAPL", reason=f"{reason}, as in virtual machines", advice=advice)
    if platform.machine() not in ("x86_64", "AMD64"):
        advice = "measure with a wall meter, or on an Intel or AMD processor"
        return Refusal(subject="RAPL", reason=f"{reason} for {platform.machine()}", advice=advice)
    return Refusal(subject="RAPL", reason=reason, advice="sudo modprobe intel_rapl_msr")


def _is_virtual() -> bool:
    try:
        return " hypervisor" in CPUINFO.read_text()
    except OSError:
        return False
