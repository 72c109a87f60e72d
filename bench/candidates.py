"""Which implementations a request means: catalogued ones, users' own, and those that cannot be at all."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.loading import LoadError, is_file_target, split_target
from bench.registry import Registry, choose
from bench.schema import RELATIVE_POSITIONS, Architecture, Arm, Request, Role, Task, Variant, Workload

REFERENCE = "softmax"
# The family of what a variant must beat to have learnt anything through its mixing.
CONTROLS = "controls"
# The profile that measures every variant when none is named, and the suite that checks them all.
DECODING_PHASES = ("prefill", "decode", "generate")
WHOLE_CATALOGUE, ADMITTING = "full", "certificate"
# The extra that brings a framework, and the module that tells whether it is there.
FRAMEWORK_EXTRAS = {"torch": ("torch", "torch"), "keras": ("keras", "keras")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An implementation that was asked for; `refusal` says why it cannot be measured at all."""

    variant: Variant
    framework: str
    target: str
    refusal: str = ""
    failed: bool = False

    @property
    def name(self) -> str:
        return f"{self.variant.name}@{self.framework}"

    def arm(self, role: Role) -> Arm:
        return Arm(
            implementation=self.name,
            role=role,
            target=self.target,
            options=self.variant.options,
            claims=self.variant.claims,
            twin="" if self.framework == "torch" else self.variant.targets.get("torch", ""),
        )


def user_variant(spec: str, taken: Iterable[str]) -> tuple[Variant, str]:
    """A row for ``--variant`` and the reason it is refused, if it is.

    `spec` is ``module:Name`` or ``path/to/file.py:name``, optionally with ``@framework`` at its end
    (torch where it says nothing).
    """
    target, _, framework = spec.rpartition("@")
    if not target or ":" in framework:
        target, framework = spec, ""
    try:
        place, name = split_target(target)
    except LoadError as error:
        return _user_row(spec, framework or "torch", target), str(error)
    if is_file_target(target):
        target = f"{Path(place).expanduser().resolve()}:{name}"
    if name in set(taken):
        return _user_row(
            target, framework or "torch", target
        ), f"duplicate name: {name!r} is already a variant; rename it"
    return _user_row(name, framework or "torch", target), ""


def _user_row(name: str, framework: str, target: str) -> Variant:
    return Variant(
        name=name,
        title=f"given on the command line: {target}",
        paper="",
        equation="",
        time="not declared",
        memory="not declared",
        time_exponent=0.0,
        exact=False,
        causal=True,
        cross_attention=True,
        segment_memory=True,
        trainable=True,
        reach="some",
        targets={framework: target},
    )


def missing(modules: Iterable[str]) -> bool:
    """Whether any of the modules is not installed, found out without importing one."""
    return any(importlib.util.find_spec(module) is None for module in modules)


def what_to_install(extra: str, modules: Iterable[str]) -> str:
    """The reason for a suite or framework whose packages are absent; empty where they are there."""
    return f"install attnbench[{extra}]" if extra and missing(modules) else ""


def frameworks(request: Request) -> tuple[str, ...]:
    """The frameworks asked for, and those that a user's own variants are written for."""
    own = (next(iter(user_variant(spec, ())[0].targets)) for spec in request.extra)
    return tuple(dict.fromkeys((*request.frameworks, *(name for name in own if name in FRAMEWORK_EXTRAS))))


def candidates(request: Request, registry: Registry) -> list[Candidate]:
    """All implementations that the request means, the reference first, refused ones with their reason."""
    found: list[Candidate] = []
    for framework in frameworks(request):
        extra, module = FRAMEWORK_EXTRAS.get(framework, ("all", framework))
        absent = what_to_install(extra, [module])
        for name in _names(request, registry, framework):
            variant = registry.variants[name]
            reason = absent or variant.unsupported.get(framework, "") or _missing_package(variant)
            if framework not in variant.targets and not reason:
                reason = f"{name} has no implementation for {framework}"
            target = variant.targets.get(framework, "")
            found.append(Candidate(variant=variant, framework=framework, target=target, refusal=reason))
    return found + list(_extra_candidates(request, registry))


def controls(request: Request, registry: Registry, taken: Iterable[str]) -> list[Candidate]:
    """The variants that a task must tell from real ones, as far as nobody asked for them: on the first of
    the frameworks asked for."""
    framework = next((one for one in frameworks(request) if one in FRAMEWORK_EXTRAS), "")
    rows = [row for row in registry.variants.values() if row.family == CONTROLS and framework in row.targets]
    found = [Candidate(variant=row, framework=framework, target=row.targets[framework]) for row in rows]
    return [candidate for candidate in found if candidate.name not in set(taken)]


def _names(request: Request, registry: Registry, framework: str) -> list[str]:
    """The reference, then what was named or is meant without a name, then the peers that were asked for."""
    names = choose("variant", request.variants, registry.variants)
    if not names and not request.extra:
        names = _unnamed(request, registry, framework)
    if request.peers:
        peers = [row for row in registry.variants.values() if row.peer_of in (*names, REFERENCE)]
        names += [row.name for row in peers if framework in row.targets or not row.targets]
    if REFERENCE in registry.variants and request.suites != (ADMITTING,):
        names = [REFERENCE, *(name for name in names if name != REFERENCE)]
    return list(dict.fromkeys(names))


def _unnamed(request: Request, registry: Registry, framework: str) -> list[str]:
    """What is meant where no variant is named."""
    rows = registry.variants.values()
    if request.peers:
        return [row.peer_of for row in rows if row.peer_of and framework in row.targets]
    whole = request.profile == WHOLE_CATALOGUE or ADMITTING in request.suites
    ours = [row for row in rows if not row.peer_of]
    return [row.name for row in ours if whole or framework in row.featured or not row.family]


def _missing_package(variant: Variant) -> str:
    name, module = variant.package
    return f"install {name}" if module and missing([module]) else ""


def _extra_candidates(request: Request, registry: Registry) -> Iterator[Candidate]:
    taken = set(registry.variants)
    for spec in request.extra:
        variant, refusal = user_variant(spec, taken)
        taken.add(variant.name)
        for framework, target in variant.targets.items():
            if not refusal and framework not in FRAMEWORK_EXTRAS:
                refusal = f"unknown framework {framework!r} in {spec!r}; known: {', '.join(FRAMEWORK_EXTRAS)}"
            yield Candidate(
                variant=variant, framework=framework, target=target, refusal=refusal, failed=bool(refusal)
            )
    for name, reason in registry.refused.items():
        row = _user_row(name, "torch", name)
        yield Candidate(variant=row, framework="plug-in", target="", refusal=reason, failed=True)


def refusal(candidate: Candidate, work: Workload | Task | None, registry: Registry) -> str:
    """Why the implementation cannot do this work at all; empty where it may be tried."""
    if candidate.refusal:
        return candidate.refusal
    if work is None:
        return ""
    architecture: Architecture | None = registry.architectures.get(work.architecture)
    if architecture is None:
        return f"no architecture {work.architecture!r} is registered"
    if candidate.framework not in architecture.targets:
        return f"the architecture {work.architecture} has no form for {candidate.framework}"
    if architecture.needs_cross_attention and not candidate.variant.cross_attention:
        return f"{work.architecture} needs cross-attention, which {candidate.variant.name} does not have"
    if architecture.needs_segment_memory and not candidate.variant.segment_memory:
        return f"{work.architecture} needs segment memory, which {candidate.variant.name} does not have"
    if isinstance(work, Workload):
        return _unfit(candidate.variant, work, architecture)
    return _needs_causality(candidate.variant, architecture, causal=work.causal)


def _unfit(variant: Variant, work: Workload, architecture: Architecture) -> str:
    """Why the variant cannot do this made-up work; empty where it may be tried."""
    positions = str(work.settings.get("positions", "none"))
    if positions in RELATIVE_POSITIONS and positions not in variant.positions:
        return f"{variant.name} takes no {positions} positions"
    if work.phase in DECODING_PHASES and not variant.state:
        return f"{variant.name} declares no decoding state: it does not go on token by token"
    if work.phase == "train_step" and not variant.trainable:
        return f"{variant.name} has no gradient here"
    return _needs_causality(variant, architecture, causal=work.causal)


def _needs_causality(variant: Variant, architecture: Architecture, *, causal: bool) -> str:
    if (causal or architecture.needs_causal) and not variant.causal:
        return f"{variant.name} has no causal form"
    if variant.causal_only and not (causal or architecture.needs_causal):
        return f"{variant.name} is causal only: compare it with --causal"
    return ""
