"""Vectors of faces: what the network sees, and that it tells people apart."""

from __future__ import annotations

import numpy as np
import pytest

from dynface_video.faces.align import template
from dynface_video.faces.identity import REFERENCE, SQUARE, crop_transform, cut_identity_crop


def test_the_network_sees_the_square_of_the_aligned_crop() -> None:
    left, top, side = SQUARE
    matrix = crop_transform(np.eye(2, 3), 80)
    corners = np.array([[left - 0.5, top - 0.5], [left + side - 0.5, top + side - 0.5]])
    np.testing.assert_allclose(corners @ matrix[:, :2].T + matrix[:, 2], [[-0.5, -0.5], [79.5, 79.5]], atol=1e-9)


@pytest.mark.parametrize("size", [REFERENCE, 1024, 200])
def test_a_face_is_seen_alike_at_every_size(size: int) -> None:
    row, column = np.mgrid[:size, :size] / size
    picture = np.stack([255 * row, 255 * column, 127 + 100 * np.sin(9 * row)], axis=2).astype(np.uint8)
    seen = cut_identity_crop(picture, template(size), 80)
    left, top, side = SQUARE
    assert seen.shape == (80, 80, 3)
    assert seen[40, 40, 1] == pytest.approx(255 * (left + side / 2) / REFERENCE, abs=3)
    assert seen[40, 40, 0] == pytest.approx(255 * (top + side / 2) / REFERENCE, abs=3)
