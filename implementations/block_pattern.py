"""Which blocks of keys a block of queries sees in BigBird's pattern; the same on every framework.

    block i sees:  the first `global_blocks`;  the blocks within window_blocks // 2 of it;  and
                   `random_blocks` drawn by a generator of its own, NumPy's ``default_rng([seed, i])``

The generator names numbers below p, the smallest power of two above i, until enough of them are distinct
and neither global nor in the window (or none are left). Of these, blocks beyond the end of the sequence,
and in the future when causal, fall away. So what a block sees depends on nothing but the seed and i, and
not on the length: padding at the end changes nothing, and decoding goes on with the pattern it began
with. Paper: Zaheer and others 2020, arXiv:2007.14062, section 2 and appendix D, which draws among all
blocks of a sequence of fixed length.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

ABSENT = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockPattern:
    """How many blocks of each kind a block sees. Raises ValueError for an even window and counts below 0."""

    window_blocks: int = 3
    global_blocks: int = 2
    random_blocks: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.window_blocks < 1 or self.window_blocks % 2 == 0:
            raise ValueError(
                "window_blocks must be odd, for the block itself stands in the middle, "
                f"got {self.window_blocks}"
            )
        for name in ("global_blocks", "random_blocks", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")


@lru_cache(maxsize=64)
def blocks_seen(pattern: BlockPattern, blocks: int, *, causal: bool) -> NDArray[np.int64]:
    """``[blocks - global_blocks, reach]``: the key blocks of each query block that is not global itself.

    The block itself comes first; each key block comes once, and `ABSENT` fills up a row.
    """
    neighbours = pattern.window_blocks // 2 + 1 if causal else pattern.window_blocks
    reach = neighbours + pattern.global_blocks + pattern.random_blocks
    first = pattern.global_blocks
    rows = np.full((max(0, blocks - first), reach), ABSENT)
    for block in range(first, blocks):
        seen = blocks_seen_by(pattern, block, block + 1 if causal else blocks)
        rows[block - first, : len(seen)] = seen
    rows.setflags(write=False)  # one array serves every call
    return rows


def blocks_seen_by(pattern: BlockPattern, block: int, blocks: int) -> list[int]:
    """The first `blocks` blocks that one sees which is not global: itself, then the others in order."""
    half = pattern.window_blocks // 2
    others = set(range(pattern.global_blocks)) | set(range(block - half, block + half + 1))
    others |= _drawn(pattern, block)
    return [block, *sorted(other for other in others - {block} if 0 <= other < blocks)]


def _drawn(pattern: BlockPattern, block: int) -> set[int]:
    half, first = pattern.window_blocks // 2, pattern.global_blocks
    population = 1 << block.bit_length()
    window = range(max(block - half, first), min(block + half, population - 1) + 1)
    candidates = population - first - len(window)
    generator = np.random.default_rng([pattern.seed, block])
    drawn: set[int] = set()
    while len(drawn) < min(pattern.random_blocks, candidates):
        number = int(generator.integers(population))
        if number >= first and abs(number - block) > half:
            drawn.add(number)
    return drawn
