from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from dynface_video.errors import InputError
from evaluated_faces import SIZE, encoded, make_tar, picture
from evaluation.faces import CleanFace, degrade_faces, load_clean_faces, load_held_out, spread
from training.data import is_held_out
from training.degradation import LARGE_FACE_STRENGTHS, degrade, degrade_small, evaluation_degradation


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


def test_large_faces_get_the_fixed_degradations() -> None:
    face = CleanFace("a.png", picture(0, 512))
    for strength, expected in LARGE_FACE_STRENGTHS.items():
        (degraded,) = degrade_faces([face], strength)
        assert degraded.degradation == expected
        assert degraded.small.shape[0] == 512 / expected.downscale


def write_training_set(root: Path, rows: list[tuple[str, str, float, float]]) -> None:
    """A set of one crop for each (name, original, detail, inside)."""
    make_tar(root / "made_32.tar", len(rows))
    lines = ["name,original,detail,inside", *(",".join(map(str, row)) for row in rows)]
    (root / "made_32.csv").write_text("\n".join(lines))


def test_held_out_faces_are_sharp_ones_that_training_never_sees(tmp_path: Path) -> None:
    kept = [f"{i}.jpg" for i in range(400) if is_held_out(f"{i}.jpg")][:3]
    seen = next(f"{i}.jpg" for i in range(400) if not is_held_out(f"{i}.jpg"))
    originals = [(seen, 10, 1.0), (kept[0], 10, 0.6), (kept[1], 10, 0.9), (kept[2], 2, 1.0)]
    write_training_set(tmp_path, [(f"{i:05d}.png", *values) for i, values in enumerate(originals)])
    faces = load_held_out(tmp_path, "made_32", 16)
    assert [face.name for face in faces] == ["00002.png", "00001.png"]
    assert [face.name for face in load_held_out(tmp_path, "made_32", 16, limit=1)] == ["00002.png"]


def test_a_training_set_without_held_out_faces_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="made_32"):
        load_held_out(tmp_path, "made_32", 16)
    seen = next(f"{i}.jpg" for i in range(400) if not is_held_out(f"{i}.jpg"))
    write_training_set(tmp_path, [("00000.png", seen, 10, 1.0)])
    with pytest.raises(InputError, match="held-out"):
        load_held_out(tmp_path, "made_32", 16)
