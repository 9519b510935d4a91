"""Films restored with networks of other projects, from the mirror to the file.

By default with small networks in the same code; `pytest -m slow` with the true shapes, which takes minutes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch

import plain_swinir
import plain_unet
from dynface_video import restore_video
from dynface_video.errors import InputError, ModelError
from dynface_video.models.registry import fetch
from small_models import make_small_models

pytest.importorskip("spandrel", reason="the extra [models] is not installed")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small models, and a clip of two pictures that are aligned faces as far as the pipeline knows."""
    folder = make_small_models(tmp_path_factory.mktemp("models"))
    coarse = np.random.default_rng(0).integers(0, 255, (12, 12, 3), dtype=np.uint8)
    picture = cv2.resize(coarse, (96, 96), interpolation=cv2.INTER_CUBIC)
    with av.open(str(folder / "clip.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width = stream.height = 96
        stream.pix_fmt = "yuv444p"
        for shift in range(2):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.roll(picture, shift, 1)), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (folder / "own.yaml").write_text(
        "models: own\ndetection: {aligned: true}\n"
        "restoration: {guide_count: 2, guidance_map: sobel, num_inference_steps: 1, temporal_radius: 0}\n"
    )
    return folder


def restore(files: Path, target: Path, **options: Any) -> Any:
    given = {"config": files / "own.yaml", "device": "cpu", "precision": "float32", "codec": "ffv1"}
    return restore_video(files / "clip.mkv", target, **(given | options))


def frames(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(int)


def test_the_method_runs_with_a_foreign_restorer_and_a_converted_prior(files: Path, tmp_path: Path) -> None:
    result = restore(files, tmp_path / "out.mkv", restorer=str(files / "restorer.pth"), prior=str(files / "prior"))
    assert result.faces == result.drawn_faces == 2 and result.unet_evaluations >= 2
    assert np.abs(frames(tmp_path / "out.mkv") - frames(files / "clip.mkv")).mean() > 1
    # Nothing is drawn in the first frame.
    given = {"restorer": str(files / "restorer.pth"), "prior": str(files / "prior"), "strengths": "all=0@0-0.01"}
    half = restore(files, tmp_path / "half.mkv", **given)
    assert (half.faces, half.drawn_faces, half.unet_evaluations) == (2, 1, result.unet_evaluations // 2)


def test_a_restorer_runs_alone_over_time(files: Path, tmp_path: Path) -> None:
    restorer = str(files / "restorer.pth")
    config = tmp_path / "over_time.yaml"
    config.write_text(f"models: {files / 'own'}\ndetection: {{aligned: true}}\n")
    result = restore(files, tmp_path / "out.mkv", restorer=restorer, method="restorer", config=config)
    assert result.faces == 2 and result.drawn_faces == result.unet_evaluations == 0
    # With the embedded models, which have no prior of 512 pixels, `auto` is the restorer alone.
    (tmp_path / "alone.yaml").write_text("detection: {aligned: true}\nrestoration: {temporal_weight: 0}\n")
    restore(files, tmp_path / "single.mkv", restorer=restorer, config=tmp_path / "alone.yaml")
    assert not np.array_equal(frames(tmp_path / "out.mkv"), frames(tmp_path / "single.mkv"))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"restorer": "page.pth", "prior": "prior"}, ModelError, r"page\.pth"),
        ({"restorer": "prior.pth", "prior": "prior"}, ModelError, "spandrel does not know this network"),
        ({"restorer": "restorer.pth", "prior": "restorer.pth"}, ModelError, "not a prior that is known here"),
        ({"restorer": "restorer.pth", "prior": "none.pth"}, InputError, "no such prior"),
        ({}, ModelError, r"difface-swinir.*models fetch"),
    ],
)
def test_a_wrong_model_ends_in_a_message_and_no_output(
    options: dict[str, str],
    error: type[Exception],
    message: str,
    files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DYNFACE_HOME", str(tmp_path / "home"))
    (files / "page.pth").write_text("<html>not found</html>")
    given = {name: str(files / path) for name, path in options.items()}
    with pytest.raises(error, match=message):
        restore(files, tmp_path / "out.mkv", **given)
    assert not list(tmp_path.glob("out*"))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_the_true_shapes_from_a_mirror(
    workers: int, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    prior = {f"module.{name}": tensor for name, tensor in plain_unet.random_state(plain_unet.FFHQ512).items()}
    torch.save(prior, mirror / "iddpm_ffhq512_ema500000.pth")
    torch.save({"state_dict": plain_swinir.random_state()}, mirror / "swinir_restoration512_L1.pth")
    monkeypatch.setenv("DYNFACE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DYNFACE_MODEL_MIRROR", str(mirror))
    for name in ("difface-prior", "difface-swinir"):
        fetch(name, accept_licence=True)
    config = tmp_path / "slow.yaml"
    config.write_text("detection: {aligned: true}\noutput: {segment_frames: 1}\n")
    result = restore(
        files, tmp_path / "out.mkv", preset="ffhq512", config=config, num_inference_steps=2, workers=workers
    )
    assert result.faces == 2 and result.unet_evaluations >= 4
    assert {model["name"] for model in result.models} == {"difface-prior", "difface-swinir"}
    assert json.dumps(result.as_dict())
