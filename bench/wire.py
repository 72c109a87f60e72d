"""The central types as JSON and back, validated; the only place that knows the encoding."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

Kind = TypeVar("Kind")


def encode(value: Any) -> bytes:
    """One line of JSON without a newline."""
    return msgspec.json.encode(value)


def decode(line: bytes | str, kind: type[Kind]) -> Kind:
    """The value of type `kind`; raises `msgspec.ValidationError` or `msgspec.DecodeError` with the
    place that is wrong."""
    return msgspec.json.decode(line, type=kind)


def plain(value: Any) -> Any:
    """The value as dictionaries, lists and scalars."""
    return msgspec.to_builtins(value)


def convert(value: Any, kind: type[Kind]) -> Kind:
    """Dictionaries, lists and scalars as a value of type `kind`, validated."""
    return msgspec.convert(value, kind)


def pretty(value: Any) -> bytes:
    """JSON for people: indented, with a newline at the end."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
