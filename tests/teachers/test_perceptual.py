"""EfficientNet-Lite0 against the logits and feature means that its weights come with."""

import pytest
import torch

from teachers.perceptual import (
    FILE,
    MEASURED_TAPS,
    SHARP_TAPS,
    EfficientNetLite0,
    SamePadding,
    load_perceptual,
    perceptual_distance,
)
from teachers.weights import teacher_folder

# Test input and reference values: README.md of the teachers' folder.
LOGITS = {
    0: ([2.6827, 2.3900, 1.0129, -2.7111], 906),
    1: ([0.9540, 2.0524, 3.0326, -1.8298], 703),
    2: ([0.8055, 1.6186, 1.8270, -2.0577], 858),
}
TAP_MEANS = (1.67994, 1.27667, 0.91510, 0.32836, 0.37371)


def waves(k: int, size: int) -> torch.Tensor:
    row, column = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    channels = [column * (c + 1) + row * (3 - c) for c in range(3)]
    return (127.5 + 127.5 * torch.sin(2 * torch.pi * (k + 1) * torch.stack(channels) / size))[None]


@pytest.fixture(scope="module")
def network() -> EfficientNetLite0:
    if not (teacher_folder() / FILE).is_file():
        pytest.skip(f"no {FILE} in {teacher_folder()}: set DYNFACE_DATA")
    return load_perceptual(teacher_folder())


@pytest.mark.parametrize("k", LOGITS)
def test_logits_are_those_of_the_original(network: EfficientNetLite0, k: int) -> None:
    logits = network(waves(k, 128))[0]
    first, largest = LOGITS[k]
    assert logits[:4].tolist() == pytest.approx(first, abs=2e-4)
    assert int(logits.argmax()) == largest


def test_taps_are_those_of_the_original(network: EfficientNetLite0) -> None:
    maps = network.features(waves(0, 128), MEASURED_TAPS)
    assert [float(maps[tap].mean()) for tap in MEASURED_TAPS] == pytest.approx(TAP_MEANS, abs=2e-5)


@pytest.mark.parametrize("taps", [MEASURED_TAPS, SHARP_TAPS])
def test_the_distance_rises_with_noise_and_is_zero_for_equal_pictures(network: EfficientNetLite0, taps: dict) -> None:
    picture = waves(0, 128) / 127.5 - 1
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))
    distances = [float(perceptual_distance(network, picture + a * noise, picture, taps)) for a in (0, 0.05, 0.1, 0.2)]
    assert distances[0] == 0 and distances == sorted(distances) and distances[3] > 2 * distances[1] > 0


def test_odd_pixels_of_the_padding_come_last() -> None:
    layer = SamePadding(1, 1, 3, stride=2, bias=False)
    torch.nn.init.ones_(layer.weight)
    with torch.no_grad():
        sums = layer(torch.arange(16.0).reshape(1, 1, 4, 4))[0, 0]
    # An even side is padded after the picture only: the first window is rows and columns 0 to 2.
    assert sums.tolist() == [[45.0, 39.0], [66.0, 50.0]]
