import pytest

from dynface_video.errors import ModelError
from dynface_video.models.registry import resolve
from dynface_video.models.registry.cache import home, read_record
from dynface_video.models.registry.catalogue import find
from dynface_video.models.registry.licences import accept
from model_files import CONTENT, put_in_place


def test_a_missing_file_names_the_command():
    with pytest.raises(ModelError, match=r"gfpgan-1\.4 .* is not on this machine; get it with `dynface-video models f"):
        resolve("gfpgan-1.4")


def test_a_missing_restorer_names_what_reads_it(monkeypatch):
    monkeypatch.setattr("dynface_video.models.registry.cache.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"get it with `.*`; to read it, pip install 'dynface-video\[models\]'"):
        resolve("gfpgan-1.4")
    with pytest.raises(ModelError, match=r"models fetch parsenet --accept-license` if you accept [^;]*$"):
        resolve("parsenet")


def test_a_missing_file_with_a_licence_to_accept_says_so():
    with pytest.raises(ModelError, match=r"fetch codeformer --accept-license` if you accept .* S-Lab License 1\.0"):
        resolve("codeformer")


def test_a_file_put_there_by_hand_is_verified_once(own_catalogue, monkeypatch):
    own_catalogue("net")
    path = put_in_place("net")
    assert resolve("net") == path
    assert read_record(find("net")) is not None
    monkeypatch.setattr("dynface_video.models.registry.resolving.verify", None)
    assert resolve("net") == path


def test_a_damaged_file_is_refused(own_catalogue):
    own_catalogue("net")
    path = put_in_place("net")
    resolve("net")
    path.write_bytes(CONTENT[:-1] + b"\0")
    with pytest.raises(ModelError, match="damaged or another file"):
        resolve("net")


def test_a_licence_must_have_been_accepted(own_catalogue):
    own_catalogue("net", licence="S-Lab-1.0")
    path = put_in_place("net")
    with pytest.raises(ModelError, match="has not been accepted on this machine"):
        resolve("net")
    accept(home(), ["S-Lab-1.0"])
    assert resolve("net") == path
