from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

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
    with pytest.raises(InputError, match=r"'huge'.*archive, mini"):
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


def test_every_override_reaches_its_setting() -> None:
    values: dict[str, Any] = {
        "strength": 0.25, "num_inference_steps": 3, "faces": "largest", "seed": 9, "workers": 2, "device": "cpu",
        "threads": 2, "address": "auto", "work": Path("scratch"),
        "codec": "libx265", "crf": 20, "encoder_preset": "slow", "pix_fmt": "yuv422p", "interlaced": "keep",
        "mezzanine": True, "copy_untouched": True, "images": "stills", "fps": "24", "image_format": "tif", "grain": 0.5,
        "grayscale": "off", "detector": "retinaface", "minimum_size": 40.0, "minimum_score": 0.3, "aligned": True,
        "resolution": "256",
    }  # fmt: skip
    assert values.keys() == OPTIONS.keys()
    settings = load_settings("mini", None, values)
    for name, option in OPTIONS.items():
        assert getattr(getattr(settings, option.section), name) == values[name]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"strength": 1.5}, r"strength is 1\.5; it must be at least 0 and at most 1$"),
        ({"strength": float("nan")}, "strength is nan; it must be a finite number"),
        ({"num_inference_steps": 0}, "num_inference_steps is 0; it must be at least 1 and at most 1000"),
        ({"num_inference_steps": True}, "num_inference_steps is True; it must be a valid integer"),
        ({"faces": "both"}, "faces is 'both'; it must be 'all' or 'largest'"),
        ({"seed": -1}, "seed is -1; it must be at least 0 and less than 4294967296"),
        ({"workers": 0}, "workers is 0; it must be at least 1"),
        ({"device": "gpu"}, "device is 'gpu'; use auto, cpu, cuda, cuda:N or mps"),
        ({"crf": 64}, "crf is 64; it must be at least 0 and at most 63"),
        ({"interlaced": "bob"}, "interlaced is 'bob'; it must be 'auto', 'keep', 'deinterlace' or 'ignore'"),
        ({"grayscale": "yes"}, "grayscale is 'yes'; it must be 'auto', 'on' or 'off'"),
        ({"detector": "haar"}, "detector is 'haar'; it must be 'retinaface' or 'yunet'"),
        ({"stregth": 0.5}, "unknown option 'stregth'; did you mean strength"),
        ({"steps": 5}, "unknown option 'steps'; did you mean num_inference_steps"),
    ],
)
def test_a_bad_option_is_named_with_its_value_and_what_is_allowed(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_settings("mini", None, overrides)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "advice"),
    [
        ({"workers": 2, "device": "cuda:1"}, "or 1 worker on cuda:1"),
        ({"detector": "yunet"}, r"name it as detection\.yunet_model"),
    ],
)
def test_settings_that_exclude_each_other_say_what_to_do(overrides: dict[str, Any], advice: str) -> None:
    with pytest.raises(InputError, match=advice):
        load_settings("mini", None, overrides)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is not YAML"),
        ("- mini", "must hold settings"),
        ("detection: 3", "detection is 3; it must hold settings"),
        ("colour: {}", "unknown setting 'colour'; known: models, input, detection"),
        ("detection: {intervall: 3}", r"unknown setting 'detection\.intervall'; did you mean detection\.interval\?"),
        ("detection: {maximum_gap: -1}", r"detection\.maximum_gap is -1; it must be at least 0"),
        ("output: {crf: yes}", "crf is True"),
        ("restoration: {guidance_scale: 2}", "guidance_scale above 1 requires guidance: gradient"),
        ("restoration: {guidance: none, guidance_scale: 0.5}", "guidance_scale has no effect with guidance: none"),
        ("restoration: {guidance: gradient, guidance_map: sobel}", "guidance_map requires guidance: closed_form"),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong_in_it(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"mine\.yaml.*{message}") as caught:
        load_settings("mini", write(tmp_path, text), {})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("minimum_size: 30", "detection.minimum_size"),
        ("restoration: {minimum_size: 30}", "detection.minimum_size"),
        ("detection: {strenght: 0.5}", "restoration.strength"),
        ("seed: 3", "restoration.seed"),
        ("steps: 3", "restoration.num_inference_steps"),
        ("detection: {min_size: 3}", "detection.minimum_size"),
    ],
)
def test_a_setting_in_the_wrong_section_is_answered_with_the_right_one(tmp_path: Path, text: str, meant: str) -> None:
    with pytest.raises(InputError, match=rf"did you mean {meant}\?"):
        load_settings("mini", write(tmp_path, text))


def test_a_setting_that_is_no_option_is_answered_with_where_it_belongs() -> None:
    with pytest.raises(
        InputError, match=r"'working_size' is not an option; set detection\.working_size in a configuration"
    ):
        load_settings("mini", None, {"working_size": 300})


def test_all_errors_are_told_at_once_each_once(tmp_path: Path) -> None:
    config = write(tmp_path, "detection: {maximum_gap: -1}\nrestoration: {strength: 2, trust: 0}\n")
    with pytest.raises(InputError) as caught:
        load_settings("hugo", config, {"strength": 3.0, "crf": 99, "colour": True})
    assert str(caught.value).splitlines() == [
        "7 settings cannot be used:",
        "  unknown preset 'hugo'; known: archive, mini",
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


def test_settings_do_not_change_once_made() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().restoration.strength = 1.0  # type: ignore[misc]


def test_settings_survive_json() -> None:
    settings = load_preset("archive")
    assert Settings.model_validate_json(settings.model_dump_json()) == settings
