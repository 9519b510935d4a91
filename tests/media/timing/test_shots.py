"""Cuts between shots, and changes that are not cuts."""

import cv2
import numpy as np
import pytest
from skimage.data import astronaut, coffee

from dynface_video.media.timing.shots import Shot, ShotDetector

SIZE = (320, 240)


def view(picture: np.ndarray, shift: float, gain: float = 1.0) -> np.ndarray:
    """A window of a photograph that moves."""
    matrix = np.array([[1.0, 0, -20 - shift], [0, 1.0, -10 - 0.3 * shift]])
    moved = cv2.warpAffine(picture, matrix, SIZE, borderMode=cv2.BORDER_REFLECT_101)
    return np.clip(moved.astype(np.float32) * gain, 0, 255).astype(np.uint8)


def fed(frames: list[np.ndarray]) -> tuple[ShotDetector, list[int]]:
    detector = ShotDetector()
    suspected = [index for index, frame in enumerate(frames) if detector.feed(index, frame)]
    return detector, suspected


def test_cuts_are_found_at_their_first_frame() -> None:
    frames = [view(astronaut(), i) for i in range(20)]
    frames += [view(coffee(), i) for i in range(15)]
    frames += [view(astronaut()[::-1].copy(), i) for i in range(20)]
    detector, suspected = fed(frames)
    assert detector.cuts() == [0, 20, 35]
    assert suspected == [0, 20, 35]
    assert detector.shots(55) == [Shot(0, 20), Shot(20, 35), Shot(35, 55)]


def test_steady_fast_movement_is_no_cut() -> None:
    detector, _ = fed([view(astronaut(), 9 * i) for i in range(25)])
    assert detector.cuts() == [0]


def test_grain_and_a_slow_fade_are_no_cut() -> None:
    random = np.random.default_rng(0)
    frames = [view(astronaut(), 0, 0.3 + 0.02 * i) for i in range(30)]
    noisy = [np.clip(f + random.normal(0, 12, f.shape), 0, 255).astype(np.uint8) for f in frames]
    detector, suspected = fed(noisy)
    assert detector.cuts() == [0]
    assert suspected == [0]


def test_shots_cover_every_frame_of_short_videos() -> None:
    assert ShotDetector().shots(0) == []
    detector, _ = fed([view(astronaut(), 0)])
    assert detector.shots(1) == [Shot(0, 1)]


@pytest.mark.parametrize("size", [(1, 384), (3, 768), (1001, 2), (767, 1531), (2160, 3840)])
def test_pictures_of_any_size_are_reduced(size: tuple[int, int]) -> None:
    grey = [np.full((*size, 3), 200 if i < 20 else 40, np.uint8) for i in (0, 1, 20, 21)]
    _, suspected = fed(grey)
    assert suspected == [0, 2]


def test_tiny_pictures_do_not_matter() -> None:
    detector, _ = fed([np.full((2, 3, 3), 10 * i, np.uint8) for i in range(8)])
    assert detector.shots(8)[0].start == 0


@pytest.mark.parametrize(
    ("frames", "flash"),
    [
        ((5, 9, 10), np.full((240, 320, 3), 255, np.uint8)),
        ((10, 11), np.zeros((240, 320, 3), np.uint8)),
        ((12,), view(astronaut(), 12, 2.5)),
        ((12,), np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)),
        ((10, 11, 12, 13), view(coffee(), 0)),
    ],
    ids=["white", "black", "photoflash", "damaged", "wrong picture"],
)
def test_flashes_and_lost_frames_are_no_cut(frames: tuple[int, ...], flash: np.ndarray) -> None:
    detector, suspected = fed([flash if i in frames else view(astronaut(), i) for i in range(20)])
    assert detector.shots(20) == [Shot(0, 20)]
    assert suspected[0] == 0 and frames[-1] + 1 in suspected


def test_a_cut_in_a_white_flash_stays_a_cut() -> None:
    white = np.full((240, 320, 3), 255, np.uint8)
    frames = [view(astronaut(), i) for i in range(15)] + [white, white] + [view(coffee(), i) for i in range(15)]
    detector, _ = fed(frames)
    assert len(detector.cuts()) == 2 and detector.cuts()[1] in (15, 16, 17)


def test_a_jump_cut_stays_a_cut() -> None:
    frames = [view(astronaut(), 0) for _ in range(15)] + [view(astronaut(), 60) for _ in range(15)]
    assert fed(frames)[0].cuts() == [0, 15]


@pytest.mark.parametrize("length", [4, 8, 12, 25])
@pytest.mark.parametrize("wipe", [False, True])
def test_dissolves_and_wipes_are_no_cut(length: int, wipe: bool) -> None:
    mixed = []
    for i, share in enumerate(np.linspace(0, 1, length)):
        first, second = view(astronaut(), 20 + i), view(coffee(), i)
        weight = (np.arange(SIZE[0]) < share * SIZE[0])[None, :, None] if wipe else share
        mixed.append(np.round((1 - weight) * first + weight * second).astype(np.uint8))
    frames = [view(astronaut(), i) for i in range(20)] + mixed + [view(coffee(), length + i) for i in range(20)]
    assert fed(frames)[0].cuts() == [0]


def test_memory_does_not_grow_with_the_video() -> None:
    detector, _ = fed([view(astronaut(), i % 3) for i in range(100)])
    assert len(detector._recent) < 20 and detector._candidates == []
