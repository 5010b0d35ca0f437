"""Files are whole or not there, checkpoints have a spare, a run folder has one owner."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch

from compete.errors import CompeteError, RunBusyError
from compete.store import (
    CHECKPOINT,
    append_line,
    expand_path,
    folder_lock,
    load_checkpoint,
    read_json,
    save_checkpoint,
    write_atomic,
    write_json,
    write_text,
)


def test_a_failed_write_leaves_the_old_content_and_no_litter(tmp_path):
    path = tmp_path / "scores.json"
    write_text(path, "old")

    def fail(file):
        file.write(b"ne")
        raise OSError(28, "No space left on device")

    with pytest.raises(CompeteError, match=r"cannot write .*scores.json: No space left on device"):
        write_atomic(path, fail)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["scores.json"]


def test_json_knows_no_nan(tmp_path):
    write_json(tmp_path / "a.json", {"score": float("nan"), "shape": (1, 2)})
    assert read_json(tmp_path / "a.json") == {"score": None, "shape": [1, 2]}


def test_broken_json_reads_as_nothing(tmp_path):
    (tmp_path / "a.json").write_text('{"cut": ')
    assert read_json(tmp_path / "a.json") == {} == read_json(tmp_path / "not there.json")


def test_the_spare_checkpoint_is_used_when_the_newest_is_damaged(tmp_path):
    save_checkpoint(tmp_path, {"epoch": 1, "weights": torch.ones(3)})
    save_checkpoint(tmp_path, {"epoch": 2, "weights": torch.ones(3)})
    said = []
    assert load_checkpoint(tmp_path, said.append)["epoch"] == 2
    damaged = (tmp_path / CHECKPOINT).read_bytes()
    (tmp_path / CHECKPOINT).write_bytes(damaged[: len(damaged) // 2])
    assert load_checkpoint(tmp_path, said.append)["epoch"] == 1
    assert "checkpoint before it is used" in said[0]


def test_a_checkpoint_with_code_in_it_is_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "exploded"),))

    torch.save({"epoch": Bomb()}, tmp_path / CHECKPOINT)
    assert load_checkpoint(tmp_path, lambda _: None) is None
    assert not (tmp_path / "exploded").exists()


def test_a_second_process_is_told_who_holds_the_folder(tmp_path):
    code = f"""
from pathlib import Path
from compete.store import folder_lock
with folder_lock(Path({str(tmp_path)!r})):
    print("held", flush=True)
    input()
"""
    owner = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert owner.stdout.readline() == "held\n"
        with pytest.raises(RunBusyError, match=rf"in use by process {owner.pid} on .+"), folder_lock(tmp_path):
            pass
        owner.kill()  # a lock of a dead process holds nobody up
        owner.wait()
        with folder_lock(tmp_path):
            pass
    finally:
        owner.kill()
        owner.communicate()


def test_a_forked_process_does_not_keep_the_lock_of_its_killed_parent(tmp_path):
    """Loader processes are forked, and may live some seconds longer than the run."""
    code = f"""
import os, time
from pathlib import Path
from compete.store import folder_lock
awake, alive = os.pipe()
with folder_lock(Path({str(tmp_path)!r})):
    if os.fork() == 0:
        os.close(1)
        os.write(alive, b"!")
        time.sleep(60)
    os.read(awake, 1)  # a fork lets go of the lock in its first moment, which must have come
    print("forked", flush=True)
    time.sleep(60)
"""
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert owner.stdout.readline() == "forked\n"
        owner.kill()
        owner.wait()
        with folder_lock(tmp_path):
            pass
    finally:
        os.killpg(owner.pid, 9)
        owner.communicate()


def test_one_process_is_no_exception(tmp_path):
    with folder_lock(tmp_path), pytest.raises(RunBusyError), folder_lock(tmp_path):
        pass


def test_names_that_are_not_text_do_not_stop_a_record(tmp_path):
    write_json(tmp_path / "a.json", {"file": "caf\udce9.jpg"})
    append_line(tmp_path / "log.jsonl", {"file": "caf\udce9.jpg"})
    assert read_json(tmp_path / "a.json") == {"file": "caf\udce9.jpg"}
    assert json.loads((tmp_path / "log.jsonl").read_text())["file"] == "caf\udce9.jpg"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("", ""),
        ("data/mask", "data/mask"),
        ("~", "HOME"),
        ("~/mask", "HOME/mask"),
        ("$DATA/mask", "/disk/mask"),
        ("${DATA}/mask", "/disk/mask"),
        ("a/~/b", "a/~/b"),
        ("$1.csv", "$1.csv"),
        ("costs$", "costs$"),
        ("~there", "~there"),  # a folder of this name exists
        ("$DATA there", "$DATA there"),
    ],
)
def test_home_and_variables_are_expanded_in_a_path(tmp_path, monkeypatch, written, meant):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DATA", "/disk")
    for name in ("~there", "$DATA there"):
        (tmp_path / name).mkdir()
    assert expand_path(written) == meant.replace("HOME", str(tmp_path))


@pytest.mark.parametrize("written", ["$NOT_SET_AT_ALL/mask", "${NOT_SET_AT_ALL}/mask", "/a/$NOT_SET_AT_ALL"])
def test_a_variable_that_is_not_set_is_named(written):
    with pytest.raises(ValueError, match=r"NOT_SET_AT_ALL}? is not set"):
        expand_path(written)


def test_files_are_written_where_folders_cannot_be_opened(tmp_path, monkeypatch):
    monkeypatch.delattr("os.O_DIRECTORY")  # as on Windows

    def refused(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.open", refused)
    write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "new"
