"""The crop: where it is taken from, and that taking it neither aliases nor shifts."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from dynface_video.faces.align import (
    TEMPLATE_512,
    align_transform,
    apply_transform,
    compose,
    crop_box,
    crop_validity,
    extract_crop,
    fit_similarity,
    invert,
    picture_beyond,
    sample,
    template,
    transform_scale,
)

Similarity = Callable[[float, float, float, float], np.ndarray]
Picture = Callable[..., np.ndarray]


def test_a_face_already_in_place_is_not_moved() -> None:
    np.testing.assert_allclose(align_transform(TEMPLATE_512, 512), [[1, 0, 0], [0, 1, 0]], atol=1e-9)


@pytest.mark.parametrize(("scale", "degrees"), [(0.3, 0), (1.7, 35), (1.0, 180), (2.5, -100)])
def test_a_turned_and_scaled_face_is_brought_to_the_template(
    scale: float, degrees: float, similarity: Similarity
) -> None:
    landmarks = apply_transform(similarity(scale, degrees, 300, -20), TEMPLATE_512)
    np.testing.assert_allclose(apply_transform(align_transform(landmarks, 128), landmarks), template(128), atol=1e-6)


def test_the_fit_never_mirrors() -> None:
    mirrored = TEMPLATE_512 * [-1, 1]
    assert np.linalg.det(align_transform(mirrored, 512)[:, :2]) > 0


def test_the_fit_is_the_best_similarity(similarity: Similarity) -> None:
    rng = np.random.default_rng(1)
    source, target = rng.normal(0, 10, (5, 2)), rng.normal(0, 10, (5, 2))
    best = fit_similarity(source, target)
    error = np.square(apply_transform(best, source) - target).sum()
    for _ in range(50):
        other = (
            best + similarity(1, 0, 0, 0) * rng.normal(0, 0.01) + np.array([[0, 0, 1], [0, 0, 1]]) * rng.normal(0, 0.1)
        )
        assert np.square(apply_transform(other, source) - target).sum() >= error


def test_points_in_one_place_are_an_error() -> None:
    with pytest.raises(ValueError, match="coincide"):
        align_transform(np.ones((5, 2)), 128)


def test_compose_and_invert(similarity: Similarity) -> None:
    first, second = similarity(2, 30, 5, 6), similarity(0.5, -70, -3, 1)
    points = np.array([[1.0, 2.0], [-4.0, 9.0]])
    np.testing.assert_allclose(
        apply_transform(compose(second, first), points), apply_transform(second, apply_transform(first, points))
    )
    np.testing.assert_allclose(compose(invert(first), first), [[1, 0, 0], [0, 1, 0]], atol=1e-12)
    assert transform_scale(first) == pytest.approx(2)


def test_crops_of_two_sizes_show_the_same(similarity: Similarity, smooth_picture: Picture) -> None:
    picture = smooth_picture(300, 300)
    landmarks = apply_transform(similarity(0.45, 8, 30, 20), TEMPLATE_512)
    large = extract_crop(picture, align_transform(landmarks, 256), 256)
    small = extract_crop(picture, align_transform(landmarks, 128), 128)
    reduced = cv2.resize(large, (128, 128), interpolation=cv2.INTER_AREA)
    assert np.sqrt(np.square(reduced - small).mean()) < 0.01


def test_the_identity_crop_is_the_picture(smooth_picture: Picture) -> None:
    picture = smooth_picture(64, 64)
    np.testing.assert_allclose(extract_crop(picture, np.eye(2, 3), 64), picture, atol=1e-6)


def test_uint8_and_float_pictures_give_the_same_crop(similarity: Similarity, smooth_picture: Picture) -> None:
    levels = np.round(smooth_picture(200, 220) * 255).astype(np.uint8)
    transform = similarity(0.8, 12, 10, -15)
    crop = extract_crop(levels, transform, 128)
    assert crop.dtype == np.float32
    assert 0 <= crop.min() <= crop.max() <= 1
    np.testing.assert_allclose(crop, extract_crop(levels.astype(np.float32) / 255, transform, 128), atol=0.02)


def test_shrinking_does_not_alias(similarity: Similarity) -> None:
    stripes = np.zeros((400, 400, 3), np.float32)
    stripes[:, ::2] = 1
    crop = extract_crop(stripes, similarity(0.32, 1.0, 0, 0), 128)
    assert np.abs(crop[10:-10, 10:-10] - 0.5).max() < 0.02


def test_only_the_neighbourhood_is_read(similarity: Similarity, smooth_picture: Picture) -> None:
    picture = smooth_picture(400, 500)
    transform = similarity(0.6, 20, -60, -90)
    x0, y0, x1, y1 = crop_box(transform, 64, 500, 400)
    outside = picture.copy()
    outside[:y0], outside[y1:], outside[:, :x0], outside[:, x1:] = 0, 0, 0, 0
    np.testing.assert_array_equal(extract_crop(outside, transform, 64), extract_crop(picture, transform, 64))


def test_a_region_gives_the_same_crop_as_the_whole_frame(similarity: Similarity, smooth_picture: Picture) -> None:
    picture = smooth_picture(400, 500)
    transform = similarity(0.5, -15, 20, -30)
    x0, y0, x1, y1 = crop_box(transform, 64, 500, 400)
    to_crop = compose(transform, np.array([[1.0, 0, x0], [0, 1.0, y0]]))
    np.testing.assert_allclose(
        extract_crop(picture[y0:y1, x0:x1], to_crop, 64), extract_crop(picture, transform, 64), atol=1e-4
    )


@pytest.mark.parametrize("scale", [1.0, 2.0, 3.3])
def test_beyond_the_border_the_picture_is_mirrored(scale: float) -> None:
    picture = np.tile(np.linspace(0, 1, 100, dtype=np.float32)[None, :, None], (100, 1, 3))
    crop = extract_crop(picture, np.array([[scale, 0, 20], [0, scale, 0]]), 64)
    np.testing.assert_allclose(crop[:, 20 - 7], crop[:, 20 + 7], atol=1e-5)


@pytest.mark.parametrize("border", [cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT_101])
def test_sampling_on_a_finer_grid_is_as_exact_at_every_border(
    border: int, similarity: Similarity, smooth_picture: Picture
) -> None:
    picture = smooth_picture(80, 90)
    to_source = similarity(0.4, 5, 4, 3)
    exact = cv2.warpAffine(
        picture, to_source, (150, 140), flags=cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP, borderMode=border
    )
    np.testing.assert_allclose(sample(picture, to_source, (150, 140), border), exact, atol=0.01)


@pytest.mark.parametrize("shift", [-500.0, 500.0])
def test_a_face_outside_of_the_frame_is_no_error(shift: float, smooth_picture: Picture) -> None:
    crop = extract_crop(smooth_picture(50, 60), np.array([[1.0, 0, shift], [0, 1.0, shift]]), 64)
    assert np.isfinite(crop).all()


def test_the_validity_of_a_crop_says_which_pixels_show_the_picture(similarity: Similarity) -> None:
    height, width, size = 90, 120, 64
    transform = similarity(0.8, 25, -30, 5)
    validity = crop_validity(transform, size, width, height)
    ones = np.ones((height, width), np.float32)
    wanted = cv2.warpAffine(ones, transform, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    assert validity.dtype == np.float32 and 0 < validity.mean() < 1
    assert np.abs(validity - wanted).mean() < 0.01
    assert (validity[wanted == 0] < 0.6).all() and (validity[wanted == 1] > 0.4).all()


def test_a_crop_inside_of_the_picture_is_valid_everywhere_and_one_outside_nowhere(similarity: Similarity) -> None:
    assert (crop_validity(similarity(1, 0, -20, -20), 64, 200, 200) == 1).all()
    assert (crop_validity(similarity(1, 0, 0, 0), 64, 64, 64)[1:-1, 1:-1] == 1).all()
    assert not crop_validity(similarity(1, 0, 300, 0), 64, 200, 200).any()


def test_the_picture_beyond_a_crop_is_measured_from_each_side(similarity: Similarity) -> None:
    inside = picture_beyond(similarity(1, 0, -20, -30), 64, 200, 200)
    assert np.allclose(inside * 64, np.array([20, 30, 116, 106])[:, None])
    shrunk = picture_beyond(similarity(0.5, 0, -20, -30), 64, 200, 200)
    assert np.allclose(shrunk[:2] * 64, np.array([20, 30])[:, None], atol=0.3)
    turned = picture_beyond(similarity(1, 90, 130, -30), 64, 200, 200)
    assert np.allclose(turned.sum(axis=0), 2 * (200 - 64) / 64, atol=0.02) or (turned >= 0).all()


def test_no_picture_lies_beyond_a_crop_that_is_the_whole_of_it_or_reaches_out_of_it(similarity: Similarity) -> None:
    assert not picture_beyond(align_transform(template(512), 128), 128, 512, 512).any()
    assert not picture_beyond(align_transform(template(100), 256), 256, 100, 100).any()
    left, top, right, bottom = picture_beyond(similarity(1, 0, 10, -20), 64, 200, 200)
    assert not left.any() and not top[:9].any() and (top[11:] > 0).all() and (right > 0).all()
    assert (bottom[11:] > 0).all()
    cut = picture_beyond(similarity(1, 3, 0, 0), 64, 64, 64)
    assert 0 < cut.max() < 0.06


def test_a_crop_of_a_larger_scale_shows_more_around_the_same_centre() -> None:
    landmarks = apply_transform(np.array([[2.0, 0.3, 40.0], [-0.3, 2.0, 90.0]]), template(64))
    exact, wide = align_transform(landmarks, 64), align_transform(landmarks, 64, scale=1.25)
    assert transform_scale(wide) == pytest.approx(transform_scale(exact) / 1.25)
    centre = np.array([31.5, 31.5])
    assert np.allclose(apply_transform(wide, apply_transform(invert(exact), centre)), centre)
