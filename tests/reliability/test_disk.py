"""Disks that are full or read-only: one message with the path, exit status 1, nothing lost, and the same command resumes."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest

FILLER = '''
import os

from compete import hookimpl


def fill(moment):
    """Fill the disk for good, as somebody else's download would."""
    if os.environ.get("FILL_AT") != moment:
        return
    with open("submissions/filler", "wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                pass


@hookimpl
def on_epoch_end(epoch):
    if epoch.number == 2:
        fill("checkpoint")


@hookimpl
def register_tta():
    def filling():
        def views(images):
            if len(images) > 1:  # one image is only the trial before training
                fill("prediction")
            return []
        return views
    return {"filling": filling}


@hookimpl
def register_submissions():
    rehearsed = []

    def filling(sample, predictions, target):
        if rehearsed:  # the first one, before training, is only a trial
            fill("submission")
        rehearsed.append(len(sample))
        return sample.assign(label=target.decode(predictions.to_numpy()))
    return {"filling": filling}
'''
FULL = "No space left on device. What was there before is kept."


@pytest.fixture
def filling(tiny) -> Path:
    """The tiny competition with a plugin that fills the disk when the environment asks for it."""
    (tiny / "filler.py").write_text(FILLER)
    toml = (tiny / "tiny.toml").read_text().replace('["tiny_plugin.py"]', '["tiny_plugin.py", "filler.py"]')
    toml = toml.replace("epochs = 2", "epochs = 3\nonly_folds = [0, 1]")
    (tiny / "tiny.toml").write_text(toml + '[submission]\nname = "filling"\n[[tta]]\nname = "filling"\n')
    return tiny


def epochs(folder: Path, member: str) -> list[int]:
    events = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [event["number"] for event in events if event["event"] == "epoch" and event["member"] == member]


def everything(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


@pytest.mark.promise("Disk full during a write: reported with its path, nothing lost, resumes once there is space")
@pytest.mark.parametrize(
    ("moment", "path"),
    [
        ("checkpoint", "members/fold0-seed42/checkpoint.new.pt"),
        ("prediction", "members/fold0-seed42/oof.parquet"),
        ("submission", "submission.csv"),
    ],
)
def test_a_disk_that_fills_up(filling, mounted, compete, moment, path):
    disk = mounted("submissions", "size=1m")
    run = disk / "tiny/run-001"
    status, text = compete("run", "tiny.toml", env={"FILL_AT": moment})
    assert status == 1 and f"error: cannot write submissions/tiny/run-001/{path}: {FULL}" in text, text
    assert not list(run.rglob(".*.tmp"))
    (disk / "filler").unlink()
    finished = sorted(run.glob("members/*/weights.safetensors"))
    assert len(finished) == (0 if moment == "checkpoint" else 2)
    times = [file.stat().st_mtime_ns for file in finished]
    status, text = compete("run", "tiny.toml")
    assert status == 0, text
    assert times == [file.stat().st_mtime_ns for file in finished]
    # The checkpoint of the first epoch was whole, so only the second epoch, whose checkpoint failed, is trained again.
    assert epochs(run, "fold0-seed42") == ([1, 2, 2, 3] if moment == "checkpoint" else [1, 2, 3])


@pytest.mark.promise("Disk full during a write: reported with its path, nothing lost, resumes once there is space")
def test_a_cache_larger_than_its_disk(tiny, mounted, compete):
    disk = mounted("cache", "size=16k")  # the lock and both indexes take a page each
    arguments = ("run", "tiny.toml", "--set", "images.cache_dir=cache", "--set", "images.size=[32,32]")
    status, text = compete(*arguments)
    assert status == 1 and "error: cannot write cache/" in text and FULL in text
    assert "The cache needs 7.37e-05 GB: set [images] cache_dir to another disk, or cache = false." in text
    assert not list(disk.glob("*.npy"))
    mounted("cache", "size=1m")
    assert compete(*arguments)[0] == 0


@pytest.mark.promise("Disk full during a write: reported with its path, nothing lost, resumes once there is space")
@pytest.mark.parametrize(("most_bytes", "path"), [(4500, "/.compete/cache/"), (7000, "checkpoint.new.pt")])
def test_a_limit_on_file_sizes_is_reported_in_the_same_way(tiny, compete, most_bytes, path):
    status, text = compete("run", "tiny.toml", limits={resource.RLIMIT_FSIZE: most_bytes})
    assert status == 1 and "error: cannot write " in text and "File too large." in text
    assert path in text.replace("write .compete", "write /.compete")
    assert compete("run", "tiny.toml")[0] == 0


@pytest.mark.promise("A read-only folder: named, exit status 1, what was there is kept")
def test_a_read_only_run_folder(tiny, mounted, compete):
    disk = mounted("submissions", "size=1m")
    assert compete("run", "tiny.toml", "--set", "training.epochs=1")[0] == 0
    before = everything(disk)
    mounted("submissions", "ro")
    for arguments in ((), ("--fresh",)):
        status, text = compete("run", "tiny.toml", "--set", "training.epochs=1", *arguments)
        assert status == 1 and "error: cannot write submissions/tiny/.runs.lock: Read-only file system." in text
    assert everything(disk) == before


@pytest.mark.promise("A read-only folder: named, exit status 1, what was there is kept")
def test_a_read_only_cache_folder(tiny, mounted, compete):
    mounted("cache", "size=1m,ro")
    status, text = compete("run", "tiny.toml", "--set", "images.cache_dir=cache")
    assert status == 1 and "error: cannot write cache/" in text and "Read-only file system." in text


@pytest.mark.promise("A read-only folder: named, exit status 1, what was there is kept")
def test_where_not_even_the_traceback_can_be_kept(tiny, mounted, compete, monkeypatch):
    disk = mounted("everything", "size=1m")
    for name in ("tiny.toml", "tiny_plugin.py"):
        (disk / name).write_bytes((tiny / name).read_bytes())
    with (disk / "tiny_plugin.py").open("a") as file:
        file.write("\ndef tiny_dataset(root):\n    raise KeyError('lost')\n")
    mounted("everything", "ro")
    monkeypatch.chdir(disk)
    status, text = compete("run", "tiny.toml")
    assert status == 1 and text.startswith("error: KeyError: 'lost' (at ") and "the traceback is in" not in text
