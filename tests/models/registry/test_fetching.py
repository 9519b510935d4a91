from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dynface_video.errors import DiskFullError, InputError, ModelError
from dynface_video.models.registry import fetch, remove, resolve
from dynface_video.models.registry import transfer as transfer_module
from dynface_video.models.registry.cache import home, local_path, read_record
from dynface_video.models.registry.catalogue import find
from dynface_video.models.registry.licences import accepted
from model_files import CONTENT, put_in_place
from model_server import ModelServer, serving

DIGEST = hashlib.sha256(CONTENT).hexdigest()
Add = Callable[..., None]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(transfer_module, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(transfer_module, "READ_TIMEOUT", 0.3)
    monkeypatch.setattr(transfer_module, "CHUNK", 256)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with serving(CONTENT) as server:
        yield server


@pytest.fixture
def net(server: ModelServer, own_catalogue: Add) -> str:
    """A file of the catalogue that the server has."""
    own_catalogue("net", sources=[f"{server.url}/file"])
    return "net"


def left_in_cache() -> set[str]:
    folder = home() / "models" / "net"
    return {path.name for path in folder.iterdir()} - {".lock"} if folder.exists() else set()


def test_a_file_arrives_verified_with_a_record_and_nothing_else(net: str, server: ModelServer):
    seen: list[tuple[int, int | None]] = []
    done = fetch(net, progress=lambda now, total: seen.append((now, total)))
    assert done.path.read_bytes() == CONTENT
    assert (done.sha256, done.declared, done.source) == (DIGEST, True, f"{server.url}/file")
    assert seen[-1] == (len(CONTENT), len(CONTENT)) and sorted(seen) == seen
    assert left_in_cache() == {"net.pth", "record.json"}
    assert resolve(net) == done.path


def test_what_is_there_is_not_fetched_again(net: str, server: ModelServer):
    fetch(net)
    again = fetch(net)
    assert (again.source, len(server.requests)) == ("", 1)


def test_a_file_put_there_by_hand_is_verified_instead_of_fetched(net: str, server: ModelServer):
    put_in_place(net)
    assert fetch(net).source == ""
    assert server.requests == []


def test_a_damaged_file_is_replaced(net: str):
    put_in_place(net, b"damaged")
    assert fetch(net).path.read_bytes() == CONTENT


def test_truncated_answers_are_resumed_where_they_ended(net: str, server: ModelServer):
    server.cuts = [3072, 2048]
    assert fetch(net).path.read_bytes() == CONTENT
    assert server.asked_ranges() == [None, "bytes=3072-", "bytes=5120-"]
    assert server.requests[1]["If-Range"] == '"one"'


def test_a_server_without_ranges_starts_from_the_beginning(net: str, server: ModelServer):
    server.ranges, server.cuts = False, [3072]
    assert fetch(net).path.read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_a_server_that_always_truncates_is_given_up_and_the_part_is_kept(net: str, server: ModelServer):
    server.ranges, server.cuts = False, [3072] * 50
    with pytest.raises(ModelError, match=r"the connection ended after 3072 of 10240 bytes .tried 5 times"):
        fetch(net)
    assert left_in_cache() == {"net.pth.part", "net.pth.part.json"}
    assert len(server.requests) == 6


def test_a_stalled_connection_is_given_up_and_resumed(net: str, server: ModelServer):
    server.stalls, server.stall_seconds = [4096], 1.0
    assert fetch(net).path.read_bytes() == CONTENT
    assert server.asked_ranges() == [None, "bytes=4096-"]


def test_another_process_resumes_what_was_left(net: str, server: ModelServer):
    server.cuts, server.statuses = [3072], [200, 404]
    with pytest.raises(ModelError, match="404"):
        fetch(net)
    assert left_in_cache() == {"net.pth.part", "net.pth.part.json"}
    fetch(net)
    assert server.asked_ranges()[-1] == "bytes=3072-"


def test_a_file_that_changed_on_the_server_is_not_patched_together(net: str, server: ModelServer, own_catalogue: Add):
    server.content, server.cuts, server.statuses = CONTENT[::-1], [3072], [200, 404]
    with pytest.raises(ModelError):
        fetch(net)
    server.content, server.tag = CONTENT, '"two"'
    assert fetch(net).path.read_bytes() == CONTENT


def test_a_changed_file_is_noticed_without_a_digest_too(server: ModelServer, own_catalogue: Add):
    own_catalogue("net", sha256=None, sources=[f"{server.url}/file"])
    server.content, server.cuts, server.statuses = CONTENT[::-1], [3072], [200, 404]
    with pytest.raises(ModelError):
        fetch("net")
    server.content, server.tag, server.heeds_if_range = CONTENT, '"two"', False
    assert fetch("net").sha256 == DIGEST
    assert server.asked_ranges()[-2:] == ["bytes=3072-", None]


def test_what_a_copy_left_is_not_taken_for_part_of_a_download(
    server: ModelServer, own_catalogue: Add, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    own_catalogue("net", sha256=None, sources=[f"{server.url}/file"])
    server.cuts, server.statuses = [3072], [200, 404]
    with pytest.raises(ModelError):
        fetch("net")
    (tmp_path / "mirror" / "net.pth").write_bytes(b"\0" * 9000)

    def stopped(now: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch("net", mirror=str(tmp_path / "mirror"), progress=stopped)
    assert fetch("net").sha256 == DIGEST
    assert server.asked_ranges()[-1] is None


def test_a_part_that_proves_wrong_is_fetched_again_from_its_beginning(net: str, server: ModelServer):
    server.tag, server.cuts, server.statuses = "", [3072], [200, 404]
    with pytest.raises(ModelError):
        fetch(net)
    part = local_path(find(net)).with_name("net.pth.part")
    part.write_bytes(b"\0" * 3072)
    assert fetch(net).path.read_bytes() == CONTENT
    assert server.asked_ranges()[-2:] == ["bytes=3072-", None]


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_a_complete_part_is_only_verified(net: str, server: ModelServer, own_catalogue: Add, size: int | None):
    own_catalogue(net, sources=[f"{server.url}/file"], size=size)
    server.cuts, server.statuses = [3072], [200, 404]
    with pytest.raises(ModelError):
        fetch(net)
    local_path(find(net)).with_name("net.pth.part").write_bytes(CONTENT)
    assert fetch(net).path.read_bytes() == CONTENT
    assert len(server.requests) == (3 if size is None else 2)


def test_a_part_longer_than_the_file_is_thrown_away(net: str, server: ModelServer):
    server.cuts, server.statuses = [3072], [200, 404]
    with pytest.raises(ModelError):
        fetch(net)
    local_path(find(net)).with_name("net.pth.part").write_bytes(CONTENT + b"more")
    assert fetch(net).path.read_bytes() == CONTENT


def test_a_server_that_sends_another_range_is_not_believed(net: str, server: ModelServer):
    server.cuts, server.wrong_range = [3072], True
    assert fetch(net).path.read_bytes() == CONTENT
    assert server.asked_ranges() == [None, "bytes=3072-", None]


def test_corrupted_bytes_are_never_installed(net: str, server: ModelServer):
    server.content = CONTENT[:-1] + b"\0"
    found = hashlib.sha256(server.content).hexdigest()
    with pytest.raises(ModelError, match=rf"installed:\n  http.*10240 bytes .* {found}, declared is {DIGEST}"):
        fetch(net)
    assert left_in_cache() == set()


def test_a_wrong_size_is_refused_before_the_file_is_downloaded(server: ModelServer, own_catalogue: Add):
    own_catalogue("net", sources=[f"{server.url}/file"], size=999)
    with pytest.raises(ModelError, match="holds 10240 bytes, the catalogue declares 999"):
        fetch("net")
    assert left_in_cache() == set()


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_final_for_a_source_and_named(net: str, server: ModelServer, status: int):
    server.statuses = [status]
    with pytest.raises(ModelError, match=f"the server answered {status} "):
        fetch(net)
    assert len(server.requests) == 1
    assert left_in_cache() == set()


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_passing_failure_is_tried_again(net: str, server: ModelServer, status: int):
    server.statuses = [status, status]
    assert fetch(net).path.read_bytes() == CONTENT
    assert len(server.requests) == 3


def test_a_lasting_503_is_given_up(net: str, server: ModelServer):
    server.statuses = [503] * 50
    with pytest.raises(ModelError, match="the server answered 503 Service Unavailable"):
        fetch(net)
    assert len(server.requests) == transfer_module.FAILURES


def test_the_pause_that_a_server_asks_for_is_kept_within_reason(
    net: str, server: ModelServer, monkeypatch: pytest.MonkeyPatch
):
    pauses: list[float] = []
    monkeypatch.setattr(transfer_module.time, "sleep", pauses.append)
    server.statuses, server.headers = [503, 503, 503], {"Retry-After": "7"}
    fetch(net)
    server.statuses, server.headers = [503], {"Retry-After": "9999"}
    remove(net)
    fetch(net)
    assert pauses == [7.0, 7.0, 7.0, transfer_module.LONGEST_PAUSE]


def test_redirects_are_followed(server: ModelServer, own_catalogue: Add):
    own_catalogue("net", sources=[f"{server.url}/moved"])
    assert fetch("net").source == f"{server.url}/moved"
    own_catalogue("net", sources=[f"{server.url}/loop"])
    remove("net")
    with pytest.raises(ModelError, match="redirects"):
        fetch("net")


def test_a_token_does_not_follow_a_redirect_to_another_host(
    server: ModelServer, own_catalogue: Add, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    own_catalogue("net", sources=["hf://owner/repo@main/away"])
    server.away = server.url.replace("127.0.0.1", "localhost") + "/file"

    def address(repository: str, filename: str, revision: str) -> str:
        assert (repository, filename, revision) == ("owner/repo", "away", "main")
        return f"{server.url}/away"

    monkeypatch.setattr("huggingface_hub.hf_hub_url", address)
    monkeypatch.setattr("huggingface_hub.utils.build_hf_headers", lambda: {"authorization": "Bearer hf_secret"})
    fetch("net")
    assert [request.get("authorization") or request.get("Authorization") for request in server.requests] == [
        "Bearer hf_secret",
        None,
    ]


def test_an_answer_without_a_length_is_judged_by_its_digest(net: str, server: ModelServer):
    server.length = False
    assert fetch(net).path.read_bytes() == CONTENT
    remove(net)
    server.cuts = [3072]
    with pytest.raises(ModelError, match="3072 bytes"):
        fetch(net)


def test_a_server_that_is_not_there_is_named(own_catalogue: Add):
    own_catalogue("net", sources=["http://127.0.0.1:9/file"])
    with pytest.raises(ModelError, match=r"http://127\.0\.0\.1:9/file: Connection refused \(tried 5 times"):
        fetch("net")


def test_without_a_network_no_time_is_lost(own_catalogue: Add, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(transfer_module.time, "sleep", None)
    own_catalogue("net", sources=["https://no-such-host.invalid/file"])
    with pytest.raises(ModelError, match=r"file: the address of no-such-host\.invalid is unknown: no network\?"):
        fetch("net")


def test_the_next_source_is_tried(server: ModelServer, own_catalogue: Add, tmp_path: Path):
    (tmp_path / "net.pth").write_bytes(b"wrong")
    own_catalogue("net", sources=[(tmp_path / "net.pth").as_uri(), f"{server.url}/file"])
    assert fetch("net").source == f"{server.url}/file"


def test_every_source_and_its_reason_are_named(server: ModelServer, own_catalogue: Add, tmp_path: Path):
    own_catalogue("net", sources=[(tmp_path / "no.pth").as_uri(), f"{server.url}/file"])
    server.statuses = [404]
    with pytest.raises(ModelError) as error:
        fetch("net")
    assert [line.split(": ", 1)[1] for line in str(error.value).splitlines()[1:]] == [
        "no such file",
        "the server answered 404 Not Found",
    ]


def test_an_entry_without_a_source_says_so(own_catalogue: Add):
    own_catalogue("net")
    with pytest.raises(ModelError, match="the catalogue names no source"):
        fetch("net")


@pytest.mark.parametrize("place", ["net/net.pth", "net.pth"])
@pytest.mark.parametrize("as_url", [False, True])
def test_a_mirror_folder_comes_first_and_needs_no_network(
    net: str, server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, as_url: bool
):
    mirror = tmp_path / "a mirror, 50%25 off"
    (mirror / place).parent.mkdir(parents=True)
    (mirror / place).write_bytes(CONTENT)
    monkeypatch.setenv("DYNFACE_MODEL_MIRROR", mirror.as_uri() if as_url else str(mirror))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert fetch(net).source == str(mirror / place)
    assert server.requests == []


def test_a_mirror_on_a_server(net: str, server: ModelServer):
    server.statuses = [404]
    fetch(net, mirror=f"{server.url}/models/")
    assert [request["path"] for request in server.requests] == ["/models/net/net.pth", "/models/net.pth"]


def test_a_wrong_file_in_a_mirror_is_refused(own_catalogue: Add, tmp_path: Path):
    own_catalogue("net")
    (tmp_path / "net.pth").write_bytes(b"other")
    with pytest.raises(ModelError, match="another file: its 5 bytes"):
        fetch("net", mirror=str(tmp_path))
    assert left_in_cache() == set()


def test_a_mirror_that_does_not_exist_is_an_error(net: str, tmp_path: Path):
    with pytest.raises(InputError, match="is not a folder; check --mirror or DYNFACE_MODEL_MIRROR"):
        fetch(net, mirror=str(tmp_path / "no"))


def test_an_unknown_scheme_is_an_error(own_catalogue: Add):
    own_catalogue("net", sources=["ftp://example.org/file"])
    with pytest.raises(InputError, match="is not a URL of https, http, file or hf"):
        fetch("net")


@pytest.mark.parametrize("word", ["1", "ON", "yes", "true"])
def test_offline_no_server_is_asked(net: str, server: ModelServer, monkeypatch: pytest.MonkeyPatch, word: str):
    monkeypatch.setenv("HF_HUB_OFFLINE", word)
    with pytest.raises(ModelError, match="not tried, because HF_HUB_OFFLINE is set"):
        fetch(net)
    assert server.requests == []


def test_without_a_declared_digest_the_first_download_decides(server: ModelServer, own_catalogue: Add):
    own_catalogue("net", sha256=None, sources=[f"{server.url}/file"])
    done = fetch("net")
    assert (done.sha256, done.declared) == (DIGEST, False)
    done.path.unlink()
    server.content = CONTENT[::-1]
    with pytest.raises(ModelError, match=f"recorded at the first download is {DIGEST}"):
        fetch("net")
    server.content = CONTENT
    assert fetch("net").sha256 == DIGEST


def test_without_a_declared_digest_a_web_page_is_not_taken_for_the_file(server: ModelServer, own_catalogue: Add):
    own_catalogue("net", sha256=None, sources=[f"{server.url}/file"])
    server.headers = {"Content-Type": "text/html; charset=utf-8"}
    with pytest.raises(ModelError, match="a web page instead of the file"):
        fetch("net")
    assert left_in_cache() == set()


def test_without_digest_and_version_a_part_is_not_continued(server: ModelServer, own_catalogue: Add):
    own_catalogue("net", sha256=None, sources=[f"{server.url}/file"])
    server.tag, server.cuts = "", [3072]
    assert fetch("net").path.read_bytes() == CONTENT
    assert server.asked_ranges() == [None, None]


def test_a_licence_must_be_accepted_once_and_before_anything_is_fetched(server: ModelServer, own_catalogue: Add):
    own_catalogue("net", licence="S-Lab-1.0", sources=[f"{server.url}/file"])
    with pytest.raises(ModelError, match=r"net is under the S-Lab License 1\.0 .* again with --accept-license"):
        fetch("net")
    assert server.requests == [] and not home().exists()
    fetch("net", accept_licence=True)
    assert accepted(home()) == {"S-Lab-1.0"}
    remove("net")
    assert fetch("net").path.exists()


def test_a_full_disk_is_told_before_the_download(server: ModelServer, own_catalogue: Add):
    own_catalogue("net", sources=[f"{server.url}/file"], size=10**18)
    with pytest.raises(DiskFullError, match="net needs 1000000000000000000 more bytes"):
        fetch("net")
    assert server.requests == []


def test_a_folder_that_cannot_be_written_is_named(net: str, monkeypatch: pytest.MonkeyPatch):
    def refuse(path: Path, *rest: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    # Not by the folder's mode: root may write anywhere.
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ModelError, match=r"cannot be written \(Permission denied\); set DYNFACE_HOME"):
        fetch(net)


def test_a_file_where_the_cache_should_be_is_named(net: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DYNFACE_HOME", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="cannot be written"):
        fetch(net)


def _fetch_in_process(results: multiprocessing.Queue[str]) -> None:
    results.put(fetch("net").source)


def test_of_two_processes_one_fetches_and_the_other_waits(net: str, server: ModelServer):
    server.stalls, server.stall_seconds = [4096], 0.2
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[str] = context.Queue()
    workers = [context.Process(target=_fetch_in_process, args=(results,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert sorted(results.get(timeout=1) for _ in workers) == ["", "", f"{server.url}/file"]
    assert local_path(find(net)).read_bytes() == CONTENT
    assert server.asked_ranges() == [None, "bytes=4096-"]


def test_a_killed_process_leaves_no_lock_and_its_bytes_are_kept(
    net: str, server: ModelServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(transfer_module, "READ_TIMEOUT", 30)
    server.stalls, server.stall_seconds = [4096], 2.0
    context = multiprocessing.get_context("fork")
    worker = context.Process(target=_fetch_in_process, args=(context.Queue(),))
    worker.start()
    part, deadline = local_path(find(net)).with_name("net.pth.part"), time.monotonic() + 20
    while time.monotonic() < deadline and not (part.exists() and part.stat().st_size):
        time.sleep(0.01)
    worker.kill()
    worker.join()
    kept = part.stat().st_size
    assert 0 < kept < len(CONTENT)
    assert fetch(net).path.read_bytes() == CONTENT
    assert server.asked_ranges() == [None, f"bytes={kept}-"]


def test_removing_leaves_nothing(net: str, server: ModelServer):
    path = fetch(net).path
    assert remove(net) == path
    assert left_in_cache() == set()
    assert remove(net) is None
    server.cuts, server.statuses = [3072], [200, 404]
    with pytest.raises(ModelError):
        fetch(net)
    remove(net)
    assert left_in_cache() == set()
    assert read_record(find(net)) is None


def test_the_record_says_where_the_file_came_from(net: str, server: ModelServer):
    path = fetch(net).path
    record = json.loads(path.with_name("record.json").read_text())
    assert (record["source"], record["sha256"], record["size"]) == (f"{server.url}/file", DIGEST, len(CONTENT))
