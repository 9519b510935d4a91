"""Chroma at the positions of luma, for any subsampling and siting."""

from __future__ import annotations

import numpy as np
import pytest

from dynface_video.media.pixels.sampling import chroma_to_luma


@pytest.mark.parametrize("subsampling", [(1, 1), (1, 0), (0, 1), (2, 0), (2, 2), (0, 0)])
@pytest.mark.parametrize("offset", [(0.0, 0.0), (0.0, 0.5), (0.5, 0.5), (1.5, 1.5)])
@pytest.mark.parametrize("box", [(0, 0, 24, 16), (5, 3, 18, 10), (7, 7, 8, 8)])
def test_chroma_is_interpolated_linearly(
    subsampling: tuple[int, int], offset: tuple[float, float], box: tuple[int, int, int, int]
) -> None:
    across, down = 1 << subsampling[0], 1 << subsampling[1]
    chroma = np.random.default_rng(1).random((16 // down, 24 // across)).astype(np.float32)
    whole = (0, 0, chroma.shape[1], chroma.shape[0])
    columns = (np.arange(box[0], box[2]) - (offset[0] if across > 1 else 0)) / across
    lines = (np.arange(box[1], box[3]) - (offset[1] if down > 1 else 0)) / down
    by_lines = np.stack([np.interp(lines, np.arange(len(chroma)), column) for column in chroma.T], axis=1)
    expected = np.stack([np.interp(columns, np.arange(chroma.shape[1]), line) for line in by_lines])
    found = chroma_to_luma(chroma, box, whole, subsampling, (offset[0] * (across > 1), offset[1] * (down > 1)))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_picture_without_subsampling_may_be_wider_than_opencv_s_largest() -> None:
    chroma = np.arange(40_000, dtype=np.float32)[None]
    np.testing.assert_array_equal(
        chroma_to_luma(chroma, (3, 0, 39_000, 1), (0, 0, 40_000, 1), (0, 0), (0, 0)), chroma[:, 3:39_000]
    )
