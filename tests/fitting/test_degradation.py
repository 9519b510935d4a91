"""The degradation for fitting: reproducible, of the same picture at every size, and stronger where it should be."""

import numpy as np
import pytest

from dynface_video.fitting.degradation import Damage, damaged, random_damage


def picture(size: int) -> np.ndarray:
    x = np.linspace(0, 12 * np.pi, size, dtype=np.float32)
    return np.repeat((0.5 + 0.4 * np.sin(x)[:, None] * np.sin(x)[None])[..., None], 3, axis=2)


def error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(((a - b) ** 2).mean()))


def test_a_draw_is_reproducible_and_leaves_shape_and_range() -> None:
    draws = [random_damage(np.random.default_rng(seed)) for seed in range(40)]
    assert len({d.blur for d in draws}) == 40 and {d.jpeg is None for d in draws} == {True, False}
    assert all(0.8 <= d.downscale <= 26 and 0 <= d.noise <= 20 for d in draws)
    made = [damaged(picture(64), draws[3], np.random.default_rng(1)) for _ in range(2)]
    assert np.array_equal(*made)
    assert made[0].shape == (64, 64, 3) and made[0].dtype == np.float32 and 0 <= made[0].min() <= made[0].max() <= 1


@pytest.mark.parametrize("change", [{"blur": (12.0, 12.0)}, {"downscale": 16.0}, {"noise": 20.0}, {"jpeg": 30}])
def test_each_part_takes_away(change: dict[str, object]) -> None:
    gentle = Damage((0.4, 0.4), 0.0, 0.8, 0.0, None)
    strong = Damage(**{**gentle.__dict__, **change})
    clean = picture(256)
    before, after = (damaged(clean, d, np.random.default_rng(0)) for d in (gentle, strong))
    assert error(before, clean) < 0.005 < error(after, clean)


def test_lengths_are_pixels_at_512() -> None:
    blur = Damage((16.0, 16.0), 0.0, 0.8, 0.0, None)
    large, small = (damaged(picture(size), blur, np.random.default_rng(0)) for size in (512, 256))
    assert error(large[::2, ::2], small) < 0.02


def test_an_anisotropic_blur_has_a_direction() -> None:
    clean = picture(256)
    across = damaged(clean, Damage((16.0, 0.4), 0.0, 0.8, 0.0, None), np.random.default_rng(0))
    turned = damaged(clean, Damage((16.0, 0.4), np.pi / 2, 0.8, 0.0, None), np.random.default_rng(0))
    assert error(across, turned) > 0.02 and error(across, turned.transpose(1, 0, 2)) < 0.01
