from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynface_video.config import load_settings
from dynface_video.errors import InputError


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"strength": 1.5}, r"strength is 1\.5; it must be at least 0 and at most 1$"),
        ({"strength": float("nan")}, "strength is nan; it must be a finite number"),
        ({"num_inference_steps": 0}, "num_inference_steps is 0; it must be at least 1 and at most 1000"),
        ({"num_inference_steps": True}, "num_inference_steps is True; it must be a valid integer"),
        (
            {"faces": "both"},
            "faces is 'both'; it must be all, largest or numbers such as 1,3: 'both' is not a person's number",
        ),
        ({"seed": -1}, "seed is -1; it must be at least 0 and less than 4294967296"),
        ({"workers": 0}, "workers is 0; it must be at least 1"),
        ({"device": "gpu"}, "device is 'gpu'; use auto, cpu, cuda, cuda:N or mps"),
        ({"crf": 64}, "crf is 64; it must be at least 0 and at most 63"),
        ({"interlaced": "bob"}, "interlaced is 'bob'; it must be 'auto', 'keep', 'deinterlace' or 'ignore'"),
        ({"grayscale": "yes"}, "grayscale is 'yes'; it must be 'auto', 'on' or 'off'"),
        ({"detector": "haar"}, "detector is 'haar'; it must be 'retinaface', 'retinaface-r50' or 'yunet'"),
        ({"stregth": 0.5}, "unknown option 'stregth'; did you mean strength"),
        ({"steps": 5}, "unknown option 'steps'; did you mean num_inference_steps"),
    ],
)
def test_a_bad_option_is_named_with_its_value_and_what_is_allowed(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_settings("mini", None, overrides)
    assert "\n" not in str(caught.value)


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
