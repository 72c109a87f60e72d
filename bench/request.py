"""From what was typed to a `Request`: lists taken apart, names checked, zeros made numbers of cores."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import replace

from bench.exits import refuse
from bench.own_data import with_own_data
from bench.profiles import PROFILES
from bench.registry import Registry, choose, registry
from bench.schema import DTYPES, NORMALISATIONS, PHASES, POSITIONS, Request
from bench.task_settings import spelt_out

EVERYTHING = "all"


def split(text: str) -> tuple[str, ...]:
    """What stands between commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def lengths_of(text: str) -> tuple[int, ...]:
    """The sequence lengths of ``--lengths``, each once and the shortest first."""
    try:
        lengths = tuple(sorted({int(part) for part in split(text)}))
    except ValueError:
        refuse(f"--lengths takes whole numbers separated by commas, got {text!r}")
    if lengths and lengths[0] < 1:
        refuse(f"--lengths must be at least 1, got {lengths[0]}")
    return lengths


def checked(asked: Request, cores: int | None = None) -> Request:
    """The request with each of its names once and 0 threads or jobs standing for one a core, of this machine
    or of those it will be measured on.

    Raises UnknownNameError for a name that nobody registered; leaves with what is wrong with ``--data``
    or ``--set``.
    """
    known, cores = registry(), cores or os.cpu_count() or 1
    request = replace(
        asked,
        variants=_known("variant", _spelt_out(asked.variants, known), known.variants),
        frameworks=_known("framework", asked.frameworks, ("torch", "keras")),
        suites=_known("suite", asked.suites, known.suites),
        tasks=_known("task", asked.tasks, known.tasks),
        phases=_known("phase", asked.phases, PHASES),
        models=_known("model", asked.models, known.architectures),
        profile=choose("profile", [asked.profile], PROFILES)[0],
        dtype=_known_or_none("dtype", asked.dtype, DTYPES),
        positions=_known_or_none("positions", asked.positions, POSITIONS),
        normalisation=_known_or_none("normalisation", asked.normalisation, NORMALISATIONS),
        threads=asked.threads or cores,
        jobs=asked.jobs or cores,
    )
    return with_own_data(replace(request, settings=spelt_out(asked.settings, request.tasks)), known)


def _spelt_out(asked: tuple[str, ...], known: Registry) -> tuple[str, ...]:
    """The names with `EVERYTHING` in their place: all variants but the public packages' own."""
    ours = tuple(row.name for row in known.variants.values() if not row.peer_of)
    return tuple(name for one in asked for name in (ours if one == EVERYTHING else (one,)))


def _known(kind: str, asked: Iterable[str], known: Collection[str]) -> tuple[str, ...]:
    return tuple(choose(kind, asked, known))


def _known_or_none(kind: str, asked: str, known: Collection[str]) -> str:
    return choose(kind, [asked], known)[0] if asked else ""
