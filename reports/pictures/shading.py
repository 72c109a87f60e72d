"""Words and patches shaded by how much they mattered, as inline SVG in the page's colours.

What spoke for the answer is shaded in one colour, what spoke against it in another; the deeper the shade the
more, relative to the largest of the panel. Texts go through matplotlib, which escapes them.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import matplotlib
import numpy
import seaborn
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path

from reports.pictures import labels
from reports.pictures.drawing import STYLE, as_markup
from reports.pictures.palette import INK, MUTED, colour

FOR, AGAINST = colour(1), colour(2)
_LINE_HEIGHT, _GAP, _WIDTH = 15.0, 4.0, 330.0
_LONGEST_WORD = 24
_GREYS = (0.15, 0.4, 0.65, 0.9)
_DEEPEST = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One explanation: its title and an importance for each word or patch."""

    title: str
    importances: Sequence[float]

    @property
    def shades(self) -> list[tuple[str, float]]:
        """Colour and opacity of each; nothing is shaded where all importances are 0."""
        largest = max((abs(value) for value in self.importances), default=0.0) or 1.0
        return [
            (FOR if value >= 0 else AGAINST, _DEEPEST * abs(value) / largest) for value in self.importances
        ]


def words(panels: Sequence[Panel], texts: Sequence[str], *, name: str) -> str:
    """The words of a text in lines, once a panel, each on its shade."""
    shown = [_legible(text) for text in texts]
    places = list(_wrapped(shown))
    height = (1 + max(line for line, _ in places)) * _LINE_HEIGHT
    with matplotlib.rc_context(seaborn.axes_style("white") | STYLE):
        figure = _figure(_WIDTH, len(panels) * (height + 2 * _LINE_HEIGHT))
        for place, panel in enumerate(panels):
            axes = _panel(figure, panel.title, len(panels), place)
            axes.set_xlim(0, _WIDTH)
            axes.set_ylim(height, 0)
            for text, (line, left), (colour, opacity) in zip(shown, places, panel.shades, strict=True):
                _word(axes, text, line, left, colour, opacity)
        return _without_glyph_warnings(figure, name)


def _legible(text: str) -> str:
    """The word, cut where it is long, with what cannot be printed replaced."""
    printable = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
    return printable if len(printable) <= _LONGEST_WORD else printable[: _LONGEST_WORD - 1] + "…"


def _wrapped(texts: Sequence[str]) -> Iterator[tuple[int, float]]:
    """The line of each word, and where in it the word begins, in points."""
    line, left = 0, 0.0
    for text in texts:
        room = labels.width(text) + _GAP
        if left and left + room > _WIDTH:
            line, left = line + 1, 0.0
        yield line, left
        left += room


def _word(axes: Axes, text: str, line: int, left: float, colour: str, opacity: float) -> None:
    top, width = line * _LINE_HEIGHT, labels.width(text) + _GAP / 2
    if opacity > 0:
        box = Rectangle((left, top + 1), width, _LINE_HEIGHT - 2, color=colour, alpha=opacity, linewidth=0)
        axes.add_patch(box)
    axes.text(left + width / 2, top + _LINE_HEIGHT / 2, text, color=INK, ha="center", va="center", fontsize=8)


def patches(
    panels: Sequence[Panel], pixels: Sequence[Sequence[float]], rows: int, columns: int, *, name: str
) -> str:
    """An image, once a panel, with a shade over each of its ``rows * columns`` patches.

    `pixels` are its rows in 0 to 1; what is bright is drawn in ink, in a few greys.
    """
    grey = numpy.asarray(pixels, dtype=float)
    height, width = grey.shape
    with matplotlib.rc_context(seaborn.axes_style("white") | STYLE):
        side = _WIDTH / 2
        figure = _figure(side * len(panels), side * height / width + _LINE_HEIGHT)
        for place, panel in enumerate(panels):
            axes = _panel(figure, panel.title, 1, 0, across=len(panels), column=place)
            axes.set_xlim(0, width)
            axes.set_ylim(height, 0)
            axes.set_aspect("equal")
            _image(axes, grey)
            for number, (colour, opacity) in enumerate(panel.shades):
                row, column = divmod(number, columns)
                box = (column * width / columns, row * height / rows)
                axes.add_patch(
                    Rectangle(box, width / columns, height / rows, color=colour, alpha=opacity, linewidth=0)
                )
        return _without_glyph_warnings(figure, name)


def _image(axes: Axes, grey: numpy.ndarray) -> None:
    """One path a shade of grey: some hundred pixels cost a few kilobytes."""
    edges = (*_GREYS, numpy.inf)
    for lowest, highest in itertools.pairwise(edges):
        chosen = numpy.argwhere((grey >= lowest) & (grey < highest))
        if len(chosen):
            square = Path.unit_rectangle()
            corners = [numpy.asarray(square.vertices) + place[::-1] for place in chosen]
            shape = Path.make_compound_path(*(Path(each, square.codes) for each in corners))
            axes.add_patch(PathPatch(shape, facecolor=INK, alpha=lowest, linewidth=0))


def _figure(width: float, height: float) -> Figure:
    """A drawing of this size in points."""
    figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout=None)
    FigureCanvasSVG(figure)
    return figure


def _panel(figure: Figure, title: str, count: int, place: int, *, across: int = 1, column: int = 0) -> Axes:
    """Axes without lines, below those of the panels before it or beside them, under a title."""
    title_share = _LINE_HEIGHT / 72 / figure.get_size_inches()[1]
    height = 1 / count
    axes = figure.add_axes(
        (column / across, 1 - (place + 1) * height, 0.97 / across, max(height - title_share, 0.1))
    )
    axes.set_axis_off()
    axes.set_title(title, loc="left", fontsize=8, color=MUTED, pad=2)
    return axes


def _without_glyph_warnings(figure: Figure, name: str) -> str:
    """Text stays text in the SVG: that matplotlib's own font lacks a sign does not matter."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        return as_markup(figure, name)
