"""Public packages' own implementations of the same variants, to hold ours against."""

from bench.schema import Variant

VARIANTS: tuple[Variant, ...] = ()
