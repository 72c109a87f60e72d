"""Recurrent state: sums that decay or are corrected, computed in chunks."""

from bench.schema import Variant

VARIANTS: tuple[Variant, ...] = ()
