"""Files are whole or not there, checkpoints have a spare, a run folder has one owner."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from compete.errors import CompeteError, RunBusyError
from compete.store import (
    CHECKPOINT,
    fingerprint,
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
from compete.store import run_lock
with run_lock(Path({str(tmp_path)!r})):
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


def test_fingerprints_differ_when_a_part_does():
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint([1, 2]) != fingerprint([2, 1])
