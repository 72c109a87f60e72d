"""Several query heads share keys and values, or keys and values come from a narrow latent."""

from bench.schema import Variant

VARIANTS: tuple[Variant, ...] = ()
