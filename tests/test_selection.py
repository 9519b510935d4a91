"""Choosing who is restored and when, from the call to the pixels: outside the choice not a bit changes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from dynface_video.api import analyze_video, iter_restored_frames, list_people, plan_video, restore_batch, restore_video
from dynface_video.errors import InputError
from dynface_video.faces.detection.detector import Detection
from dynface_video.faces.landmarks import Landmarks, box_from_landmarks
from dynface_video.passes import networks
from identity import FACE, checkered, stand_in

RATE, FRAMES = 10, 40
CENTRES = np.array([[60.0, 60.0], [200.0, 60.0]])
LEFT, RIGHT = np.s_[:, :130], np.s_[:, 130:]


@dataclass(frozen=True)
class TwoFaces:
    """Detector and locator of two faces that stay where they are."""

    def detect(self, picture: np.ndarray) -> list[Detection]:
        return [self._at(centre) for centre in CENTRES]

    def _at(self, centre: np.ndarray) -> Detection:
        points = (FACE + centre).astype(np.float32)
        return Detection(box_from_landmarks(points), points, np.ones(5, np.float32), 0.99)

    def locate(self, picture: np.ndarray, boxes: np.ndarray) -> Landmarks:
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2
        nearest = [CENTRES[np.linalg.norm(CENTRES - middle, axis=1).argmin()] for middle in middles]
        points = np.stack([FACE + centre for centre in nearest]).astype(np.float32)
        return Landmarks(points, np.ones((len(boxes), 5), np.float32), np.full(len(boxes), 0.99, np.float32))


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    stand_in(monkeypatch.setattr, centre=None, change=checkered)
    located = type("Stub", (), {"from_pretrained": staticmethod(lambda folder, device: TwoFaces())})
    monkeypatch.setattr(networks, "LandmarkLocator", located)
    monkeypatch.setattr(networks, "make_detector", lambda settings, **models: TwoFaces())
    monkeypatch.setattr(networks, "load_identifier", lambda settings, device: None)
    rng = np.random.default_rng(0)
    texture = rng.integers(60, 190, (120, 260, 3), dtype=np.uint8)
    path = tmp_path / "source.mkv"
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", RATE)
        stream.width, stream.height, stream.pix_fmt = 260, 120, "yuv420p"
        for _ in range(FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(texture, format="rgb24")))
        container.mux(stream.encode())
    return path


def pictures(path: Path) -> np.ndarray:
    with av.open(path) as container:
        return np.stack([frame.to_ndarray(format="yuv420p")[:120] for frame in container.decode(video=0)])


def changed(source: Path, target: Path, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """Whether the left and the right face differ from the source in each frame, (N,) bool."""
    restore_video(source, target, codec="ffv1", overwrite=True, **options)
    before, after = pictures(source), pictures(target)
    different = before != after
    return tuple(different[:, part[0], part[1]].any(axis=(1, 2)) for part in (LEFT, RIGHT))  # type: ignore[return-value]


def test_both_are_restored_by_default(source: Path, tmp_path: Path) -> None:
    left, right = changed(source, tmp_path / "out.mkv")
    assert left.all() and right.all()


def test_only_the_second_of_two_people_is_restored(source: Path, tmp_path: Path) -> None:
    left, right = changed(source, tmp_path / "out.mkv", faces="2")
    assert not left.any() and right.all()
    left, right = changed(source, tmp_path / "out.mkv", exclude="2")
    assert left.all() and not right.any()


def test_outside_the_spans_not_a_bit_changes(source: Path, tmp_path: Path) -> None:
    left, right = changed(source, tmp_path / "out.mkv", between="1-2,3-3.5")
    expected = np.zeros(FRAMES, bool)
    expected[10:20] = expected[30:35] = True
    np.testing.assert_array_equal(left, expected)
    np.testing.assert_array_equal(right, expected)


def test_one_person_is_taken_back_for_a_while(source: Path, tmp_path: Path) -> None:
    left, right = changed(source, tmp_path / "out.mkv", faces="2", exclude="2@2-3")
    expected = np.ones(FRAMES, bool)
    expected[20:30] = False
    assert not left.any()
    np.testing.assert_array_equal(right, expected)


def test_an_edited_analysis_decides(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "analysis.json"
    analyze_video(source).save(path)
    raw = json.loads(path.read_text())
    raw["people"][0]["restore"] = False
    raw["spans"] = [{"people": [2], "time": "0-1", "restore": False}]
    path.write_text(json.dumps(raw))
    left, right = changed(source, tmp_path / "out.mkv", analysis=path)
    assert not left.any() and not right[:10].any() and right[10:].all()
    left, right = changed(source, tmp_path / "out.mkv", analysis=path, between="0-2")
    assert not left.any() and not right[:10].any() and right[10:20].all() and not right[20:].any()


def test_a_plan_counts_the_faces_that_an_analysis_chooses(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "analysis.json"
    analyze_video(source).save(path)
    plan = plan_video(source, tmp_path / "out.mkv", analysis=path, faces="2", between="1-2", device="cpu")
    assert (plan.faces, plan.people, plan.frames) == (10, (2,), FRAMES)
    whole = plan_video(source, tmp_path / "out.mkv", analysis=path, device="cpu")
    assert whole.faces == 2 * FRAMES and whole.seconds is not None and plan.seconds is not None
    assert whole.seconds[0] == pytest.approx(8 * plan.seconds[0])


def test_a_batch_list_chooses_for_each_video(source: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(
        'source,output,codec,faces,between\nsource.mkv,a.mkv,ffv1,2,\nsource.mkv,b.mkv,ffv1,"1,2",0-1\n'
    )
    result = restore_batch([tmp_path / "list.csv"], tmp_path / "out")
    assert result.count("done") == 2
    a, b = (pictures(tmp_path / "out" / name) != pictures(source) for name in ("a.mkv", "b.mkv"))
    assert not a[:, LEFT[0], LEFT[1]].any() and a[:, RIGHT[0], RIGHT[1]].any()
    assert b[:10, LEFT[0], LEFT[1]].any() and b[:10, RIGHT[0], RIGHT[1]].any() and not b[10:].any()


def test_frames_in_memory_follow_the_choice(source: Path) -> None:
    (plain, chosen) = (list(iter_restored_frames(source, **options)) for options in ({}, {"faces": "1"}))
    assert (plain[5].rgb[LEFT] == chosen[5].rgb[LEFT]).all() and (plain[5].rgb[RIGHT] != chosen[5].rgb[RIGHT]).any()


def test_the_sheet_shows_the_people(source: Path, tmp_path: Path) -> None:
    analysis, people = list_people(source, sheet=tmp_path / "sheet.png")
    assert [one.summary.number for one in people] == [1, 2] and len(analysis.tracks) == 2
    assert people[0].seconds is not None and people[0].summary.times == ((0, 4),)
    assert (tmp_path / "sheet.png").stat().st_size > 1000


def test_a_person_who_is_not_there_ends_the_job_with_a_message(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="person 3 is not in the video"):
        restore_video(source, tmp_path / "out.mkv", faces="3")


def test_a_reference_needs_a_network(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--reference needs a network that tells people apart"):
        restore_video(source, tmp_path / "out.mkv", reference=source)
