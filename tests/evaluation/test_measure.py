from __future__ import annotations

import math

import numpy as np
import pytest

from dynface_video.metrics.fidelity import psnr
from evaluated_faces import SIZE
from evaluation.faces import DegradedFace
from evaluation.measure import BATCH, evaluate
from evaluation.methods import make_methods
from evaluation.picture_measures import chroma_error, octave_offsets


def test_pictures_are_measured_as_they_would_be_saved(faces: dict[str, list[DegradedFace]]) -> None:
    evaluation = evaluate({"severe": faces["severe"]}, make_methods(["degraded"], None))
    assert evaluation.images["severe", "degraded"].dtype == np.uint8
    for face, row in zip(faces["severe"], evaluation.measurements, strict=True):
        saved = np.rint(face.image * 255).astype(np.float32) / 255
        assert row.psnr == pytest.approx(psnr(saved, face.clean.image))
        assert row.chroma == pytest.approx(chroma_error(saved, face.clean.image))
        assert row.octaves == pytest.approx(octave_offsets(saved, face.clean.image))
        assert row.finest == pytest.approx(np.abs(row.octaves[:2]).mean())


def test_further_measures_fill_their_columns_and_others_stay_unmeasured(faces: dict[str, list[DegradedFace]]) -> None:
    measures = {"identity": lambda image, clean: float(np.abs(image - clean).max())}
    evaluation = evaluate({"mild": faces["mild"]}, make_methods(["degraded"], None), measures=measures)
    for row in evaluation.measurements:
        assert 0 < row.identity < 1 and math.isnan(row.perceptual) and math.isnan(row.landmarks)


def test_evaluations_and_time_are_shared_by_a_batch(faces: dict[str, list[DegradedFace]]) -> None:
    class Counts:
        name, setting = "counts", ""

        def __init__(self) -> None:
            self.sizes: list[int] = []

        def tuned(self, faces: object) -> Counts:
            return self

        def restore(self, faces: list[DegradedFace]) -> tuple[np.ndarray, int]:
            self.sizes.append(len(faces))
            return np.zeros((len(faces), SIZE, SIZE, 3), np.float32), 3 * len(faces)

    many = [*faces["mild"], *faces["mild"], *faces["mild"]]
    method = Counts()
    evaluation = evaluate({"mild": many}, [method])  # type: ignore[list-item]
    assert method.sizes == [BATCH, len(many) - BATCH]
    assert {row.evaluations for row in evaluation.measurements} == {3.0}
