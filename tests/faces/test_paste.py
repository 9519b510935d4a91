"""Pasting: nothing changes where nothing was restored, and no rim shows where something was."""

from collections.abc import Callable

import numpy as np
import pytest

from dynface_video.faces.align import TEMPLATE_512, align_transform, apply_transform, extract_crop, invert
from dynface_video.faces.paste import FALLOFF, face_mask, paste_face, signal_share

SIZE = 128


Face = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture
def face_at(
    similarity: Callable[[float, float, float, float], np.ndarray], smooth_picture: Callable[..., np.ndarray]
) -> Callable[[float], Face]:
    """Makes a region, the transform to its crop, and the crop, for a number of frame pixels a template pixel."""

    def make(scale: float) -> Face:
        side = int(512 * scale * 1.5) + 20
        region = smooth_picture(side, side + 9)
        landmarks = apply_transform(similarity(scale, 7, 0.15 * side, 0.1 * side), TEMPLATE_512)
        transform = align_transform(landmarks, SIZE)
        return region, transform, extract_crop(region, transform, SIZE)

    return make


@pytest.mark.parametrize("size", [64, 128, 512])
def test_the_mask_holds_the_face_and_ends_before_the_border(size: int) -> None:
    mask = face_mask(size)
    assert mask.dtype == np.float32
    assert 0 <= mask.min() <= mask.max() == 1
    assert not np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).any()
    for x, y in (TEMPLATE_512 + 0.5) * size / 512 - 0.5:
        assert mask[round(y), round(x)] > 0.99


def test_the_mask_keeps_hair_chin_and_neck() -> None:
    mask = face_mask(512)
    inside = mask[36:476, 36:476]
    assert (inside == 1).all()
    assert mask[18, 256] > 0.5 and mask[493, 256] > 0.5 and mask[256, 18] > 0.5


@pytest.mark.parametrize("falloff", [0.05, 0.5])
def test_the_mask_falls_over_the_width_asked_for(falloff: float) -> None:
    row = face_mask(401, falloff=falloff)[200]
    edge = round(falloff * 400)
    assert row[edge] == pytest.approx(1) and row[edge // 2] == pytest.approx(0.5, abs=0.05)
    assert (np.diff(row[: edge + 1]) >= 0).all() and row[0] == 0


def test_the_mask_has_no_step() -> None:
    steepest = 1.9 / (FALLOFF * 511)  # 15/8 over the ramp's width
    assert np.abs(np.diff(face_mask(512), axis=0)).max() < steepest
    assert np.abs(np.diff(face_mask(512), axis=1)).max() < steepest


def test_the_mask_does_not_fall_where_the_picture_ends() -> None:
    beyond = np.full((4, 256), np.inf)
    beyond[0] = 0
    beyond[1] = 0.02
    mask = face_mask(256, beyond=beyond)
    everywhere = face_mask(256)
    assert (mask[20:230, :100] == 1).all() and np.array_equal(mask[128:, 128:], everywhere[128:, 128:])
    assert not mask[0].any() and mask[12, 100] == 1 and everywhere[6, 100] < 0.6 < mask[6, 100]


@pytest.mark.parametrize("scale", [0.08, 0.25, 0.9])
def test_an_unchanged_crop_changes_nothing(scale: float, face_at: Callable[[float], Face]) -> None:
    region, transform, crop = face_at(scale)
    pasted, _ = paste_face(region, crop, crop, transform, mask=face_mask(SIZE), source_detail_weight=1.0)
    np.testing.assert_array_equal(pasted, region)


@pytest.mark.parametrize("scale", [0.15, 0.25, 0.6])
def test_there_and_back_without_the_frame_s_own_detail(scale: float, face_at: Callable[[float], Face]) -> None:
    region, transform, crop = face_at(scale)
    pasted, _ = paste_face(region, crop, crop, transform, mask=face_mask(SIZE), source_detail_weight=0.0)
    assert np.sqrt(np.square(pasted - region).mean()) < 0.01


@pytest.mark.parametrize("scale", [0.08, 0.25, 0.9])
def test_a_brighter_crop_leaves_no_step_at_the_rim(scale: float, face_at: Callable[[float], Face]) -> None:
    region, transform, crop = face_at(scale)
    pasted, weight = paste_face(region, crop, crop + 0.1, transform, mask=face_mask(SIZE), source_detail_weight=1.0)
    change = np.where(region < 0.85, pasted - region, 0.1 * weight[..., None])
    np.testing.assert_allclose(change, 0.1 * np.repeat(weight[..., None], 3, 2), atol=1e-4)
    steepest = max(np.abs(np.diff(weight, axis=0)).max(), np.abs(np.diff(weight, axis=1)).max())
    assert steepest < 2.1 / (FALLOFF * 512 * scale)


def test_nothing_changes_outside_of_the_mask(face_at: Callable[[float], Face]) -> None:
    region, transform, crop = face_at(0.3)
    pasted, weight = paste_face(region, crop, 1 - crop, transform, mask=face_mask(SIZE), source_detail_weight=0.0)
    assert (weight == 0).any()
    np.testing.assert_array_equal(pasted[weight == 0], region[weight == 0])


def test_inside_the_plateau_the_restored_face_replaces_the_source(
    face_at: Callable[[float], Face], smooth_picture: Callable[..., np.ndarray]
) -> None:
    region, transform, crop = face_at(0.25)
    restored = smooth_picture(SIZE, SIZE, seed=5)
    pasted, _ = paste_face(region, crop, restored, transform, mask=face_mask(SIZE), source_detail_weight=0.0)
    again = extract_crop(pasted, transform, SIZE)
    inside = face_mask(SIZE) == 1
    assert np.sqrt(np.square(again - restored)[inside].mean()) < 0.01


def test_detail_above_the_crop_s_resolution_stays_when_asked(face_at: Callable[[float], Face]) -> None:
    region, transform, crop = face_at(1.2)
    detail = np.random.default_rng(0).normal(0, 0.05, region.shape).astype(np.float32)
    detailed = np.clip(region + detail, 0, 1)
    plain, _ = paste_face(region, crop, crop, transform, mask=face_mask(SIZE), source_detail_weight=0.0)
    crop = extract_crop(detailed, transform, SIZE)
    kept, weight = paste_face(detailed, crop, crop, transform, mask=face_mask(SIZE), source_detail_weight=1.0)
    dropped, _ = paste_face(detailed, crop, crop, transform, mask=face_mask(SIZE), source_detail_weight=0.0)
    inside = weight == 1
    assert np.std((kept - region)[inside]) > 0.04
    assert np.std((dropped - plain)[inside]) < 0.01


def test_overshoot_is_cut_but_the_source_s_own_stays(face_at: Callable[[float], Face]) -> None:
    region, transform, crop = face_at(0.25)
    region[:10] = 1.06
    crop = extract_crop(region, transform, SIZE)
    pasted, _ = paste_face(region, crop, crop + 0.9, transform, mask=face_mask(SIZE), source_detail_weight=1.0)
    assert pasted[10:].max() == 1
    np.testing.assert_array_equal(
        paste_face(region, crop, crop, transform, mask=face_mask(SIZE), source_detail_weight=1.0)[0], region
    )


def test_detail_stays_where_the_restored_face_kept_it_and_goes_where_it_was_noise(
    smooth_picture: Callable[..., np.ndarray],
) -> None:
    rng = np.random.default_rng(0)
    clean = smooth_picture(SIZE, SIZE) * 0.8 + 0.1
    texture = rng.normal(0, 0.02, clean.shape[:2]).astype(np.float32)[..., None]
    sharp = clean.copy()
    sharp[:, : SIZE // 2] += texture[:, : SIZE // 2]
    share = signal_share(clean + texture, sharp)  # the right half has lost it
    assert share.shape == (SIZE, SIZE) and share.dtype == np.float32
    assert share[:, :48].min() > 0.8 and share[:, 80:].max() < 0.2
    assert (signal_share(clean + texture, clean + 1.3 * texture) == 1).all()
    assert (signal_share(np.full_like(clean, 0.5), clean) == 1).all()


def test_each_pixel_may_keep_a_share_of_its_own(face_at: Callable[[float], Face]) -> None:
    region, transform, crop = face_at(1.2)
    detail = np.random.default_rng(0).normal(0, 0.05, region.shape).astype(np.float32)
    detailed = np.clip(region + detail, 0, 1)
    kept = np.zeros((SIZE, SIZE), np.float32)
    kept[:, SIZE // 2 :] = 1
    mask = face_mask(SIZE)
    both, none, all_ = (
        paste_face(detailed, crop, crop, transform, mask=mask, source_detail_weight=w)[0] for w in (kept, 0.0, 1.0)
    )
    points = np.array([[30.0, 64.0], [98.0, 64.0]])
    (x0, y0), (x1, y1) = np.rint(apply_transform(invert(transform), points)).astype(int)
    np.testing.assert_allclose(both[y0, x0], none[y0, x0], atol=1e-4)
    np.testing.assert_allclose(both[y1, x1], all_[y1, x1], atol=1e-4)
