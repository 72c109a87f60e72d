"""Images as patches and back, on sizes whose axes cannot be confused."""

import numpy as np
import pytest

from suites.tasks.patches import PatchLayout


@pytest.mark.parametrize(
    ("side", "patch", "channels"), [(28, 4, 1), (15, 3, 1), (7, 1, 1), (32, 4, 3), (6, 6, 3)]
)
def test_tokens_give_the_images_back_and_tell_their_layout(side: int, patch: int, channels: int) -> None:
    images = np.random.default_rng(0).random((5, side, side, channels))
    layout = PatchLayout(side, patch, channels)
    tokens = layout.from_image(images)
    assert tokens.shape == (5, (side // patch) ** 2, patch * patch * channels)
    np.testing.assert_array_equal(layout.to_image(tokens), images)
    assert PatchLayout.of(tokens) == layout


def test_a_token_is_a_patch_row_by_row_and_its_pixels_colour_by_colour() -> None:
    images = np.arange(2 * 6 * 6 * 3).reshape(2, 6, 6, 3)
    tokens = PatchLayout(6, 2, 3).from_image(images)
    np.testing.assert_array_equal(tokens[1, 1 * 3 + 2], images[1, 2:4, 4:6].ravel())


def test_grey_images_need_no_channel_axis() -> None:
    images = np.random.default_rng(0).random((5, 15, 15))
    layout = PatchLayout(15, 5)
    np.testing.assert_array_equal(layout.from_image(images), layout.from_image(images[..., None]))


def test_patches_that_do_not_tile_are_refused() -> None:
    with pytest.raises(ValueError, match="patches of 5 pixels do not tile images of 28"):
        PatchLayout(28, 5)
    for shape in ((2, 48, 16), (2, 49, 15)):
        with pytest.raises(ValueError, match="are not square patches of square images"):
            PatchLayout.of(np.zeros(shape))
