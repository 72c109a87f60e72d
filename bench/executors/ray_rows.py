"""What a cluster's rows say of its nodes. Imports no Ray."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bench.environment import identify, versions
from bench.executors.places import Node
from bench.schema import Environment


def unfit(environment: Environment, processors: int, threads: int) -> str:
    """Why the node cannot measure for this run; empty where it can."""
    ours, its = versions().get("attnbench"), environment.versions.get("attnbench")
    if ours != its:
        return f"it has attnbench {its}, and here is {ours}"
    return f"it has {processors} processors, and --threads asks for {threads}" if processors < threads else ""


def node_of(row: Mapping[str, Any], environment: Environment) -> Node:
    """The node of this row; its name makes its environment one of its own."""
    named = replace(environment, node=row["NodeName"])
    return Node(
        key=row["NodeID"],
        name=row["NodeName"],
        environment=replace(named, id=identify(named)),
        processors=processors_of(row),
        memory_bytes=memory_of(row),
        accelerators=int(row["Resources"].get("GPU", 0)),
    )


def processors_of(row: Mapping[str, Any]) -> int:
    """Those that Ray may claim there."""
    return int(row["Resources"].get("CPU", 0))


def memory_of(row: Mapping[str, Any]) -> int:
    """Bytes that Ray may claim there."""
    return int(row["Resources"].get("memory", 0))
