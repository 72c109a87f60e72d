"""Which node does a job: homes for measuring, and training packed by threads, memory and accelerators.

Why homes: a launch holds all arms of its cell, so a ratio is always of one node; but a verdict pools a
cell's launches, a curve joins lengths, and the page holds speed against memory and scores. So everything
of one framework that needs a machine to itself is measured on one node, its home, one job at a time, and
several frameworks on several homes at once (no ratio is made across frameworks anyway). What needs no
machine to itself (certificates, trainings and what works on their weights) measures no time that counts;
it goes to every node of the home's kind, where processor, accelerator and software are the same, and is
filed under the home's environment. A node of another kind trains only for a home of its own kind: its
arithmetic may differ in the last digit, and a training makes a whole point of that.

Knows nothing of Ray.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from bench.executors.protocol import ExecutorError
from bench.schema import Environment, Job


class NoRoomError(Exception):
    """No node is large enough for the job, even empty; the message says for what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A machine of the cluster. `key` is the engine's name of it, `name` the one that stays."""

    key: str
    name: str
    environment: Environment
    processors: int
    memory_bytes: int
    accelerators: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a job takes of a node, or what is free there."""

    threads: int
    memory_bytes: int
    accelerators: int

    def holds(self, other: Room) -> bool:
        """Whether the other fits in."""
        return (
            other.threads <= self.threads
            and other.memory_bytes <= self.memory_bytes
            and other.accelerators <= self.accelerators
        )

    def less(self, other: Room) -> Room:
        """What is left when the other is taken out."""
        return Room(
            threads=self.threads - other.threads,
            memory_bytes=self.memory_bytes - other.memory_bytes,
            accelerators=self.accelerators - other.accelerators,
        )


@dataclass(slots=True)
class _Books:
    """One node's state: what it does now."""

    node: Node
    running: dict[str, Room] = field(default_factory=dict)

    @property
    def free(self) -> Room:
        room = whole(self.node)
        for taken in self.running.values():
            room = room.less(taken)
        return room


def whole(node: Node) -> Room:
    """All of a node."""
    return Room(threads=node.processors, memory_bytes=node.memory_bytes, accelerators=node.accelerators)


def needed(job: Job, node: Node) -> Room:
    """What the job takes of the node: everything where it is exclusive, so that nothing runs beside it. A
    memory limit is a limit and no need: a smaller node lowers it."""
    accelerators = 0 if job.device == "cpu" else 1
    if job.exclusive:
        return Room(
            threads=max(node.processors, job.threads),
            memory_bytes=node.memory_bytes,
            accelerators=max(node.accelerators, accelerators),
        )
    memory = min(job.memory_limit, node.memory_bytes)
    return Room(threads=job.threads, memory_bytes=memory, accelerators=accelerators)


def kind(environment: Environment) -> tuple[object, ...]:
    """What nodes must share for their scores to be one machine's: all that arithmetic depends on. Memory,
    of which no two machines report the same, and the kernel's release are not of it."""
    versions = tuple(sorted(environment.versions.items()))
    return environment.cpu, environment.threads, environment.accelerator, versions


class Places:
    """The nodes, what runs on each, and each framework's home; used from several threads."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._nodes = {node.key: _Books(node) for node in sorted(nodes, key=lambda node: node.name)}
        self._known = {books.node.environment.id: books.node.environment for books in self._nodes.values()}
        self._homes: dict[str, str] = {}  # framework: node's key
        self._lived: dict[str, str] = {}  # framework: environment of its home, the last one
        self._filed: dict[str, str] = {}  # framework: environment of what needs no home
        self._changed = threading.Condition()

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Those that are alive, by name."""
        return tuple(books.node for books in self._nodes.values())

    def remember(
        self, environments: Mapping[str, Environment], measured: Iterable[tuple[str, bool, str]]
    ) -> None:
        """Take up where a run stood, see `bench.executors.protocol.Executor.remember`."""
        with self._changed:
            self._known = {**environments, **self._known}
            for framework, exclusive, environment_id in measured:
                (self._lived if exclusive else self._filed)[framework] = environment_id

    def environment_id(self, framework: str, exclusive: bool) -> str:
        """Where the framework's next job is filed: its home's, and what needs no home where it was filed
        first, as long as a node of that kind is alive."""
        with self._changed:
            home = self._home(framework).environment
            if exclusive:
                return home.id
            filed = self._filed.setdefault(framework, home.id)
            if not self._of_kind(filed):
                filed = self._filed[framework] = home.id
            return filed

    def take(self, job: Job, avoiding: Collection[str] = ()) -> Node | None:
        """The node for the job, waited for until it has room; None where its environment is gone, so that
        it must be filed anew. Raises NoRoomError, and ExecutorError where no node is left."""
        with self._changed:
            while True:
                able = self._able(job, avoiding)
                if able is None:
                    return None
                for books in sorted(able, key=_busyness):
                    room = needed(job, books.node)
                    if books.free.holds(room):
                        books.running[job.id] = room
                        return books.node
                self._changed.wait()

    def free(self, job: Job, node: Node) -> None:
        """The job is over there."""
        with self._changed:
            if node.key in self._nodes:
                self._nodes[node.key].running.pop(job.id, None)
            self._changed.notify_all()

    def lost(self, key: str) -> None:
        """The node is gone."""
        with self._changed:
            self._nodes.pop(key, None)
            self._changed.notify_all()

    def at_once(self, jobs: Iterable[Job]) -> int:
        """How many of these jobs all nodes together could hold, at least one."""
        with self._changed:
            least = min(jobs, key=lambda job: (job.threads, job.memory_limit))
            return max(1, sum(_copies(least, books.node) for books in self._nodes.values()))

    def _able(self, job: Job, avoiding: Collection[str]) -> list[_Books] | None:
        """The nodes that may do the job and are large enough; None where there is none of its environment."""
        if not self._nodes:
            raise ExecutorError("no node of the cluster is left")
        if job.exclusive:
            right = [b for b in self._nodes.values() if b.node.environment.id == job.environment_id]
        else:
            right = self._of_kind(job.environment_id)
            right = [b for b in right if b.node.key not in avoiding] or right
        if not right:
            return None
        able = [b for b in right if whole(b.node).holds(needed(job, b.node))]
        if not able:
            names = ", ".join(b.node.name for b in right)
            what = f"{job.threads} threads" + ("" if job.device == "cpu" else " and an accelerator")
            raise NoRoomError(f"none of the nodes that may do it ({names}) has {what} for one job")
        return able

    def _of_kind(self, environment_id: str) -> list[_Books]:
        known = self._known.get(environment_id)
        if known is None:
            return []
        return [b for b in self._nodes.values() if kind(b.node.environment) == kind(known)]

    def _home(self, framework: str) -> Node:
        """The framework's node: the one it has, had before the run stopped, or a new one. What has no
        framework (baselines) lives with whom is there."""
        if not self._nodes:
            raise ExecutorError("no node of the cluster is left")
        if not framework:
            framework = next(iter(self._homes), "")
        if self._homes.get(framework) not in self._nodes:
            best = min(self.nodes, key=lambda node: self._rank(framework, node))
            self._homes[framework], self._lived[framework] = best.key, best.environment.id
        return self._nodes[self._homes[framework]].node

    def _rank(self, framework: str, node: Node) -> tuple[bool, bool, int, int, str]:
        """The smaller the better a home: where it was, then of that kind, then of the kind with most
        processors, then home to few others."""
        before = self._lived.get(framework) or self._filed.get(framework, "")
        its_kind = [b.node.processors for b in self._of_kind(node.environment.id)]
        others = [key for key in self._homes.values() if key == node.key]
        same_kind = node.key in {b.node.key for b in self._of_kind(before)}
        return node.environment.id != before, not same_kind, -sum(its_kind), len(others), node.name


def _busyness(books: _Books) -> tuple[float, str]:
    taken = sum(room.threads for room in books.running.values())
    return taken / books.node.processors, books.node.name


def _copies(job: Job, node: Node) -> int:
    room, free = needed(job, node), whole(node)
    count = 0
    while free.holds(room):
        free, count = free.less(room), count + 1
    return count
