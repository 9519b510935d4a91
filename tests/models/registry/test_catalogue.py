import re
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from dynface_video.errors import InputError, ModelError
from dynface_video.models.registry.catalogue import CATALOGUE, SETS, built_in, catalogue, find, members
from dynface_video.models.registry.licences import LICENCES

BUILT_IN = tuple(built_in().values())


def test_every_entry_has_a_known_licence_and_sources_over_https_or_the_hub():
    for file in BUILT_IN:
        assert file.licence in LICENCES
        assert file.sources
        for source in file.sources:
            assert urlsplit(source).scheme in ("https", "hf")


def test_hub_sources_are_pinned_to_a_commit():
    hub = [source for file in BUILT_IN for source in file.sources if source.startswith("hf://")]
    assert hub
    assert all(re.fullmatch(r"hf://[^/@]+/[^/@]+@[0-9a-f]{40}/.+", source) for source in hub)


def test_names_and_digests_are_unique():
    # YAML takes the last of two entries of a name without a word.
    text = CATALOGUE.read_text(encoding="utf-8")
    assert re.findall(r"^(\S+):$", text, re.MULTILINE) == [file.name for file in BUILT_IN]
    digests = [file.sha256 for file in BUILT_IN if file.sha256]
    assert len(set(digests)) == len(digests)


def test_sets_name_files_of_the_catalogue():
    for name in SETS:
        assert [file.name for file in members(name)] == list(SETS[name])


def test_what_forbids_commercial_use():
    forbidden = {file.name for file in BUILT_IN if not LICENCES[file.licence].commercial_use}
    assert forbidden == {"codeformer", "difface-prior", "difface-swinir", "difface-swinir-2022", "parsenet"}


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ModelError, match=r"unknown model 'gfpgan-9'; the catalogue has gfpgan-1\.2"):
        find("gfpgan-9")


@pytest.mark.parametrize("name", ["../evil", ".hidden", "", "a/b", "a\\b"])
def test_names_cannot_leave_the_cache(name):
    with pytest.raises(InputError, match="not a plain file name"):
        replace(BUILT_IN[0], name=name)
    with pytest.raises(InputError, match="not a plain file name"):
        replace(BUILT_IN[0], filename=name)


def test_a_digest_must_be_one():
    with pytest.raises(InputError, match="64 lower-case hexadecimal digits"):
        replace(BUILT_IN[0], sha256="ABC")


def test_a_catalogue_of_the_user_adds_and_replaces(own_catalogue):
    own_catalogue("mine")
    own_catalogue("codeformer", licence="Proprietary")
    assert find("mine").purpose == "test"
    assert find("codeformer").licence == "Proprietary"
    assert len(catalogue()) == len(BUILT_IN) + 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "cannot be read"),
        ("- a", "holds entries as"),
        ("a: 1", "must be a mapping"),
        ("a: {sources: x}", "list of sources"),
        ("a: {colour: red, sources: []}", "unknown keys colour"),
        ("a: {filename: a.pth, sources: []}", "is incomplete"),
        ("a: {filename: a.pth, sources: [], licence: MIT, purpose: p, kind: toaster}", "kind must be one of"),
    ],
)
def test_a_broken_catalogue_is_explained(tmp_path, monkeypatch, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    monkeypatch.setenv("DYNFACE_CATALOGUE", str(path))
    with pytest.raises(InputError, match=message):
        catalogue()


def test_a_missing_catalogue_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("DYNFACE_CATALOGUE", str(tmp_path / "no.yaml"))
    with pytest.raises(InputError, match=r"no\.yaml: the catalogue cannot be read"):
        catalogue()
