import json

import pytest

from dynface_video.errors import ModelError
from dynface_video.models.registry.licences import accept, accepted, is_accepted, licence_of


def test_acceptance_is_kept_with_its_time(tmp_path):
    assert accepted(tmp_path) == frozenset()
    accept(tmp_path, ["S-Lab-1.0"])
    first = json.loads((tmp_path / "accepted_licences.json").read_text())
    accept(tmp_path, ["S-Lab-1.0", "CC-BY-NC-SA-4.0"])
    assert accepted(tmp_path) == {"S-Lab-1.0", "CC-BY-NC-SA-4.0"}
    assert json.loads((tmp_path / "accepted_licences.json").read_text())["S-Lab-1.0"] == first["S-Lab-1.0"]


def test_only_licences_that_forbid_commercial_use_need_acceptance(tmp_path):
    assert is_accepted(licence_of("MIT"), tmp_path)
    assert not is_accepted(licence_of("S-Lab-1.0"), tmp_path)
    accept(tmp_path, ["S-Lab-1.0"])
    assert is_accepted(licence_of("S-Lab-1.0"), tmp_path)


def test_an_unknown_licence_counts_as_forbidding(tmp_path):
    assert not is_accepted(licence_of("Proprietary"), tmp_path)


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / "accepted_licences.json").write_text("{")
    with pytest.raises(ModelError, match=r"accepted_licences\.json"):
        accepted(tmp_path)
