"""The colours of pictures: placeholders while they are drawn, exchanged for the page's CSS variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reports.pictures.charts import Line

SERIES_COLOURS = 10
INK, MUTED, GRID = "#0a0b01", "#0a0b02", "#0a0b03"


def colours(variants: Sequence[str]) -> Mapping[str, int]:
    """A colour for each variant, the same in every plot; the first is the reference's."""
    return {variant: index % SERIES_COLOURS for index, variant in enumerate(dict.fromkeys(variants))}


def colour(index: int) -> str:
    """The placeholder of the page's colour with this number, as `colours` gives it."""
    return f"#0a0c{index:02x}"


VARIABLES = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--line)"} | {
    colour(index): f"var(--series-{index})" for index in range(SERIES_COLOURS)
}
"""What each placeholder becomes in a page."""


def hue(line: Line) -> str:
    """The placeholder of a line's colour."""
    return MUTED if line.colour is None else colour(line.colour)
