from __future__ import annotations

import csv
import io
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from dynface_video.cli.main import main
from dynface_video.diffusion.noise import NoiseKey
from dynface_video.errors import InputError
from dynface_video.metrics.fidelity import psnr
from dynface_video.pipeline import FaceRestorer
from evaluation import perceptual
from evaluation.baselines import classical_baselines, true_kernel
from evaluation.calibration import LevelReadings, plot_calibration, read_levels
from evaluation.contact_sheet import choose_people, contact_sheet
from evaluation.faces import CleanFace, DegradedFace, degrade_faces, load_clean_faces, spread
from evaluation.measure import evaluate
from evaluation.methods import make_methods
from evaluation.report import best_classical, check_targets, dominates, markdown, mean_of, write_csv
from evaluation.trade_off import plot_trade_off
from loading import load_script
from training.degradation import STRENGTHS, Degradation, degrade, degrade_small, evaluation_degradation

SIZE = 64


@dataclass(frozen=True)
class KnowsTheTruth:
    """A restorer that mixes in the clean faces, which it recognises by their order."""

    clean: np.ndarray
    resolution: int = SIZE
    strength: float = 0.5

    def with_settings(self, **changes: Any) -> KnowsTheTruth:
        return replace(self, strength=changes.get("strength", self.strength))

    def restoration(self, crops: np.ndarray) -> np.ndarray:
        return (0.2 * crops + 0.8 * self.clean).astype(np.float32)

    def estimate(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.full(len(crops), 2.0), np.full(len(crops), 0.5)

    def starting_step(self, levels: np.ndarray) -> np.ndarray:
        return np.full(len(levels), 100)

    def restore(
        self, crops: np.ndarray, levels: np.ndarray, starting_steps: np.ndarray, noise_keys: Sequence[NoiseKey]
    ) -> Any:
        assert len({key.track for key in noise_keys}) == len(crops)
        share = 0.04 * self.strength
        images = (share * crops + (1 - share) * self.clean).astype(np.float32)
        return SimpleNamespace(images=images, unet_evaluations=12 * len(crops))


def picture(seed: int, size: int = SIZE) -> np.ndarray:
    """Something with edges and texture at every scale."""
    rng = np.random.default_rng(seed)
    total = np.zeros((size, size, 3), np.float32)
    for octave in (4, 8, 16, 32, 64):
        coarse = rng.standard_normal((octave, octave, 3)).astype(np.float32)
        total += cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC) / octave
    return np.asarray(np.clip(0.5 + 0.8 * total, 0, 1))


@pytest.fixture(scope="module")
def clean() -> list[CleanFace]:
    groups = ["female black", "female white", "male black"]
    return [CleanFace(f"{i}.png", picture(i), groups[i % 3]) for i in range(6)]


@pytest.fixture(scope="module")
def faces(clean: list[CleanFace]) -> dict[str, list[DegradedFace]]:
    return {strength: degrade_faces(clean, strength) for strength in STRENGTHS}


def encoded(size: int = 32) -> bytes:
    return bytes(cv2.imencode(".png", np.rint(picture(0, size) * 255).astype(np.uint8))[1])


def make_tar(path: Path, count: int) -> None:
    with tarfile.open(path, "w") as tar:
        for i in range(count):
            data = encoded()
            member = tarfile.TarInfo(f"{i:05d}.png")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def test_faces_come_from_a_folder_of_pictures(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded())
    (tmp_path / "readme.txt").write_text("not a picture")
    (face,) = load_clean_faces(tmp_path, 16)
    assert face.name == "a.png"
    assert face.image.shape == (16, 16, 3) and face.image.dtype == np.float32


def test_reduction_averages_over_areas(tmp_path: Path) -> None:
    checks = np.indices((32, 32)).sum(axis=0) % 2 * 255
    cv2.imwrite(str(tmp_path / "a.png"), np.repeat(checks[..., None], 3, axis=2).astype(np.uint8))
    np.testing.assert_allclose(load_clean_faces(tmp_path, 16)[0].image, 0.5, atol=1e-3)


def test_a_tar_brings_the_groups_of_its_people(tmp_path: Path) -> None:
    make_tar(tmp_path / "set.tar", 3)
    (tmp_path / "people.csv").write_text("face_id,face_age,face_gender,face_eth\n007,30,female,east_asian\n")
    rows = ["name,original"] + [f"{i:05d}.png,{i + 6:03d}_03.jpg" for i in range(3)]
    (tmp_path / "set.csv").write_text("\n".join(rows))
    faces = load_clean_faces(tmp_path, 16)
    assert [face.group for face in faces] == ["", "female east_asian", ""]
    assert [face.name for face in load_clean_faces(tmp_path / "set.tar", 16, limit=1)] == ["00000.png"]


def test_a_limit_is_spread_over_the_set() -> None:
    assert spread(100, 4) == [0, 25, 50, 75]
    assert spread(3, 10) == [0, 1, 2]


@pytest.mark.parametrize("what", ["missing", "empty", "small", "broken", "not a tar"])
def test_unusable_faces_are_refused(tmp_path: Path, what: str) -> None:
    source = tmp_path / "faces"
    if what != "missing":
        source.mkdir()
    if what == "small":
        (source / "a.png").write_bytes(encoded(8))
    if what == "broken":
        (source / "a.png").write_bytes(b"nothing")
    if what == "not a tar":
        source = tmp_path / "a.tar"
        source.write_bytes(b"nothing")
    with pytest.raises(InputError, match=str(source)):
        load_clean_faces(source, 16)


def test_a_face_is_degraded_alike_in_every_selection(clean: list[CleanFace]) -> None:
    everyone = degrade_faces(clean, "medium")
    alone = degrade_faces(clean[4:5], "medium")
    np.testing.assert_array_equal(alone[0].image, everyone[4].image)
    assert not np.array_equal(alone[0].image, degrade_faces(clean[4:5], "medium", seed=1)[0].image)


def test_degradation_is_that_of_training(clean: list[CleanFace]) -> None:
    degradation = evaluation_degradation("severe", np.random.default_rng(0))
    whole = degrade(clean[0].image, degradation, np.random.default_rng(1))
    small = degrade_small(clean[0].image, degradation, np.random.default_rng(1))
    up = cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC).astype(np.float32) / 255
    np.testing.assert_array_equal(whole, up)


@pytest.mark.parametrize(("downscale", "tolerance"), [(1.0, 0.01), (24.0, 0.03)])
def test_the_true_kernel_does_what_the_degradation_does(downscale: float, tolerance: float) -> None:
    size = 128
    degradation = Degradation(blur_x=8, blur_y=14, angle=0.6, downscale=downscale, noise=0)
    image = picture(3, size)
    expected = degrade(image, degradation, np.random.default_rng(0))
    kernel = true_kernel(degradation, size, sampling=True)
    predicted = cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT)
    without = cv2.filter2D(image, -1, true_kernel(degradation, size, sampling=False), borderType=cv2.BORDER_REFLECT)
    inner = np.s_[24:-24, 24:-24]
    assert np.abs(predicted - expected)[inner].max() < tolerance
    if downscale > 1:
        assert psnr(predicted[inner], expected[inner]) > psnr(without[inner], expected[inner]) + 3


@pytest.mark.parametrize("name", ["nlm", "richardson_lucy", "wiener"])
def test_a_tuned_baseline_takes_the_setting_that_is_best_against_the_truth(
    faces: dict[str, list[DegradedFace]], name: str
) -> None:
    few = faces["mild"][:2]
    baseline = replace(classical_baselines()[name], settings=classical_baselines()[name].settings[:4])
    chosen = baseline.tuned(few)

    def score(setting: Any) -> float:
        return float(np.mean([psnr(baseline.function(face, *setting), face.clean.image) for face in few]))

    assert score(chosen.chosen) == pytest.approx(max(score(setting) for setting in baseline.settings))
    restored, evaluations = chosen.restore(few)
    assert restored.shape == (2, SIZE, SIZE, 3) and evaluations == 0
    assert restored.min() >= 0 and restored.max() <= 1


def test_deconvolution_sharpens_a_clean_blur(clean: list[CleanFace]) -> None:
    degradation = Degradation(blur_x=8, blur_y=8, angle=0, downscale=1, noise=0)
    small = degrade_small(clean[0].image, degradation, np.random.default_rng(0))
    face = DegradedFace(clean[0], "mild", degradation, small, small.astype(np.float32) / 255)
    for name in ("richardson_lucy", "wiener"):
        restored, _ = classical_baselines()[name].tuned([face]).restore([face])
        assert psnr(restored[0], clean[0].image) > psnr(face.image, clean[0].image) + 1


def test_lanczos_differs_from_cubic_only_where_the_picture_was_shrunk(faces: dict[str, list[DegradedFace]]) -> None:
    lanczos = classical_baselines()["lanczos"]
    for face in (faces["mild"][0], faces["severe"][0]):
        same = np.array_equal(lanczos.restore([face])[0][0], face.image)
        assert same == (face.small.shape[0] == SIZE)


def test_an_evaluation_orders_the_methods_by_what_they_do(
    clean: list[CleanFace], faces: dict[str, list[DegradedFace]], tmp_path: Path
) -> None:
    restorer = KnowsTheTruth(np.stack([face.image for face in clean]))
    methods = make_methods(["degraded", "lanczos", "rm", "full"], restorer, strengths=[0.25, 0.5])
    told: list[str] = []
    evaluation = evaluate(faces, methods, progress=told.append)

    assert evaluation.methods == ["degraded", "lanczos", "rm", "full 0.25", "full 0.5"]
    assert len(told) == 15
    order = [mean_of(evaluation, name, "psnr") for name in ("degraded", "rm", "full 0.5", "full 0.25")]
    assert order == sorted(order)
    assert mean_of(evaluation, "full 0.5", "evaluations") == 12
    assert mean_of(evaluation, "rm", "evaluations") == 0
    assert best_classical(evaluation) == "lanczos"
    assert [target.met for target in check_targets(evaluation, 0.5)] == [True] * 5

    text = markdown(evaluation, default_strength=0.5)
    assert "| full 0.25 |" in text and "severe" in text and "female black" in text and "MISSED" not in text
    write_csv(evaluation, tmp_path / "results.csv")
    with open(tmp_path / "results.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 5 * 3 * len(clean)
    assert {row["strength"] for row in rows} == set(STRENGTHS)


def test_a_missed_target_is_said(faces: dict[str, list[DegradedFace]]) -> None:
    worse = KnowsTheTruth(np.zeros((6, SIZE, SIZE, 3)))
    evaluation = evaluate({"mild": faces["mild"]}, make_methods(["degraded", "lanczos", "rm", "full"], worse))
    assert not any(target.met for target in check_targets(evaluation, 0.5)[:2])
    assert "MISSED" in markdown(evaluation, default_strength=0.5)


def test_unknown_methods_and_missing_models_are_refused() -> None:
    with pytest.raises(InputError, match="magic"):
        make_methods(["magic"], None)
    with pytest.raises(InputError, match="rm"):
        make_methods(["rm"], None)


def test_the_sheet_shows_every_group_before_anyone_s_second_picture(clean: list[CleanFace]) -> None:
    chosen = choose_people(clean, 4)
    assert len(set(chosen)) == 4
    assert {clean[i].group for i in chosen[:3]} == {"female black", "female white", "male black"}


def test_the_sheet_holds_each_picture_where_its_heading_says(faces: dict[str, list[DegradedFace]]) -> None:
    evaluation = evaluate(faces, make_methods(["degraded", "lanczos"], None))
    columns = {strength: {"degraded": "degraded", "lanczos": "lanczos"} for strength in STRENGTHS}
    sheet = contact_sheet(evaluation, columns, people=2)
    assert sheet.dtype == np.uint8
    first = choose_people([face.clean for face in faces["mild"]], 1)[0]
    shown = sheet[20 : 20 + SIZE, SIZE : 2 * SIZE]
    np.testing.assert_array_equal(shown, evaluation.images["mild", "degraded"][first])


def test_the_script_writes_table_sheet_and_rows(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "scripts" / "evaluate.py"
    source = tmp_path / "faces"
    source.mkdir()
    for i in range(2):
        cv2.imwrite(str(source / f"{i}.png"), np.rint(picture(i) * 255).astype(np.uint8))
    out = tmp_path / "out"
    command = [sys.executable, str(script), str(source), "-o", str(out), "--methods", "degraded,lanczos"]
    done = subprocess.run([*command, "--resolution", "32"], capture_output=True, text=True, check=True)
    assert (out / "table.md").read_text() in done.stdout
    assert "| lanczos |" in done.stdout
    assert cv2.imread(str(out / "contact_sheet.png")) is not None
    assert (out / "results.csv").stat().st_size > 0


def test_the_command_refuses_what_it_cannot_read(tmp_path: Path) -> None:
    runner = CliRunner()
    nothing = ["evaluate", str(tmp_path / "nothing"), "-o", str(tmp_path / "out"), "--methods", "degraded"]
    assert runner.invoke(main, nothing).exit_code == 2
    assert runner.invoke(main, [*nothing, "--strength", "much"]).exit_code == 2
    assert not (tmp_path / "out").exists()


def test_honest_deviations_cover_two_thirds() -> None:
    rng = np.random.default_rng(0)
    measured = rng.uniform(0.5, 4, 4000)
    predicted = (measured + 0.2) * np.exp(0.1 * rng.standard_normal(4000)) - 0.2
    cautious = LevelReadings(predicted, measured, np.full(4000, 0.3))
    assert cautious.coverage > 0.99
    assert cautious.std_scale == pytest.approx(1 / 3, rel=0.05)
    honest = replace(cautious, deviation=cautious.deviation * cautious.std_scale)
    assert honest.coverage == pytest.approx(0.68, abs=0.01)
    assert honest.error_share == pytest.approx(np.abs(predicted - measured).mean() / 6)


def test_a_rival_must_be_as_good_in_all_three(clean: list[CleanFace], faces: dict[str, list[DegradedFace]]) -> None:
    restorer = KnowsTheTruth(np.stack([face.image for face in clean]))
    methods = make_methods(["rm", "full"], restorer, fixed_steps=[100], scales=[0.5])
    evaluation = evaluate(faces, methods)
    assert evaluation.methods == ["rm", "full 0.5", "step 100", "scale 0.5"]
    assert dominates(evaluation, "step 100", "full 0.5") and not dominates(evaluation, "full 0.5", "rm")
    missed = {target.text for target in check_targets(evaluation, 0.5) if not target.met}
    assert {
        "no fixed starting step of 1 is as good in all",
        "no global guidance scale of 1 is as good in all",
    } <= missed


def test_perceptual_measures_are_used_where_their_weights_lie(
    clean: list[CleanFace], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lpips")
    from torchvision.models import alexnet

    monkeypatch.setattr(perceptual, "weight_folders", lambda: [tmp_path])
    measures, missing = perceptual.perceptual_measures()
    assert measures == {} and len(missing) == 2 and all(str(tmp_path) in message for message in missing)
    torch.manual_seed(0)
    torch.save(alexnet(weights=None).state_dict(), tmp_path / perceptual.ALEXNET)
    measures, missing = perceptual.perceptual_measures()
    assert list(measures) == ["lpips"] and len(missing) == 1
    first, second = clean[0].image, clean[1].image
    assert measures["lpips"](first, first) == 0 < measures["lpips"](first, second)
    slightly = np.clip(first + 0.02, 0, 1).astype(np.float32)
    assert measures["lpips"](first, slightly) < measures["lpips"](first, second)


def test_the_identity_of_a_face_is_closest_to_itself(clean: list[CleanFace], tmp_path: Path) -> None:
    from facexlib.recognition.arcface_arch import Backbone

    torch.manual_seed(0)
    torch.save(Backbone(num_layers=50, drop_ratio=0.6, mode="ir_se").state_dict(), tmp_path / perceptual.ARCFACE)
    measure = perceptual.identity_measure(tmp_path / perceptual.ARCFACE)
    first, second = clean[0].image, clean[1].image
    assert measure(first, first) == pytest.approx(1, abs=1e-5)
    assert measure(first, second) < 1 - 1e-6


def test_plots_are_drawn(faces: dict[str, list[DegradedFace]], clean: list[CleanFace], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    restorer = KnowsTheTruth(np.stack([face.image for face in clean]))
    evaluation = evaluate(faces, make_methods(["rm", "full"], restorer, strengths=[0.2, 0.5]))
    plot_trade_off(evaluation, tmp_path / "trade_off.png")
    plot_calibration({name: read_levels(restorer, some) for name, some in faces.items()}, tmp_path / "levels.png")
    for name in ("trade_off.png", "levels.png"):
        assert cv2.imread(str(tmp_path / name)).std() > 0


def test_the_benchmark_gives_ratios_to_rm() -> None:
    script = load_script("benchmark")
    table = script._parts_table(script._parts(FaceRestorer.from_preset("mini", device="cpu"), 2), rounds=1, count=2)
    assert "| RM | 1.00 |" in table
    for part in ("full, strength 0.6", "wiener", "drawn towards 16 neighbours", "second stage"):
        assert part in table
