"""The time of a face is divided into networks and temporal work."""

from __future__ import annotations

from dynface_video.pipeline import FacePipeline
from evaluation.temporal_share import FaceTime, time_faces, time_table


def test_a_share_is_that_of_both_times() -> None:
    assert FaceTime(128, networks=0.3, temporal=0.1).share == 0.25
    assert "| 128 | 300 | 100 | 25% |" in time_table([FaceTime(128, 0.3, 0.1)])


def test_every_resolution_is_timed_with_its_networks() -> None:
    pipeline = FacePipeline.from_pretrained("mini", device="cpu").with_settings(temporal_weight=0.0, window_radius=0)
    times = time_faces(pipeline, frames=1, sizes=(128, 512))
    assert [one.size for one in times] == [128, 512]
    assert all(one.networks > 0 and one.temporal > 0 for one in times)
    assert times[1].networks > times[0].networks
