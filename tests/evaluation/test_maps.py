from __future__ import annotations

import numpy as np

from dynface_video.pipeline import FacePipeline
from evaluated_faces import picture
from evaluation.faces import CleanFace, degrade_faces
from evaluation.maps import STEPS, map_sheet, with_map


def test_a_row_shows_input_maps_and_result_of_the_first_stage() -> None:
    pipeline = FacePipeline.from_pretrained("mini", device="cpu", strength=1.0)
    faces = {"severe": degrade_faces([CleanFace("a.png", picture(0, 256))], "severe")}
    sheet = map_sheet(with_map(pipeline), faces)
    size = pipeline.resolution
    assert sheet.shape == (size, (STEPS + 2) * size, 3) and sheet.dtype == np.uint8
    maps = sheet[:, size : (STEPS + 1) * size]
    assert np.array_equal(maps[..., 0], maps[..., 2]) and maps.min() < 250  # grey, and not guided fully everywhere


def test_a_pipeline_without_a_map_is_shown_with_one_it_could_use() -> None:
    pipeline = FacePipeline.from_pretrained("mini", device="cpu")
    plain = pipeline.with_settings(guidance_map="none")
    assert with_map(plain).settings.guidance_map in ("sobel", "trained")
    chosen = plain.with_settings(guidance_map="sobel")
    assert with_map(chosen) is chosen
