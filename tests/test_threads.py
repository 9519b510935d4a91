"""Every entry point gives the networks the number of threads of `execution.threads`, and restores the caller's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from dynface_video.api import (
    analyze_video,
    iter_restored_frames,
    restore_batch,
    restore_image,
    restore_video,
    restoring,
)
from dynface_video.cli.demo_clip import write_clip
from dynface_video.pipeline import FacePipeline
from dynface_video.threads import network_threads
from identity import FoundFace, changing_pipeline, stand_in

CALLERS, NETWORKS = 3, 2


@pytest.fixture(autouse=True)
def callers_threads() -> Iterator[None]:
    before, before_cv2 = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(CALLERS)
    cv2.setNumThreads(CALLERS)
    yield
    torch.set_num_threads(before)
    cv2.setNumThreads(before_cv2)


def now() -> tuple[int, int]:
    return torch.get_num_threads(), cv2.getNumThreads()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[tuple[str, tuple[int, int]]]]:
    """The numbers of threads with which faces were found and restored."""
    found, real = set[tuple[str, tuple[int, int]]](), FoundFace.detect

    def change(crops: np.ndarray) -> np.ndarray:
        found.add(("restored", now()))
        return crops

    def detect(face: FoundFace, picture: np.ndarray) -> object:
        found.add(("found", now()))
        return real(face, picture)

    stand_in(monkeypatch.setattr, centre=(48, 32), change=change)
    monkeypatch.setattr(FoundFace, "detect", detect)
    # Stand-ins must neither come from the cache of earlier tests nor stay in it.
    restoring._image_networks.cache_clear()
    yield found
    restoring._image_networks.cache_clear()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    picture = np.full((64, 96, 3), 128, np.uint8)
    write_clip(tmp_path / "clip.mp4", (picture for _ in range(8)), crf=20, sound=None)
    Image.fromarray(picture).save(tmp_path / "photo.png")
    return tmp_path / "clip.mp4"


def test_crops_are_restored_with_the_number_of_threads_of_the_settings() -> None:
    found, crop = set[tuple[int, int]](), np.full((64, 64, 3), 128, np.uint8)

    def change(crops: np.ndarray) -> np.ndarray:
        found.add(now())
        return crops

    changing_pipeline(change)(crop)
    dataclasses.replace(changing_pipeline(change), threads=NETWORKS)(crop)
    assert found == {(1, 1), (NETWORKS, NETWORKS)} and now() == (CALLERS, CALLERS)
    assert FacePipeline.from_pretrained("mini", device="cpu", threads=NETWORKS).threads == NETWORKS


ENTRY_POINTS: dict[str, Callable[[Path], object]] = {
    "restore_video": lambda clip: restore_video(clip, clip.with_name("out.mp4"), device="cpu", threads=NETWORKS),
    "restore_video of a photograph": lambda clip: restore_video(
        clip.with_name("photo.png"), clip.with_name("out.png"), device="cpu", threads=NETWORKS
    ),
    "restore_image": lambda clip: restore_image(
        np.asarray(Image.open(clip.with_name("photo.png"))), device="cpu", threads=NETWORKS
    ),
    "restore_batch": lambda clip: restore_batch([clip], clip.parent / "out", device="cpu", threads=NETWORKS),
    "iter_restored_frames": lambda clip: [
        frame.index for frame in iter_restored_frames(clip, device="cpu", threads=NETWORKS)
    ],
}


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_an_entry_point_uses_the_number_of_threads_of_the_settings(
    name: str, clip: Path, seen: set[tuple[str, tuple[int, int]]]
) -> None:
    ENTRY_POINTS[name](clip)
    assert seen == {("found", (NETWORKS, NETWORKS)), ("restored", (NETWORKS, NETWORKS))}
    assert now() == (CALLERS, CALLERS)


def test_an_analysis_uses_the_number_of_threads_of_the_settings(
    clip: Path, seen: set[tuple[str, tuple[int, int]]]
) -> None:
    analyze_video(clip, device="cpu", threads=NETWORKS)
    assert ("found", (NETWORKS, NETWORKS)) in seen and {number for _, number in seen} == {(NETWORKS, NETWORKS)}
    assert now() == (CALLERS, CALLERS)


def test_the_callers_number_comes_back_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), network_threads(NETWORKS):
        assert now() == (NETWORKS, NETWORKS)
        raise ZeroDivisionError
    assert now() == (CALLERS, CALLERS)
