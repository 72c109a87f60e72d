"""Controls: what a variant must beat to have done anything."""

from bench.schema import Variant

VARIANTS: tuple[Variant, ...] = ()
