import hashlib
import os
import sys

import pytest

from dynface_video.errors import ModelError
from dynface_video.models.registry.cache import FileState, home, read_record, state, verify
from dynface_video.models.registry.catalogue import find
from model_files import CONTENT, put_in_place


def test_home_is_the_users_cache_folder_without_the_variable(monkeypatch, tmp_path):
    monkeypatch.delenv("DYNFACE_HOME")
    if sys.platform == "linux":
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert home() == tmp_path / "dynface-video"
    assert home().name == "dynface-video"


def test_a_file_passes_through_its_states(own_catalogue):
    own_catalogue("net", size=len(CONTENT))
    file = find("net")
    assert state(file) is FileState.MISSING
    path = put_in_place("net")
    assert state(file) is FileState.UNVERIFIED
    record = verify(file)
    assert (record.sha256, record.declared) == (hashlib.sha256(CONTENT).hexdigest(), True)
    assert state(file) is FileState.VERIFIED
    path.write_bytes(CONTENT[:-1])
    assert state(file) is FileState.DAMAGED


def test_a_touched_file_is_hashed_again(own_catalogue):
    own_catalogue("net")
    path = put_in_place("net")
    verify(find("net"))
    os.utime(path, ns=(1, 1))
    assert state(find("net")) is FileState.UNVERIFIED
    verify(find("net"))
    assert state(find("net")) is FileState.VERIFIED


def test_a_wrong_digest_is_named_with_both_and_what_to_do(own_catalogue):
    own_catalogue("net")
    put_in_place("net", CONTENT + b"x")
    with pytest.raises(ModelError) as error:
        verify(find("net"))
    message = str(error.value)
    assert hashlib.sha256(CONTENT).hexdigest() in message
    assert hashlib.sha256(CONTENT + b"x").hexdigest() in message
    assert "dynface-video models remove net" in message
    assert read_record(find("net")) is None


def test_without_a_declared_digest_the_first_one_counts(own_catalogue, caplog):
    own_catalogue("net", sha256=None)
    path = put_in_place("net")
    record = verify(find("net"))
    assert not record.declared
    assert "recorded as seen first" in caplog.text
    path.write_bytes(CONTENT[::-1])
    with pytest.raises(ModelError, match="recorded at the first download"):
        verify(find("net"))


def test_a_changed_declaration_makes_the_record_void(own_catalogue):
    own_catalogue("net")
    put_in_place("net")
    verify(find("net"))
    own_catalogue("net", sha256="0" * 64)
    assert state(find("net")) is FileState.UNVERIFIED
    with pytest.raises(ModelError, match="damaged or another file"):
        verify(find("net"))


def test_a_damaged_record_is_no_record(own_catalogue):
    own_catalogue("net")
    put_in_place("net").with_name("record.json").write_text("{}")
    assert state(find("net")) is FileState.UNVERIFIED
