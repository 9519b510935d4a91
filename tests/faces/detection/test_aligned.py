import numpy as np
import pytest

from dynface_video.errors import InputError
from dynface_video.faces.align import align_transform
from dynface_video.faces.detection.aligned import AlignedFaces


@pytest.mark.parametrize("size", [128, 300, 512])
def test_the_crop_of_an_aligned_picture_is_the_picture(size: int) -> None:
    (face,) = AlignedFaces().detect(np.zeros((size, size, 3), np.uint8))
    np.testing.assert_allclose(align_transform(face.landmarks, size), [[1, 0, 0], [0, 1, 0]], atol=1e-4)
    assert face.score == 1


def test_wherever_it_is_looked_for_the_face_is_the_same() -> None:
    picture = np.zeros((256, 256, 3), np.uint8)
    found = AlignedFaces().locate(picture, np.array([[0, 0, 10, 10], [50, 50, 200, 200.0]]))
    (face,) = AlignedFaces().detect(picture)
    assert found.points.shape == (2, 5, 2) and found.std.shape == (2, 5) and found.score.tolist() == [1, 1]
    np.testing.assert_array_equal(found.points[0], face.landmarks)
    assert AlignedFaces().locate(picture, np.zeros((0, 4))).points.shape == (0, 5, 2)


def test_a_picture_that_is_not_square_is_refused() -> None:
    with pytest.raises(InputError, match="640x480"):
        AlignedFaces().detect(np.zeros((480, 640, 3), np.uint8))
