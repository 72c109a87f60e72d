"""What every view works from: the measurements, the comparisons and the figures made of them, once."""

from __future__ import annotations

from dataclasses import dataclass

from reports.comparison import Comparison
from reports.comparisons import compare
from reports.estimates import Figure, estimate
from reports.frame import Results


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Results, and what was concluded from them."""

    results: Results
    comparisons: tuple[Comparison, ...]
    figures: tuple[Figure, ...]

    @property
    def variants(self) -> tuple[str, ...]:
        """The names of all variants with a figure, references first."""
        ordered = sorted(self.figures, key=lambda figure: figure.role != "reference")
        return tuple(dict.fromkeys(figure.variant for figure in ordered))

    @property
    def provisional(self) -> bool:
        """Whether the run has not ended, or a verdict rests on fewer launches than it should."""
        return self.results.incomplete or any(comparison.provisional for comparison in self.comparisons)


def gather(results: Results) -> Evidence:
    """Compare and estimate all that the results allow."""
    comparisons = compare(results)
    return Evidence(results=results, comparisons=comparisons, figures=estimate(results))
