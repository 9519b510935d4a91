"""Aligned faces of any size as the stages see them, and what the stages make of them at the faces' own size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from dynface_video.faces.align import extract_crop, scaling
from dynface_video.faces.paste import paste_face
from dynface_video.pipeline import FacePipeline, to_array, to_tensor
from dynface_video.stage import Stage
from evaluation.faces import DegradedFace


@dataclass(frozen=True, eq=False)
class StagedCrops:
    """B faces of one size, and their crops for each stage that faces of this size go through, (B, 3, R, R)."""

    faces: Sequence[DegradedFace]
    stages: tuple[Stage, ...]
    crops: list[Tensor]

    @classmethod
    def of(cls, faces: Sequence[DegradedFace], pipeline: FacePipeline) -> StagedCrops:
        """The crops of faces, all of one size."""
        size = faces[0].image.shape[0]
        stages = pipeline.stages_for(size)
        crops = []
        for stage in stages:
            transform = scaling(size, stage.resolution)
            pictures = [np.clip(extract_crop(face.image, transform, stage.resolution), 0, 1) for face in faces]
            crops.append(to_tensor(np.stack(pictures), pipeline.device))
        return cls(faces, stages, crops)

    def put_back(self, restored: Tensor) -> np.ndarray:
        """The last stage's faces (B, 3, R, R) at the size of the faces, (B, S, S, 3)."""
        size, last = self.faces[0].image.shape[0], self.stages[-1].resolution
        everywhere = np.ones((last, last), np.float32)
        sources = to_array(self.crops[-1])
        return np.stack(
            [
                paste_face(face.image, source, picture, scaling(size, last), mask=everywhere, source_detail_weight=0.0)[
                    0
                ]
                for face, source, picture in zip(self.faces, sources, to_array(restored), strict=True)
            ]
        )
