"""Square images as sequences of square patches, and back."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import numpy as np

CHANNEL_COUNTS = (1, 3)


@dataclass(frozen=True, slots=True)
class PatchLayout:
    """How images ``[n, side, side, channels]`` lie in tokens ``[n, (side / patch)^2, patch^2 * channels]``.

    Patches come row by row, within a patch pixels row by row, within a pixel its channels. Raises
    ValueError where `patch` does not divide `side`.
    """

    side: int
    patch: int
    channels: int = 1

    def __post_init__(self) -> None:
        if min(self.side, self.patch, self.channels) < 1 or self.side % self.patch:
            raise ValueError(f"patches of {self.patch} pixels do not tile images of {self.side}")

    @classmethod
    def of(cls, tokens: np.ndarray) -> PatchLayout:
        """The layout that tokens ``[n, time, patch_width]`` have, of grey images or of RGB.

        Raises ValueError for tokens that are patches of neither.
        """
        _, time, patch_width = tokens.shape
        steps = isqrt(time)
        for channels in CHANNEL_COUNTS:
            patch = isqrt(patch_width // channels)
            if steps * steps == time and patch * patch * channels == patch_width:
                return cls(steps * patch, patch, channels)
        raise ValueError(f"tokens [n, {time}, {patch_width}] are not square patches of square images")

    @property
    def steps(self) -> int:
        """Patches along a side."""
        return self.side // self.patch

    def from_image(self, images: np.ndarray) -> np.ndarray:
        """Tokens of images ``[n, side, side, channels]``, or of grey ones without the channel axis."""
        cut = images.reshape(-1, self.steps, self.patch, self.steps, self.patch, self.channels)
        return cut.transpose(0, 1, 3, 2, 4, 5).reshape(len(images), self.steps**2, -1)

    def to_image(self, tokens: np.ndarray) -> np.ndarray:
        """The images ``[n, side, side, channels]`` of tokens."""
        cut = tokens.reshape(-1, self.steps, self.steps, self.patch, self.patch, self.channels)
        return cut.transpose(0, 1, 3, 2, 4, 5).reshape(-1, self.side, self.side, self.channels)
