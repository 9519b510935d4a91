from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dynface_video.config import Settings, load_settings
from dynface_video.faces.detection.aligned import AlignedFaces
from dynface_video.media.io.images import ImageFile, read_image
from dynface_video.passes.networks import Models
from dynface_video.passes.restore import Work
from dynface_video.passes.stills import restore_still, restored_samples, still_settings
from dynface_video.pipeline import FacePipeline
from identity import REACH, FoundFace, changing_pipeline, checkered

CENTRE = (70, 60)


def models(centre: tuple[float, float] | None = CENTRE) -> Models:
    face = FoundFace(centre)
    return Models(changing_pipeline(checkered), face, face)  # type: ignore[arg-type]


def noise(dtype: type[np.integer]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (150, 180, 3), dtype=dtype, endpoint=True)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_only_the_face_changes_and_the_type_stays(dtype: type[np.integer]) -> None:
    image, work = ImageFile(None, "", noise(dtype)), Work()
    samples, analysis = restored_samples(image, models(), still_settings(Settings()), work)
    assert samples.dtype == dtype and samples.shape == image.samples.shape
    changed = np.argwhere((samples != image.samples).any(axis=2))
    assert len(changed) > 500 and np.abs(changed - CENTRE[::-1]).max() <= REACH
    assert work.faces == len(analysis.tracks) == 1 and work.seconds["analyze"] > 0


def test_an_aligned_crop_is_restored_to_its_borders() -> None:
    image = ImageFile(None, "", noise(np.uint8)[:128, :128])
    aligned = Models(changing_pipeline(checkered), AlignedFaces(), AlignedFaces())
    samples, analysis = restored_samples(image, aligned, still_settings(Settings()), Work())
    changed = (samples != image.samples).any(axis=2)
    assert len(analysis.tracks) == 1
    assert min(changed[0].mean(), changed[-1].mean(), changed[:, 0].mean(), changed[:, -1].mean()) > 0.5


class LeftHalf:
    """A `FaceParser` that shows the left half of every crop."""

    def masks(self, crops: Sequence[np.ndarray]) -> list[np.ndarray]:
        shown = [np.zeros(crop.shape[:2], np.float32) for crop in crops]
        for mask in shown:
            mask[:, : mask.shape[1] // 2] = 1
        return shown


def test_what_a_parser_does_not_show_stays_as_it_was() -> None:
    image, parsed = ImageFile(None, "", noise(np.uint8)), replace(models(), parser=LeftHalf())
    whole, _ = restored_samples(image, models(), still_settings(Settings()), Work())
    samples, _ = restored_samples(image, parsed, still_settings(Settings()), Work())
    changed = np.argwhere((samples != image.samples).any(axis=2))
    assert len(changed) > 200
    # The mask is sampled by a cubic kernel, which reaches two of its pixels further.
    assert changed[:, 1].max() <= CENTRE[0] + 4
    left = np.s_[:, : CENTRE[0] - 4]
    assert np.array_equal(samples[left], whole[left])


def test_a_turned_photograph_is_restored_where_its_face_is_seen() -> None:
    image = ImageFile(None, "", noise(np.uint8), orientation=6)
    samples, _ = restored_samples(image, models(), still_settings(Settings()), Work())
    # Displayed a quarter turn clockwise: x of the display is the height less y of the file.
    stored = np.array([CENTRE[1], image.samples.shape[0] - 1 - CENTRE[0]])
    changed = np.argwhere((samples != image.samples).any(axis=2))[:, ::-1]
    assert len(changed) > 500 and np.abs(changed.mean(axis=0) - stored).max() < 8


def test_a_file_without_a_face_is_copied_and_a_small_face_is_counted(tmp_path: Path) -> None:
    Image.fromarray(noise(np.uint8)).save(tmp_path / "in.png")
    settings = still_settings(Settings())
    done = restore_still(tmp_path / "in.png", tmp_path / "none.png", models(None), settings, Work())
    assert (done.tracks, done.skipped_faces) == (0, 0)
    assert (tmp_path / "none.png").read_bytes() == (tmp_path / "in.png").read_bytes()

    larger = settings.model_copy(update={"detection": settings.detection.model_copy(update={"minimum_size": 90.0})})
    done = restore_still(tmp_path / "in.png", tmp_path / "small.png", models(), larger, Work())
    assert (done.tracks, dict(done.skip_reasons)) == (0, {"too small": 1})
    assert np.array_equal(read_image(tmp_path / "small.png").samples, noise(np.uint8))


def test_a_face_that_is_seen_once_counts() -> None:
    settings = still_settings(Settings())
    assert settings.detection.minimum_length == settings.detection.interval == 1
    assert settings.detection.working_size >= 1280


def test_a_photograph_has_the_time_for_every_stage_unless_a_largest_one_is_asked_for() -> None:
    pipeline = FacePipeline.from_pretrained("mini", device="cpu")

    def sides(settings: Settings) -> list[int]:
        chosen = pipeline.with_settings(**settings.restoration.model_dump())
        return [stage.resolution for stage in chosen.stages_for(600)]

    asked = load_settings("mini", None, {"resolution": 256})
    assert sides(Settings()) == [128, 256] == sides(still_settings(asked))
    assert sides(still_settings(Settings())) == [128, 256, 512]


def test_pictures_have_the_time_for_a_self_ensemble_unless_it_is_off() -> None:
    assert still_settings(Settings()).restoration.self_ensemble is True
    for wanted in (True, False):
        settings = Settings.model_validate({"restoration": {"self_ensemble": wanted}})
        assert still_settings(settings).restoration.self_ensemble is wanted
