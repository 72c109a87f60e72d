"""Tables of a page that a command writes, each between ``<!-- name -->`` and ``<!-- end of name -->``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path


def write(page: Path, tables: Mapping[str, Sequence[str]]) -> None:
    """Put each table between its two marks in the page; raises ValueError where they are missing."""
    text = page.read_text(encoding="utf-8")
    for name, lines in tables.items():
        start, stop = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, begun, rest = text.partition(start)
        _, ended, after = rest.partition(stop)
        if not (begun and ended):
            raise ValueError(f"{page} has no {start} … {stop}")
        text = f"{before}{start}\n" + "\n".join(lines) + f"\n{stop}{after}"
    page.write_text(text, encoding="utf-8")
