from __future__ import annotations

import cv2
import numpy as np
import pytest

from dynface_video.pipeline import FacePipeline
from evaluated_faces import picture
from evaluation.faces import CleanFace, DegradedFace, degrade_faces
from evaluation.staged_crops import StagedCrops


@pytest.fixture(scope="module")
def pipeline() -> FacePipeline:
    return FacePipeline.from_pretrained("mini", device="cpu")


def faces(size: int, count: int = 2) -> list[DegradedFace]:
    return degrade_faces([CleanFace(f"{k}.png", picture(k, size)) for k in range(count)], "mild")


@pytest.mark.parametrize(("size", "sides"), [(128, [128]), (256, [128, 256])])
def test_faces_have_a_crop_for_each_stage_that_they_fill(pipeline: FacePipeline, size: int, sides: list[int]) -> None:
    crops = StagedCrops.of(faces(size), pipeline)
    assert [stage.resolution for stage in crops.stages] == sides
    assert [tuple(crop.shape) for crop in crops.crops] == [(2, 3, side, side) for side in sides]
    reduced = cv2.resize(faces(size)[1].image, (128, 128), interpolation=cv2.INTER_AREA)
    assert np.abs(crops.crops[0][1].permute(1, 2, 0).numpy() - reduced).mean() < 0.02


def test_what_the_last_stage_did_not_change_comes_back_at_the_faces_own_size(pipeline: FacePipeline) -> None:
    crops = StagedCrops.of(faces(256), pipeline)
    back = crops.put_back(crops.crops[-1])
    assert np.abs(back - np.stack([face.image for face in crops.faces])).max() < 1e-3


def test_the_last_stage_replaces_the_whole_face(pipeline: FacePipeline) -> None:
    crops = StagedCrops.of(faces(256), pipeline)
    black = crops.put_back(crops.crops[-1] * 0)
    assert black.shape == (2, 256, 256, 3) and np.abs(black).max() < 0.02
