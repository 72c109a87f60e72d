"""Long context: memory across segments."""

from bench.schema import Variant

VARIANTS: tuple[Variant, ...] = ()
