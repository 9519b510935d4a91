from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from dynface_video.config import OPTIONS, load_settings
from dynface_video.config.declared import choices, section_fields, value_range, value_types, yaml_scalar


def test_every_override_reaches_its_setting() -> None:
    values: dict[str, Any] = {
        "strength": 0.25, "num_inference_steps": 3, "faces": "largest", "seed": 9, "workers": 2, "device": "cpu",
        "threads": 2, "address": "auto", "work": Path("scratch"),
        "codec": "libx265", "crf": 20, "encoder_preset": "slow", "pix_fmt": "yuv422p", "interlaced": "keep",
        "mezzanine": True, "copy_untouched": True, "images": "stills", "fps": "24", "image_format": "tif", "grain": 0.5,
        "remove_damage": True, "grayscale": "off",
        "detector": "retinaface", "minimum_size": 40.0, "minimum_score": 0.3, "maximum_yaw": 75.0, "aligned": True,
        "resolution": 256, "identity": "arcface", "paste_mask": "person", "precision": "bfloat16",
        "record": False,
        "method": "guided", "restorer": "gfpgan-1.4", "fidelity": 0.7, "prior": "difface-prior",
        "exclude": "2", "between": "0-9", "strengths": "1=0.4", "reference": Path("her.jpg"),
        "skip_blurred_background": False,
    }  # fmt: skip
    assert values.keys() == OPTIONS.keys()
    settings = load_settings("mini", None, values)
    for name, option in OPTIONS.items():
        assert getattr(getattr(settings, option.section), name) == values[name]


def test_a_fields_type_choices_and_range_can_be_read() -> None:
    fields = section_fields("restoration") | section_fields("execution") | section_fields("output")
    assert value_types(fields["strength"]) == (float,) and value_types(fields["crf"]) == (int,)
    assert value_types(fields["workers"]) == (int, Literal["auto"])
    assert choices(fields["grayscale"]) == ("auto", "on", "off") and choices(fields["workers"]) == ("auto",)
    assert choices(fields["image_format"])[:2] == ("png", "jpg") and choices(fields["crf"]) == ()
    assert value_range(fields["temperature"]) == "more than 0 and at most 2" and value_range(fields["codec"]) == ""


def test_an_option_knows_its_flags_placeholder_and_default() -> None:
    steps, codec, mezzanine = OPTIONS["num_inference_steps"], OPTIONS["codec"], OPTIONS["mezzanine"]
    assert steps.flags == ("--num-inference-steps", "--steps")
    assert (OPTIONS["grayscale"].metavar, steps.metavar, mezzanine.metavar) == ("auto|on|off", "N", None)
    assert (codec.default, mezzanine.default) == ("chosen by the source and the container", "false")


@pytest.mark.parametrize(("value", "text"), [(None, "null"), (True, "true"), (0.6, "0.6"), (Path("a/b"), "a/b")])
def test_values_are_written_as_yaml_has_them(value: Any, text: str) -> None:
    assert yaml_scalar(value) == text
