"""A store's files through `Files`: found, listed, read and identified as those of a folder, without a copy."""

from __future__ import annotations

import os
import pickle
import socket
from hashlib import sha256
from multiprocessing import get_context

import pytest

from compete.errors import DataError, StoreError
from compete.files.contents import Contents
from compete.files.places.store import PARALLEL
from compete.files.root import FOLLOW_LINKS, Files
from compete.urls import stores
from core.files.places.conftest import MEMORY


def test_a_store_reads_as_a_folder_does(put, tmp_path):
    tree = {"a.csv": b"id", "train/1.jpg": b"one", "train/deep/2.jpg": b"two", "train/.DS_Store": b"clutter"}
    for path, data in tree.items():
        put(path, data)
        file = tmp_path / "disk" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    remote, local = Files(MEMORY, tmp_path), Files(tmp_path / "disk", tmp_path)
    for folder in ("", "train", "train/deep", "none", "a.csv"):
        assert remote.list(folder) == local.list(folder)
        assert remote.walk(folder) == local.walk(folder)
    paths = ["a.csv", "train/1.jpg", "train/2.jpg", "none/1.jpg", "train"]
    assert remote.present(paths).tolist() == local.present(paths).tolist() == [True, True, False, False, True]
    assert remote.read("train/deep/2.jpg") == b"two"
    assert pickle.loads(pickle.dumps(remote)).read("train/1.jpg") == b"one"
    assert remote.where == MEMORY and (remote.requests, local.requests) == (PARALLEL, 0)
    with pytest.raises(DataError, match=r"no file 'train/3.jpg' below memory://data. Did you mean '1.jpg'"):
        remote.read("train/3.jpg")
    with pytest.raises(DataError, match="needs a folder on a disk"):
        _ = remote.root


@pytest.mark.parametrize("path", ["../other/1.jpg", "/etc/passwd", "a/../../b", "a\\b"])
def test_no_path_leads_out_of_a_store(put, path, tmp_path):
    put("1.jpg", b"one")
    with pytest.raises(DataError):
        Files(MEMORY, tmp_path).read(path)


def test_a_store_that_is_not_there_is_refused_at_once(put, tmp_path):
    with pytest.raises(DataError, match=r"^memory://data: no such bucket or folder.$"):
        Files(MEMORY, tmp_path)


def test_a_web_server_is_asked_for_each_file_with_many_requests_at_once(server, tmp_path):
    for number in range(40):
        (server.root / f"{number} #%.jpg").write_bytes(bytes([number]))
    files, paths = Files(server.url, tmp_path), [f"{number} #%.jpg" for number in range(41)]
    assert files.present(paths).tolist() == [True] * 40 + [False]
    assert files.read("7 #%.jpg") == bytes([7])
    assert server.asked["HEAD 7 #%.jpg"] == 1
    with pytest.raises(DataError, match="a web server lists no folders"):
        files.walk("")


def test_a_failing_server_is_asked_again_a_bounded_number_of_times(server, tmp_path):
    (server.root / "1.jpg").write_bytes(b"one")
    files = Files(server.url, tmp_path)
    server.failures["1.jpg"] = [503, 503]
    assert files.read("1.jpg") == b"one"
    server.failures["1.jpg"] = [503] * 100
    with pytest.raises(StoreError, match=r"^http://127.0.0.1:\d+/1.jpg: the store cannot be read"):
        files.read("1.jpg")
    assert len(server.failures["1.jpg"]) == 100 - stores.TRIES
    server.failures["1.jpg"] = [403]
    with pytest.raises(DataError, match="no permission"):
        files.read("1.jpg")


def test_a_server_that_cannot_be_reached_is_the_first_thing_known(server, tmp_path):
    url = server.url
    server.shutdown()
    server.server_close()
    with pytest.raises(DataError, match="cannot be read"):
        Files(url, tmp_path)


def test_a_file_that_changes_while_it_is_read_is_noticed_by_its_size(put, tmp_path):
    put("1.jpg", b"one")
    files = Files(MEMORY, tmp_path)
    assert files.read("1.jpg") == b"one"
    put("1.jpg", b"longer")
    with pytest.raises(DataError, match="it changed since"):
        files.read("1.jpg")


def test_contents_are_identified_without_reading_them(server, tmp_path):
    paths = ["1.jpg", "2.jpg"]
    for path in paths:
        (server.root / path).write_bytes(b"same")

    def digests() -> list[str]:
        known = Contents(tmp_path / "memory", lambda _: "read", lambda mark: sha256(mark.encode()).hexdigest())
        return known.digests(Files(server.url, tmp_path / "cache"), [*paths, "none.jpg"], lambda *_: None)

    first = digests()
    assert first == digests() and first[2] == "" and first[0] != first[1]  # a tag of a server names no content
    assert server.sent_bytes == 0
    (server.root / "1.jpg").write_bytes(b"Same")
    assert digests()[0] != first[0] and digests()[1] == first[1]


def test_what_a_store_does_not_identify_is_refused(server, tmp_path):
    server.tags = False
    (server.root / "1.jpg").write_bytes(b"one")
    with pytest.raises(DataError, match="tells no checksum, entity tag or time"):
        Files(server.url, tmp_path).read("1.jpg")


def read_one(files: Files, answers) -> None:
    answers.put(files.read("1.jpg"))


def test_a_forked_process_opens_its_own_connection(server, tmp_path):
    (server.root / "1.jpg").write_bytes(b"one")
    files = Files(server.url, tmp_path)
    assert files.read("1.jpg") == b"one"
    context = get_context("fork")
    answers = context.Queue()
    child = context.Process(target=read_one, args=(files, answers))
    child.start()
    assert answers.get(timeout=30) == b"one"
    child.join()


def test_a_file_of_a_folder_links_to_a_store_where_the_user_says_so(put, tmp_path, monkeypatch):
    put("1.jpg", b"one")
    root = tmp_path / "root"
    root.mkdir()
    (root / "train.url").write_text(f"[InternetShortcut]\nURL={MEMORY}\n")
    (root / "wrong.url").write_text("no address")
    (root / "local.url").write_text("file:///etc")
    files = Files(root, tmp_path / "cache")
    with pytest.raises(DataError, match=rf"train.url is a link to {MEMORY}, outside the root.*export {FOLLOW_LINKS}=1"):
        files.read("train/1.jpg")
    monkeypatch.setenv(FOLLOW_LINKS, "1")
    assert files.read("train/1.jpg") == b"one"
    assert files.present(["train/1.jpg", "train/2.jpg", "test/1.jpg"]).tolist() == [True, False, False]
    assert files.requests == PARALLEL and files.marks(["train/1.jpg"])[0].startswith("version:")
    with pytest.raises(DataError, match="holds no URL"):
        files.read("wrong/1.jpg")
    with pytest.raises(DataError, match="names this machine"):
        files.read("local/passwd")
    assert os.listdir(root / ".") and not (tmp_path / "cache").exists()  # noqa: PTH208 - nothing was copied


def test_a_server_that_says_nothing_is_given_up_in_words(tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "READ_S", 0.1)
    monkeypatch.setattr(stores, "FIRST_WAIT_S", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/data"
        with pytest.raises(DataError, match=rf"^{url}: the store does not answer in time"):
            Files(url, tmp_path)
