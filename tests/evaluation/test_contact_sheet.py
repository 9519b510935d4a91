from __future__ import annotations

import numpy as np

from evaluated_faces import SIZE
from evaluation.contact_sheet import LABEL, choose_people, contact_sheet
from evaluation.faces import CleanFace, DegradedFace
from evaluation.measure import evaluate
from evaluation.methods import make_methods


def test_the_sheet_shows_every_group_before_anyone_s_second_picture(clean: list[CleanFace]) -> None:
    chosen = choose_people(clean, 4)
    assert len(set(chosen)) == 4
    assert {clean[i].group for i in chosen[:3]} == {"female black", "female white", "male black"}


def test_the_sheet_shows_whole_pictures_under_their_headings(faces: dict[str, list[DegradedFace]]) -> None:
    evaluation = evaluate(faces, make_methods(["degraded", "lanczos"], None))
    sheet = contact_sheet(evaluation, "mild", {"input": "degraded", "lanczos": "lanczos"}, people=2)
    assert sheet.dtype == np.uint8 and sheet.shape == (LABEL + 2 * SIZE, 3 * SIZE, 3)
    first = choose_people([face.clean for face in faces["mild"]], 1)[0]
    row = sheet[LABEL : LABEL + SIZE]
    np.testing.assert_array_equal(row[:, SIZE : 2 * SIZE], evaluation.images["mild", "lanczos"][first])
    clean = np.rint(faces["mild"][first].clean.image * 255)
    np.testing.assert_array_equal(row[:, 2 * SIZE :], clean)
