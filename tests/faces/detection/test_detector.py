import numpy as np

from dynface_video.faces.detection.detector import shrink_to


def test_small_pictures_are_not_enlarged() -> None:
    picture = np.zeros((30, 40, 3), np.uint8)
    assert shrink_to(picture, 640) == (picture, 1.0)
    small, scale = shrink_to(np.zeros((300, 1280, 3), np.uint8), 640)
    assert (small.shape, scale) == ((150, 640, 3), 0.5)
