"""Jobs on the nodes of a Ray cluster; the only module that imports Ray.

Ray finds the nodes, starts a process where it is told to, keeps whoever else uses the cluster off the
processors that a job claims, and notices when a node dies. Where a job goes is decided by
`bench.executors.places`, what it does there by `bench.executors.on_node`. A job is claimed with the
resources that it is packed by; an exclusive one claims all processors and accelerators of its node. Ray
itself never tries a job again: whether a job's own worker or its node has failed is told apart here.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

# Before Ray reads them: nothing leaves the cluster, and no page is served.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench import wire
from bench.executors import carried, on_node
from bench.executors.places import Node, NoRoomError, Places, needed
from bench.executors.protocol import RAY, ExecutorError
from bench.executors.ray_rows import memory_of, node_of, processors_of, unfit
from bench.launch import Outcome
from bench.schema import Environment, Job
from bench.worker import Answer

OWN_STORE_BYTES = 256 << 20
LOOK_SECONDS = 120.0
# How long Ray takes to call a node dead that does not answer, and a little.
DEATH_SECONDS = 45.0
ANSWER_SECONDS = 5.0
MOST_LANES = 256


def open_cluster(address: str) -> OnRay:
    """Join the cluster at `address` (``"host:port"``), without one that of RAY_ADDRESS; without either start
    one that consists of this machine. Raises ExecutorError where it cannot be joined."""
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False, "namespace": "attnbench"}
    where = address or os.environ.get("RAY_ADDRESS", "")
    try:
        if where:
            _knock(where)
            ray.init(address=where, **quiet)
        else:
            own = {"include_dashboard": False, "object_store_memory": OWN_STORE_BYTES}
            ray.init(address="local", _node_ip_address="127.0.0.1", **own, **quiet)
    except (OSError, RuntimeError, ValueError, RayError) as error:
        raise ExecutorError(
            f"the Ray cluster at {where or 'this machine'} cannot be joined: {error}"
        ) from error
    return OnRay(places=None)


def _knock(address: str) -> None:
    """Ray itself would knock for minutes at a door that nobody opens."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or "/" in host:
        raise ValueError("an address is a host and a port, such as 10.0.0.1:6379")
    socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()


class OnRay:
    """The executor; `places` are made by `environments`, which asks the nodes."""

    name = RAY

    def __init__(self, places: Places | None) -> None:
        self._made = places
        # A node without processors coordinates and measures nothing.
        self._alive = {row["NodeID"]: row for row in ray.nodes() if row["Alive"] and processors_of(row)}
        self._token = secrets.token_hex(8)
        self._settings = on_node.settings()
        self._running: dict[str, Any] = {}
        self._lost_on: dict[str, set[str]] = {}
        self._held: dict[str, dict[str, tuple[int, int]]] = {}
        self._guard = threading.Lock()
        self._sending = threading.Lock()
        self.stopped = False
        self.cores = min((processors_of(row) for row in self._alive.values()), default=1)
        self.memory_bytes = min((memory_of(row) for row in self._alive.values()), default=0)

    def environments(self, threads: int) -> tuple[Environment, ...]:
        """Of every usable node, captured there; the one where PyTorch's figures are measured comes first."""
        if self._made is None:
            self._made = Places(self._usable(threads))
        first = self._places.environment_id("torch", exclusive=True)
        environments = [node.environment for node in self._places.nodes]
        return tuple(sorted(environments, key=lambda environment: environment.id != first))

    @property
    def _places(self) -> Places:
        if self._made is None:
            raise ExecutorError("the nodes were not asked yet what they are")
        return self._made

    def remember(
        self, environments: Mapping[str, Environment], measured: Iterable[tuple[str, bool, str]]
    ) -> None:
        """Go on where each framework was measured, as long as that node is there."""
        self._places.remember(environments, measured)

    def environment_id(self, framework: str, exclusive: bool, planned: str) -> str:
        """Of the framework's home, see `bench.executors.places`."""
        return self._places.environment_id(framework, exclusive)

    def lanes(self, jobs: Sequence[Job], side_by_side: int) -> tuple[int, list[list[Job]]]:
        """A lane a framework for what is exclusive; otherwise a lane a job, and as many as the nodes hold."""
        if not any(job.exclusive for job in jobs):
            return min(self._places.at_once(jobs), MOST_LANES), [[job] for job in jobs]
        lanes: dict[str, list[Job]] = {}
        for job in jobs:
            lanes.setdefault(job.framework, []).append(job)
        return len(lanes), list(lanes.values())

    def run(self, job: Job, on_answer: Callable[[Answer], None]) -> Outcome:
        """Carry out the job on its node, see `bench.executors.protocol.Executor.run`."""
        try:
            node = self._places.take(job, avoiding=self._lost_on.get(job.id, ()))
        except NoRoomError as error:
            return _outcome("no_room", str(error))
        if node is None:
            return _outcome("moved", "")
        try:
            return self._on(node, job, on_answer)
        except RayError as error:
            if self.stopped:
                return _outcome("stopped", "")
            self._lose(node, job)
            return _outcome("lost", f"{node.name}: {type(error).__name__}: {str(error)[-1500:]}")
        finally:
            with self._guard:
                self._running.pop(job.id, None)
            self._places.free(job, node)

    def stop(self) -> None:
        """Cancel every job; Ray ends its process, and the worker below dies with it."""
        with self._guard:
            self.stopped = True
            running = list(self._running.values())
        for stream in running:
            _cancel(stream)

    def close(self) -> None:
        """Tidy the nodes that are there and leave the cluster."""
        if self._made is not None and ray.is_initialized():
            waiting = [self._small(on_node.tidy, node.key, self._token) for node in self._made.nodes]
            ray.wait(waiting, num_returns=len(waiting), timeout=5)
        ray.shutdown()

    def _on(self, node: Node, job: Job, on_answer: Callable[[Answer], None]) -> Outcome:
        folder = Path(job.folder) if any(step.task for step in job.steps) else None
        if folder is not None:
            self._send(folder, node)
        lowered = replace(job, memory_limit=min(job.memory_limit, node.memory_bytes))
        claimed = needed(job, node)
        carry = ray.remote(
            num_cpus=claimed.threads,
            num_gpus=claimed.accelerators,
            memory=claimed.memory_bytes,
            max_retries=0,
            max_calls=1,
            num_returns="streaming",
            scheduling_strategy=NodeAffinitySchedulingStrategy(node.key, soft=False),
        )(on_node.carry_out)
        with self._guard:
            if self.stopped:
                return _outcome("stopped", "")
            stream = self._running[job.id] = carry.remote(wire.encode(lowered), self._token, self._settings)
        try:
            return self._receive(stream, node, folder, on_answer)
        except BaseException:
            _cancel(stream)
            raise

    def _receive(
        self, stream: Any, node: Node, folder: Path | None, on_answer: Callable[[Answer], None]
    ) -> Outcome:
        for message in _messages(stream):
            kind, name, content = carried.opened(message)
            if kind == carried.OUTCOME:
                return wire.decode(content, Outcome)
            if kind == carried.ANSWER:
                on_answer(wire.decode(content, Answer))
            elif folder is not None:
                carried.write(folder, name, content)
                self._held.setdefault(node.key, {})[name] = carried.stamp_of(folder, name)
        return _outcome("lost", f"{node.name}: the job ended without saying how")

    def _send(self, folder: Path, node: Node) -> None:
        """Bring the node what it lacks of the run's trained weights, one file a message."""
        with self._sending:
            held = self._held.setdefault(node.key, {})
            now = carried.seen(folder) if folder.is_dir() else {}
            for name, content in carried.read(folder, carried.newer(now, held)):
                message = carried.frame(carried.FILE, content, name)
                ray.get(self._small(on_node.take, node.key, self._token, message))
                held[name] = now[name]

    def _usable(self, threads: int) -> Iterator[Node]:
        """The nodes that can measure; of the others a warning says why they are left out."""
        asked = {key: self._small(on_node.look, key, threads, self._settings) for key in self._alive}
        machines: dict[str, str] = {}
        names: set[str] = set()
        found = 0
        for key, row in sorted(self._alive.items(), key=lambda item: item[1]["NodeName"]):
            name = row["NodeName"]
            try:
                told = wire.decode(ray.get(asked[key], timeout=LOOK_SECONDS), on_node.Found)
            except (RayError, TimeoutError) as error:
                _leave_out(name, f"it cannot run attnbench: {str(error).strip().splitlines()[-1][:500]}")
                continue
            machine = told.machine or name
            if reason := unfit(told.environment, processors_of(row), threads):
                _leave_out(name, reason)
            elif machine in machines or name in names:
                other = machines.get(machine, name)
                _leave_out(
                    name, f"it is one machine with {other}, and a timing shares its machine with nothing"
                )
            else:
                machines[machine] = name
                names.add(name)
                found += 1
                yield node_of(row, told.environment)
        if not found:
            raise ExecutorError("no node of the cluster can measure; the warnings say why")

    def _small(self, function: Callable[..., Any], key: str, *arguments: Any) -> Any:
        """A call on a node that claims no processor."""
        affinity = NodeAffinitySchedulingStrategy(key, soft=False)
        return ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=affinity)(function).remote(
            *arguments
        )

    def _lose(self, node: Node, job: Job) -> None:
        """After an error of Ray's: the node is given up once Ray calls it dead. Where only the process that
        carried the job died, the node stays, and the job avoids it if it can."""
        with self._guard:
            self._lost_on.setdefault(job.id, set()).add(node.key)
        deadline = time.monotonic() + DEATH_SECONDS
        while _alive(node.key) and time.monotonic() < deadline and not self.stopped:
            if _answers(node.key):
                return
            time.sleep(1)
        self._places.lost(node.key)


def _messages(stream: Any) -> Iterator[bytes]:
    """What a job tells, in its order; blocks without looking again and again."""
    for reference in stream:
        yield ray.get(reference)


def _cancel(stream: Any) -> None:
    try:
        ray.cancel(stream, force=True)
    except (RayError, ValueError, TypeError):
        warnings.warn("a job could not be cancelled: its node may be gone", stacklevel=2)


def _alive(key: str) -> bool:
    return any(row["NodeID"] == key and row["Alive"] for row in ray.nodes())


def _answers(key: str) -> bool:
    """Whether a process can be started on the node right now."""
    affinity = NodeAffinitySchedulingStrategy(key, soft=False)
    try:
        answer = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=affinity)(on_node.answers).remote()
        return bool(ray.get(answer, timeout=ANSWER_SECONDS))
    except (RayError, TimeoutError):
        return False


def _outcome(ending: Any, tail: str) -> Outcome:
    return Outcome(ending=ending, code=0, step=-1, arm=-1, tail=tail)


def _leave_out(name: str, reason: str) -> None:
    warnings.warn(f"the node {name} is left out: {reason}", stacklevel=3)
