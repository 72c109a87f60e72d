"""The line between the conductor and a worker of its two: JSON, a line a message, over a Unix socket.

A worker finds the socket, its side and its cores in its environment, as `bench.gate.conductor` set them.
"""

from __future__ import annotations

import functools
import os
import select
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from bench import wire

SOCKET, SIDE, CORES = "ATTNBENCH_TURNS", "ATTNBENCH_SIDE", "ATTNBENCH_CORES"
SIGN_OF_LIFE_SECONDS = 5.0
CHUNK = 1 << 16


class LineCutError(Exception):
    """The other end is gone."""


class Line:
    """One end of the line. `order` and `answer` return the next message, or raise LineCutError."""

    def __init__(
        self, connection: socket.socket, side: str = "", cores: frozenset[int] = frozenset()
    ) -> None:
        self._connection = connection
        self._received = b""
        self._poller = select.poll()
        self._poller.register(connection, select.POLLIN | select.POLLHUP)
        self._signed = time.monotonic()
        self.side = side
        self.cores = cores

    def tell(self, **message: Any) -> None:
        """Send one message."""
        try:
            self._connection.sendall(wire.encode(message) + b"\n")
        except OSError as error:
            raise LineCutError(f"the other end is gone: {error.strerror}") from error

    def answer(self) -> dict[str, Any]:
        """The next message, however long it takes: the end of the other process cuts the line."""
        return self._next(None, lambda: None)

    def order(self, alive: Callable[[], None]) -> dict[str, Any]:
        """The next message; `alive` is called every few seconds: waiting or taking turns is no hanging."""
        if time.monotonic() - self._signed > SIGN_OF_LIFE_SECONDS:
            self._signed = time.monotonic()
            alive()
        return self._next(SIGN_OF_LIFE_SECONDS * 1000, alive)

    def await_order(self, what: str, alive: Callable[[], None]) -> None:
        """Wait for the order `what`; raises LineCutError for any other."""
        told = self.order(alive)
        if told["do"] != what:
            raise LineCutError(f"expected the order {what!r}, got {told!r}")

    def close(self) -> None:
        self._connection.close()

    def _next(self, milliseconds: float | None, alive: Callable[[], None]) -> dict[str, Any]:
        while b"\n" not in self._received:
            if not self._poller.poll(milliseconds):
                alive()
                continue
            try:
                chunk = self._connection.recv(CHUNK)
            except OSError as error:
                raise LineCutError(f"the other end is gone: {error.strerror}") from error
            if not chunk:
                raise LineCutError("the other end is gone")
            self._received += chunk
        line, _, self._received = self._received.partition(b"\n")
        return wire.decode(line, dict[str, Any])


@functools.cache
def open_line() -> Line:
    """The worker's end, opened at its first step and kept."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(os.environ[SOCKET])
    cores = frozenset(int(core) for core in os.environ.get(CORES, "").split(",") if core)
    line = Line(connection, os.environ[SIDE], cores)
    line.tell(side=line.side)
    return line


def variables(place: str, side: str, cores: frozenset[int]) -> Mapping[str, str]:
    """What a worker needs in its environment to find the line."""
    return {SOCKET: place, SIDE: side, CORES: ",".join(map(str, sorted(cores)))}
