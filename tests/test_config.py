from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import dynface_video
from dynface_video.config import OVERRIDES, Settings, load_preset, load_settings, preset_names
from dynface_video.errors import InputError


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def test_the_default_preset_is_written_out_in_full_and_equals_the_defaults() -> None:
    import yaml

    text = (Path(__file__).parents[1] / "configs" / "mini.yaml").read_text()
    assert load_preset("mini") == Settings()
    assert yaml.safe_load(text) == Settings().model_dump(mode="json")


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads(name: str) -> None:
    assert isinstance(load_preset(name), Settings)


def test_archive_material_is_smoothed_longer() -> None:
    archive, mini = load_preset("archive"), load_preset("mini")
    assert archive.detection.landmark_smoothing > mini.detection.landmark_smoothing
    assert archive.restoration.level_smoothing > mini.restoration.level_smoothing


def test_an_unknown_preset_is_answered_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"'huge'.*archive, mini"):
        load_preset("huge")
    with pytest.raises(InputError, match="did you mean 'mini'"):
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
        "grayscale": "off", "detector": "retinaface",
    }  # fmt: skip
    assert values.keys() == OVERRIDES.keys()
    settings = load_settings("mini", None, values)
    for name, section in OVERRIDES.items():
        assert getattr(getattr(settings, section), name) == values[name]


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
        ({"device": "gpu"}, "device is 'gpu'; it must be auto, cpu, cuda"),
        ({"crf": 64}, "crf is 64; it must be at least 0 and at most 63"),
        ({"interlaced": "bob"}, "interlaced is 'bob'; it must be 'auto', 'keep', 'deinterlace' or 'ignore'"),
        ({"grayscale": "yes"}, "grayscale is 'yes'; it must be 'auto', 'on' or 'off'"),
        ({"detector": "haar"}, "detector is 'haar'; it must be 'retinaface' or 'yunet'"),
        ({"stregth": 0.5}, "no option 'stregth'; did you mean 'strength'"),
    ],
)
def test_a_bad_option_is_named_with_its_value_and_what_is_allowed(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_settings("mini", None, overrides)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "advice"),
    [
        ({"workers": 2, "device": "cuda:1"}, "say workers 1 to use cuda:1 alone"),
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
        ("colour: {}", "no setting 'colour'; there are: models, input, detection"),
        ("detection: {intervall: 3}", r"no setting 'detection\.intervall'; did you mean 'interval'"),
        ("detection: {maximum_gap: -1}", r"detection\.maximum_gap is -1; it must be at least 0"),
        ("output: {crf: yes}", "crf is True"),
        ("restoration: {guidance_scale: 2}", "guidance_scale above 1 is for the guidance by gradient"),
        ("restoration: {guidance: none, guidance_scale: 0.5}", "guidance_scale is of a guidance"),
        ("restoration: {guidance: gradient, guidance_map: sobel}", "guidance_map weakens the guidance in closed form"),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong_in_it(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"mine\.yaml.*{message}") as caught:
        load_settings("mini", write(tmp_path, text), {})
    assert "\n" not in str(caught.value)


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


@pytest.mark.parametrize("module", ["dynface_video", "dynface_video.config", "dynface_video.cli.main"])
def test_importing_what_help_needs_loads_nothing_heavy(module: str) -> None:
    program = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    root = str(Path(dynface_video.__file__).parents[1])
    loaded = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert not {"torch", "av", "cv2", "diffusers", "scipy", "ray", "numpy"} & set(loaded.stdout.split())


def test_the_package_gives_its_functions_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    from dynface_video import api
    from dynface_video import pipeline as restorer

    assert dynface_video.restore_video is api.restore_video
    assert dynface_video.analyze_video is api.analyze_video
    assert dynface_video.FaceRestorer is restorer.FaceRestorer
    assert {"restore_video", "analyze_video", "FaceRestorer", "__version__"} <= set(dir(dynface_video))
    with pytest.raises(AttributeError, match="no attribute 'restore'"):
        _ = dynface_video.restore
