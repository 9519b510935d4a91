"""On a device, faces are fetched once: when they are pasted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dynface_video import resampling
from dynface_video.analyzed_track import AnalyzedTrack
from dynface_video.face_records import FaceKey
from dynface_video.pipeline import FacePipeline
from dynface_video.temporal import flow_search
from dynface_video.tracking.observation import FaceTrack
from dynface_video.video_pipeline import VideoPipeline, reach

FETCHING = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
"""What waits for a device and copies a tensor's values: `.item()`, branches, boolean masks."""
METHODS = ("numpy", "tolist", "__array__")


class PictureFetches(TorchDispatchMode):
    """Counts how often values that were computed from pictures are fetched; those of settings and rows are not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.count = 0
        self._known: dict[int, Tensor] = {}
        for name in METHODS:
            monkeypatch.setattr(Tensor, name, self._counting(getattr(Tensor, name)))

    def watch(self, tensor: Tensor) -> None:
        """Count fetches of a tensor and of what is computed from it."""
        # Kept, so that no other tensor gets its memory.
        self._known[tensor.untyped_storage().data_ptr()] = tensor

    def _watches(self, tensor: Tensor) -> bool:
        return tensor.untyped_storage().data_ptr() in self._known

    def _counting(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def counted(tensor: Tensor, *arguments: Any, **named: Any) -> Any:
            self.count += self._watches(tensor)
            return method(tensor, *arguments, **named)

        return counted

    def __torch_dispatch__(self, operator: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        named = named or {}
        watched = any(isinstance(leaf, Tensor) and self._watches(leaf) for leaf in tree_leaves((arguments, named)))
        self.count += watched and operator in FETCHING
        result = operator(*arguments, **named)
        for leaf in tree_leaves(result) if watched else ():
            if isinstance(leaf, Tensor):
                self.watch(leaf)
        return result


def test_branches_and_arrays_of_pictures_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    picture, rows = torch.rand(3, 8, 8), torch.arange(3)
    with PictureFetches(monkeypatch) as fetches:
        fetches.watch(picture)
        assert rows.tolist() == [0, 1, 2] and rows.sum() == 3
        assert fetches.count == 0
        assert (2 * picture).sum() > 0
        assert fetches.count == 1
        assert picture.mean(dim=0).numpy().shape == (8, 8)
        assert fetches.count == 2


def test_nothing_of_a_face_is_fetched_between_its_crop_and_its_paste(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (resampling, flow_search):
        monkeypatch.setattr(module, "on_cpu", lambda tensor: False)
    # Damage of single frames is found on the CPU.
    pipeline = FacePipeline.from_pretrained("mini", device="cpu").with_settings(remove_damage=False)
    stages = [
        replace(stage, config=replace(stage.config, window_radius=1, temporal_radius=1))
        for stage in pipeline.stages[:2]
    ]
    pipeline = replace(pipeline, stages=tuple(stages)).with_fixed_batches()
    far, wanted = reach(stages), 2
    count = 2 * far + wanted
    points = np.zeros((count, 5, 2), np.float32)
    track = FaceTrack(0, 0, points, np.ones(count, bool), np.ones(count, np.float32))
    levels, steps = np.full((2, count), 2 / 128), np.full((2, count), 300)
    video = VideoPipeline(pipeline, {0: AnalyzedTrack(track, levels, steps, grey=False)}, seed=0)
    rng = np.random.default_rng(0)
    coarse = np.kron(rng.random((16, 16, 3), np.float32), np.ones((16, 16, 1), np.float32))
    with PictureFetches(monkeypatch) as fetches:
        for at in range(count):
            crops = [coarse[::step, ::step] for step in (2, 1)]
            validity = np.ones((128, 128), np.float32)
            validity[:, :10] = at % 2
            video.add(FaceKey(0, at), crops, validity)
            for crop in video._records[FaceKey(0, at)].crops:
                fetches.watch(crop)
        faces = video.restore([FaceKey(0, far + at) for at in range(wanted)])
        assert fetches.count == wanted
    assert [face.shape for face in faces] == [(256, 256, 3)] * wanted
    assert video.unet_evaluations > 0
