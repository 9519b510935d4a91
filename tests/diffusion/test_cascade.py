"""The second stage: a small crop is a large one under a known blur, and detail is drawn where that leaves room."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from dynface_video.diffusion.cascade import OWN_LEVEL, enlarged, octave_missing
from dynface_video.diffusion.dct import gaussian_blur
from dynface_video.diffusion.noise import NoiseKey
from dynface_video.faces.align import align_transform, doubled, extract_crop
from dynface_video.metrics.fidelity import log_spectrum_distance, psnr
from dynface_video.pipeline import FaceRestorer
from evaluation.faces import CleanFace, DegradedFace
from evaluation.larger import crops_of, put_back, to_crop
from training.degradation import Degradation

LARGE = 256


@pytest.fixture(scope="module")
def restorer() -> FaceRestorer:
    return FaceRestorer.from_preset("mini", device="cpu")


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    """A real face of 256 pixels, (256, 256, 3)."""
    from dynface_video.cli.demo_clip import PHOTOGRAPH_LANDMARKS, photograph

    return extract_crop(photograph(), align_transform(np.array(PHOTOGRAPH_LANDMARKS), LARGE), LARGE)


@pytest.fixture(scope="module")
def small(face: np.ndarray) -> np.ndarray:
    return extract_crop(face, to_crop(LARGE, 128), 128)


def to_tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None]


def test_a_small_crop_is_the_large_one_under_a_known_blur(face: np.ndarray, small: np.ndarray) -> None:
    level = torch.tensor([1.2])
    errors = {}
    for own in (0.6, OWN_LEVEL, 1.3):
        guide = gaussian_blur(enlarged(to_tensor(small)), (level**2 + own**2 - OWN_LEVEL**2).sqrt())
        error = guide - gaussian_blur(to_tensor(face), level)
        errors[own] = float(error[..., 16:-16, 16:-16].square().mean().sqrt())
    assert errors[OWN_LEVEL] < 0.004
    assert errors[OWN_LEVEL] < 0.7 * min(errors[0.6], errors[1.3])


def test_drawn_faces_have_the_detail_of_a_large_face(
    restorer: FaceRestorer, face: np.ndarray, small: np.ndarray
) -> None:
    detail, evaluations = restorer.detail(small[None], [NoiseKey(0, 0)])
    assert detail.shape == (1, LARGE, LARGE, 3) and evaluations > 0
    soft = doubled(small)
    drawn = np.clip(soft + detail[0], 0, 1)
    assert log_spectrum_distance(drawn, face) < 0.5 * log_spectrum_distance(np.clip(soft, 0, 1), face)
    assert psnr(drawn, face) > psnr(soft, face) - 1.0


def test_the_detail_is_that_of_the_noise_key_whatever_the_company(restorer: FaceRestorer, small: np.ndarray) -> None:
    keys = [NoiseKey(0, 1), NoiseKey(0, 2)]
    both, _ = restorer.detail(np.stack([small, small]), keys)
    np.testing.assert_allclose(restorer.detail(small[None], keys[1:])[0][0], both[1], atol=1e-5)
    assert np.abs(both[0] - both[1]).mean() > 1e-3


def test_only_large_faces_are_drawn_finer(restorer: FaceRestorer, face: np.ndarray) -> None:
    shares = [restorer.detail_weight(3.0, scale, face) for scale in (2.0, 1.0, 0.8, 0.5, 0.25)]
    assert shares[:2] == [0.0, 0.0] and 0 < shares[2] < shares[3] == shares[4] == 1.0
    assert restorer.with_settings(strength=0.0).detail_weight(3.0, 0.25, face) == 0.0
    assert restorer.with_settings(cascade=False).detail_weight(3.0, 0.25, face) == 0.0


def test_sharp_faces_keep_their_own_detail_and_enlarged_ones_get_some(
    restorer: FaceRestorer, face: np.ndarray, small: np.ndarray
) -> None:
    noise = np.random.default_rng(0).normal(0, 0.02, face.shape).astype(np.float32)
    enlarged_face = cv2.resize(small, (LARGE, LARGE), interpolation=cv2.INTER_CUBIC)
    missing = {
        "sharp": octave_missing(face),
        "noisy": octave_missing(enlarged_face + noise),
        "enlarged": octave_missing(enlarged_face),
        "blurred": octave_missing(cv2.GaussianBlur(face, (0, 0), 1.0)),
    }
    assert missing["sharp"] == missing["noisy"] == 0
    assert missing["enlarged"] > 0.5 and missing["blurred"] > 0.9
    assert restorer.detail_weight(0.2, 0.5, face) == 0
    assert restorer.detail(np.zeros((0, 128, 128, 3), np.float32), [])[0].shape == (0, LARGE, LARGE, 3)
    assert restorer.detail_weight(0.2, 0.5, enlarged_face) > 0.7


@pytest.mark.parametrize("size", [140, 160, 192, 224])
def test_a_sharp_face_of_any_size_keeps_its_own_detail(restorer: FaceRestorer, size: int) -> None:
    """The frame of a face that is little larger than the crop cannot hold the whole octave: it is not missing."""
    from dynface_video.cli.demo_clip import PHOTOGRAPH_LANDMARKS, photograph

    sharp = extract_crop(photograph(), align_transform(np.array(PHOTOGRAPH_LANDMARKS), size), size)
    soft = cv2.GaussianBlur(sharp, (0, 0), 1.2)
    sources = [extract_crop(picture, to_crop(size, LARGE), LARGE) for picture in (sharp, soft)]
    shares = [restorer.detail_weight(0.2, 128 / size, source) for source in sources]
    assert shares[0] < 0.1
    assert shares[1] > 0.4 or size < 154


def test_guidance_of_the_first_stage_has_no_say(restorer: FaceRestorer, small: np.ndarray) -> None:
    own = restorer.detail(small[None], [NoiseKey(0, 0)])[0]
    unguided = restorer.with_settings(guidance="none", temperature=2.0).detail(small[None], [NoiseKey(0, 0)])[0]
    np.testing.assert_array_equal(own, unguided)


def test_larger_faces_are_restored_through_the_crop_and_keep_their_size(
    restorer: FaceRestorer, face: np.ndarray
) -> None:
    blurred = cv2.GaussianBlur(face, (0, 0), 4.0)
    known = Degradation(blur_x=4, blur_y=4, angle=0, downscale=1, noise=0)
    faces = [DegradedFace(CleanFace("one", face), "medium", known, (255 * blurred).astype(np.uint8), blurred)]
    crops = crops_of(faces, restorer.resolution)
    assert crops.shape == (1, 128, 128, 3)
    back, none = put_back(restorer, faces, crops, np.array([3.0]), ())
    assert none == 0 and psnr(back[0], blurred) > 45
    finer, spent = put_back(restorer, faces, crops, np.array([3.0]), [NoiseKey(0, 0)])
    assert spent > 0 and psnr(finer[0], back[0]) < 60
