"""Other scores: what replaces the softmax, or stands beside it."""

from bench.schema import Variant

VARIANTS: tuple[Variant, ...] = ()
