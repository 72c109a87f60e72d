"""Made-up work as a request wants it: other lengths, causal, another dtype, positions or normalisation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bench.schema import Request, Workload

# The architecture that is one attention layer and nothing else.
BARE = "layer"


def shaped(workloads: Iterable[Workload], request: Request) -> tuple[Workload, ...]:
    """The workloads as asked: at the asked lengths, those that scale made anew and the fixed ones left out;
    causal, in another dtype, with other positions or normalisation, each of which stands in the name."""
    workloads = tuple(workloads)
    if request.lengths:
        workloads = tuple(_at(w, length) for w in workloads if w.scales for length in request.lengths)
    made = (_changed(workload, request) for workload in workloads)
    return tuple({workload.name: workload for workload in made}.values())


def asked_for(workload: Workload, request: Request) -> bool:
    """Whether the workload's phase and model are among those asked for, if any were."""
    phase = not request.phases or workload.phase in request.phases
    return phase and (not request.models or workload.architecture in request.models)


def _at(workload: Workload, length: int) -> Workload:
    name = "/".join((*workload.name.split("/")[:-1], str(length)))
    # Decoding asks with one token, whatever the context.
    queries = workload.query_length if workload.phase == "decode" else length
    return replace(workload, name=name, query_length=queries, key_length=length)


def _changed(workload: Workload, request: Request) -> Workload:
    if not workload.scales:
        return workload
    settings = dict(workload.settings)
    marks = []
    if request.causal and not workload.causal:
        marks.append("causal")
    if request.dtype and request.dtype != workload.dtype:
        marks.append(request.dtype)
    if request.positions:
        settings["positions"] = request.positions
        marks.append(request.positions)
    if request.normalisation and (request.normalisation == "qk" or workload.architecture != BARE):
        settings |= (
            {"qk_norm": True} if workload.architecture == BARE else {"normalisation": request.normalisation}
        )
        marks.append(request.normalisation)
    return replace(
        workload,
        name="_".join((*marks, workload.name)),
        causal=workload.causal or request.causal,
        dtype=request.dtype or workload.dtype,
        settings=settings,
    )
