"""The starting-step table."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from dynface_video.diffusion.schedule import NoiseSchedule
from dynface_video.diffusion.starting_step import StartingStepTable, build_table, radial_power
from dynface_video.errors import ModelError

SIZE = 32


@pytest.fixture
def images() -> np.ndarray:
    """Pictures with a falling spectrum, as faces have."""
    noise = np.random.default_rng(0).standard_normal((8, 32, 32, 3))
    frequency = np.hypot(np.fft.fftfreq(32)[:, None], np.fft.fftfreq(32)[None, :])
    shaped = np.fft.ifft2(np.fft.fft2(noise, axes=(1, 2)) / (frequency + 0.02)[None, :, :, None], axes=(1, 2)).real
    return shaped / np.abs(shaped).max()


@pytest.fixture
def table(images: np.ndarray) -> StartingStepTable:
    return table_up_to(999, images)


def table_up_to(last_step: int, images: np.ndarray) -> StartingStepTable:
    levels = tuple(pixels / SIZE for pixels in (0.5, 1.0, 2.0, 4.0))
    return build_table(
        images, NoiseSchedule(), tolerance=0.05, blur_levels=levels, last_step=last_step, data_digest="d"
    )


def test_no_face_starts_where_the_prior_was_not_trained(images: np.ndarray) -> None:
    free, bounded = table_up_to(999, images).steps, table_up_to(300, images).steps
    assert max(free) > 300
    assert bounded == tuple(min(step, 300) for step in free)


def test_white_noise_has_flat_unit_power() -> None:
    _, power = radial_power(np.random.default_rng(0).standard_normal((64, 32, 32, 3)))
    assert np.allclose(power[2:], 1, atol=0.1)


def test_more_blur_starts_earlier(table: StartingStepTable) -> None:
    assert list(table.steps) == sorted(table.steps)
    assert table.steps[0] < table.steps[-1]


def test_at_the_starting_step_the_two_cannot_be_told_apart(table: StartingStepTable, images: np.ndarray) -> None:
    frequency, power = radial_power(images)
    alphas = NoiseSchedule().alphas_cumprod().numpy()
    for level, step in zip(table.blur_levels, table.steps, strict=True):

        def gap(t: int, level: float = level) -> float:
            blurred = power * np.exp(-4 * np.pi**2 * (SIZE * level) ** 2 * frequency**2)
            return float(np.log10((alphas[t] * power + 1 - alphas[t]) / (alphas[t] * blurred + 1 - alphas[t])).max())

        assert gap(step) <= 0.05 < gap(step - 1)


def test_lookup_interpolates_and_leaves_level_zero_alone(table: StartingStepTable) -> None:
    steps = table.lookup(np.array([0.0, 1.0, 1.5, 99.0]) / SIZE)
    assert steps[0] == 0
    assert steps[1] == table.steps[1]
    assert table.steps[1] < steps[2] < table.steps[2]
    assert steps[3] == table.steps[-1]


def test_it_is_read_back_as_written(table: StartingStepTable, tmp_path: Path) -> None:
    table.save(tmp_path / "table.json")
    assert StartingStepTable.load(tmp_path / "table.json") == table


def test_another_prior_is_refused(table: StartingStepTable) -> None:
    table.check_fits(32, NoiseSchedule())
    with pytest.raises(ModelError, match="32 px"):
        table.check_fits(64, NoiseSchedule())
    with pytest.raises(ModelError):
        table.check_fits(32, dataclasses.replace(NoiseSchedule(), beta_end=0.03))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "table.json").write_text("{}")
    with pytest.raises(ModelError, match=r"table\.json"):
        StartingStepTable.load(tmp_path / "table.json")
