"""Files that are shipped arrive once, whole, and as they were counted."""

from __future__ import annotations

import sys
import tempfile
import threading
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from compete.config.load import load_config
from compete.errors import CompeteError
from compete.jobs import shipment
from compete.jobs.job import job_of
from compete.workers.work import missing_here


@pytest.fixture(autouse=True)
def node(tmp_path, monkeypatch):
    """Another folder for temporary files, as a node has it."""
    (tmp_path / "node").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "node"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_files_arrive_once_and_byte_for_byte_also_those_larger_than_a_piece(tiny, monkeypatch):
    monkeypatch.setattr(shipment, "PIECE", 300)
    (tiny / "data/empty.txt").touch()
    made = shipment.pack(load_config(tiny / "tiny.toml"))
    assert max(file.size for file in made.files) > 600 and len(made.batches) > 5
    both, read = threading.Barrier(2), []

    def unpack(_):
        both.wait(10)
        return made.unpack(lambda batch: read.append(batch) or made.read(batch))

    with ThreadPoolExecutor(2) as threads:
        one, other = threads.map(unpack, range(2))
    assert one == other and read == list(range(len(made.batches)))
    there = contents(one / "work")
    assert {name: data for name, data in there.items() if name.startswith("data/")} == {
        f"data/{name}": data for name, data in contents(tiny / "data").items()
    }
    assert there["tiny_plugin.py"] == (tiny / "tiny_plugin.py").read_bytes()


def test_what_is_shipped_of_a_working_folder_and_what_must_be_there(tiny, monkeypatch):
    for name in ("submissions/old.csv", ".compete/cache.npy", ".venv/lib/x.py"):
        (tiny / name).parent.mkdir(parents=True)
        (tiny / name).touch()
    (tiny / "shipped_helper.py").write_text("HELP = 1\n")
    with (tiny / "tiny_plugin.py").open("a") as file:
        file.write("import shipped_helper\n")
    monkeypatch.syspath_prepend(str(tiny))
    for name in ("train.csv", "sample.csv", "train", "test"):
        (tiny / "data" / name).rename(tiny / name)
    outside = tiny.with_name(f"{tiny.name}-outside.py")
    outside.write_text("from compete import hookimpl\n\n\n@hookimpl\ndef register_losses():\n    return {}\n")
    config = load_config(tiny / "tiny.toml", ["competition.root=.", f'plugins=["tiny_plugin.py", "{outside}"]'])
    made = shipment.pack(config)
    sys.modules.pop("shipped_helper")
    places = {file.place for file in made.files}
    assert {"work/train.csv", "work/shipped_helper.py", "work/tiny_plugin.py"} <= places
    assert not [place for place in places if "old.csv" in place or "/." in place] and not made.moves_root
    assert made.left == {str(outside): "plugins"}


def test_an_absolute_root_moves_and_what_is_missing_is_named(make_run, tiny):
    run = make_run(f"competition.root={tiny}/data")
    made = shipment.pack(run.config)
    job = job_of(run, run.members[0], storage=f"file://{tiny}/store").moved(made, made.unpack(made.read))
    assert tomllib.loads(job.toml)["competition"]["root"] == str(Path(job.cwd).parent / "root")
    assert contents(Path(job.cwd).parent / "root") == contents(tiny / "data")
    assert missing_here(job) == []
    (problem,) = missing_here(replace(job, named={"/nowhere/w.pt": "a file of [model]"}))
    assert problem.startswith("/nowhere/w.pt, a file of [model], is not on ") and "path relative" in problem
    (tiny / "tiny_plugin.py").unlink()
    (problem,) = missing_here(job_of(run, run.members[0], storage=f"file://{tiny}/store"))
    assert problem.startswith(f"{tiny}/tiny_plugin.py, plugins, is not on ") and "ship = true" in problem


def test_what_changes_meanwhile_or_cannot_be_written_leaves_nothing(tiny, monkeypatch):
    made = shipment.pack(load_config(tiny / "tiny.toml"))
    image = next((tiny / "data/train").iterdir())
    before = image.read_bytes()
    image.write_bytes(before[:-1] + b"x")
    with pytest.raises(CompeteError, match=f"changed while they were shipped: {image}"):
        made.unpack(made.read)
    image.unlink()
    with pytest.raises(CompeteError, match=f"cannot ship {image}: No such file"):
        made.unpack(made.read)
    image.write_bytes(before)

    def full(batch):
        raise OSError(28, "No space left on device")

    with pytest.raises(CompeteError, match=r"No space left on device.*TMPDIR chooses the disk"):
        made.unpack(full)
    folder = made.unpack(made.read)
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name, f"{folder.name}.lock"]
    folder.parent.chmod(0o777)
    with pytest.raises(CompeteError, match=r"can be changed by others\. Remove it"):
        made.unpack(made.read)
