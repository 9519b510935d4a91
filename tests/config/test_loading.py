from __future__ import annotations

from pathlib import Path

import pytest

from dynface_video.config import OPTIONS, Settings, load_preset, load_settings, preset_names
from dynface_video.errors import InputError

UNKNOWN_COLOUR = f"unknown option 'colour'; known: {', '.join(OPTIONS)}"


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def test_the_default_preset_equals_the_defaults() -> None:
    assert load_preset("mini") == load_settings() == Settings()


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads(name: str) -> None:
    assert isinstance(load_preset(name), Settings)


def test_archive_material_is_smoothed_longer() -> None:
    archive, mini = load_preset("archive"), load_preset("mini")
    assert archive.detection.landmark_smoothing > mini.detection.landmark_smoothing
    assert archive.restoration.level_smoothing > mini.restoration.level_smoothing


def test_an_unknown_preset_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'huge'.*archive, ffhq512, mini"):
        load_preset("huge")
    with pytest.raises(InputError, match="did you mean mini"):
        load_preset("mimi")


def test_options_rule_over_the_file_and_the_file_over_the_preset(tmp_path: Path) -> None:
    config = write(tmp_path, "restoration: {strength: 0.2, num_inference_steps: 4}\nexecution:\n")
    settings = load_settings("mini", config, {"num_inference_steps": 6, "seed": None, "device": "cuda:1"})
    assert (settings.restoration.strength, settings.restoration.num_inference_steps, settings.restoration.seed) == (
        0.2,
        6,
        0,
    )
    assert settings.execution.device == "cuda:1"
    assert settings.detection == load_preset("mini").detection


def test_all_errors_are_told_at_once_each_once(tmp_path: Path) -> None:
    config = write(tmp_path, "detection: {maximum_gap: -1}\nrestoration: {strength: 2, trust: 0}\n")
    with pytest.raises(InputError) as caught:
        load_settings("hugo", config, {"strength": 3.0, "crf": 99, "colour": True})
    assert str(caught.value).splitlines() == [
        "7 settings cannot be used:",
        "  unknown preset 'hugo'; known: archive, ffhq512, mini",
        f"  {UNKNOWN_COLOUR}",
        f"  {config}: detection.maximum_gap is -1; it must be at least 0",
        f"  {config}: strength is 2; it must be at least 0 and at most 1",
        f"  {config}: restoration.trust is 0; it must be more than 0",
        "  strength is 3.0; it must be at least 0 and at most 1",
        "  crf is 99; it must be at least 0 and at most 63",
    ]


def test_an_option_does_not_hide_what_is_wrong_in_the_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mine\.yaml: strength is 2"):
        load_settings("mini", write(tmp_path, "restoration: {strength: 2}"), {"strength": 0.5})


@pytest.mark.parametrize("name", [".", "absent.yaml"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_settings("mini", tmp_path / name, {})


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "video.mp4").write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match=r"video\.mp4 is not YAML"):
        load_settings("mini", tmp_path / "video.mp4", {})


def test_a_detector_file_is_looked_for_beside_the_configuration(tmp_path: Path) -> None:
    config = write(tmp_path, "detection: {detector: yunet, yunet_model: yunet.onnx}")
    assert load_settings("mini", config, {}).detection.yunet_model == tmp_path / "yunet.onnx"
    config = write(tmp_path, "detection: {yunet_model: /models/yunet.onnx}")
    assert load_settings("mini", config, {"detector": "yunet"}).detection.yunet_model == Path("/models/yunet.onnx")


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert load_settings("archive", write(tmp_path, "# nothing\n"), {}) == load_preset("archive")


def test_off_is_a_word_also_where_yaml_reads_it_as_false(tmp_path: Path) -> None:
    config = write(tmp_path, "execution: {cuda_graphs: off}\n")
    assert load_settings("mini", config).execution.cuda_graphs == "off"
    with pytest.raises(InputError, match="cuda_graphs"):
        load_settings("mini", write(tmp_path, "execution: {cuda_graphs: on}\n"))
