"""What changed since the last run is noticed and reported; finished members that are still valid are reused, others never."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

CHANGED = "Changed TOML, data or plugin source: reported, valid members are reused, nothing is mixed"
REPEATED = "`compete run submissions/<competition>/<run>/config.toml` repeats the run"
FORMAT = "A run folder of another format version: refused in a sentence, or left alone with --fresh"
MEMBERS = {"fold0-seed42", "fold1-seed42", "fold2-seed42"}


def weights(folder: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in folder.glob("members/*/weights.safetensors")}


def everything(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def trained(folder: Path) -> set[str]:
    """Return the members that had an epoch in this very folder."""
    events = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return {event["member"] for event in events if event["event"] == "epoch"}


def change_plugin(tiny: Path) -> None:
    text = (tiny / "tiny_plugin.py").read_text()
    (tiny / "tiny_plugin.py").write_text(
        text.replace("nn.Conv2d(channels, 4, 3, padding=1)", "nn.Conv2d(channels, 4, 1)")
    )


def change_labels(tiny: Path) -> None:
    table = pd.read_csv(tiny / "data/train.csv")
    table["label"] = table["label"].map({"a": "b", "b": "c", "c": "a"})
    table.to_csv(tiny / "data/train.csv", index=False)


def change_a_image(tiny: Path) -> None:
    one, other = tiny / "data/train/p00_0.png", tiny / "data/train/p01_0.png"
    one.write_bytes(other.read_bytes())


def change_toml(tiny: Path) -> None:
    (tiny / "tiny.toml").write_text((tiny / "tiny.toml").read_text().replace("lr = 0.05", "lr = 0.04"))


CHANGES = {
    change_toml: "changed since run-001: optimizer.lr: 0.05 -> 0.04",
    change_plugin: "changed since run-001: file tiny_plugin.py",
    change_labels: "the data has changed since run-001, which is kept as it is",
    change_a_image: "the data has changed since run-001, which is kept as it is",
}


@pytest.mark.promise(CHANGED)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("finished", [True, False], ids=["finished", "unfinished"])
def test_what_members_depend_on(tiny, compete, change, finished):
    if finished:
        assert compete("run", "tiny.toml")[0] == 0
    else:
        stop_in_the_middle(tiny, compete)
    first = tiny / "submissions/tiny/run-001"
    before = everything(first)
    change(tiny)
    status, text = compete("run", "tiny.toml")
    assert status == 0 and CHANGES[change] in text, text
    second = tiny / "submissions/tiny/run-002"
    assert trained(second) == MEMBERS and "taken over" not in text
    assert weights(first) != weights(second)
    after = everything(first)
    assert {path for path in before if before[path] != after[path]} <= {
        first / ".lock",
        first / ".owner",
        first / "log.jsonl",
    }


def stop_in_the_middle(tiny, compete) -> None:
    """Leave a run with one finished member and one at its first epoch."""
    plugin = (tiny / "tiny_plugin.py").read_text()
    stop = "\n\n@hookimpl\ndef on_epoch_end(trainer, epoch):\n    import os, signal\n    if os.environ.get('STOP') and trainer.member.fold == 1:\n        signal.raise_signal(signal.SIGINT)\n"  # fmt: skip
    (tiny / "tiny_plugin.py").write_text(plugin + stop)
    assert compete("run", "tiny.toml", env={"STOP": "1"})[0] == 130


@pytest.mark.promise(CHANGED)
def test_what_members_do_not_depend_on(tiny, compete):
    """Another TTA needs other predictions, of the same weights."""
    assert compete("run", "tiny.toml")[0] == 0
    status, text = compete("run", "tiny.toml", "--set", 'tta=[{name="flips"}]')
    assert status == 0 and "changed since run-001: tta" in text
    assert f"reused from run-001, same data and training: {', '.join(sorted(MEMBERS))}" in text
    first, second = (tiny / "submissions/tiny" / name for name in ("run-001", "run-002"))
    assert trained(second) == set() and weights(first) == weights(second)
    assert (first / "oof.parquet").read_bytes() != (second / "oof.parquet").read_bytes()


@pytest.mark.promise(CHANGED)
def test_fresh_takes_nothing_over_and_overwrites_nothing(tiny, compete):
    assert compete("run", "tiny.toml")[0] == 0
    before = everything(tiny / "submissions")
    status, text = compete("run", "tiny.toml", "--fresh")
    assert status == 0 and "run folder submissions/tiny/run-002" in text and "taken over" not in text
    assert trained(tiny / "submissions/tiny/run-002") == MEMBERS
    after = everything(tiny / "submissions")
    assert before == {path: after[path] for path in before}


@pytest.mark.promise(REPEATED)
def test_a_run_s_own_toml_repeats_it(tiny, compete):
    sets = ("--set", "training.seed=7", "--set", 'tta=[{name="flips"}]', "--set", "model.dropout=0.2")
    assert compete("run", "tiny.toml", *sets)[0] == 0
    first, second = (tiny / "submissions/tiny" / name for name in ("run-001", "run-002"))
    (tiny / "tiny.toml").unlink()
    status, text = compete("run", "submissions/tiny/run-001/config.toml", "--fresh")
    assert status == 0, text
    for name in ("submission.csv", "oof.parquet", "test.parquet", "folds.csv", "config.toml"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert weights(first) == weights(second)
    before = everything(second / "members")
    assert compete("run", "submissions/tiny/run-001/config.toml")[0] == 0  # resumes with nothing left to do
    assert before == everything(second / "members")
    assert sorted(path.name for path in (tiny / "submissions/tiny").glob("run-*")) == ["run-001", "run-002"]


@pytest.mark.promise(FORMAT)
@pytest.mark.parametrize("version", [0, 1, None])
def test_another_format_version(tiny, compete, version):
    assert compete("run", "tiny.toml", "--set", "training.epochs=1")[0] == 0
    folder = tiny / "submissions/tiny/run-001"
    state = json.loads((folder / "run.json").read_text())
    assert state["format"] == 2
    (folder / "run.json").write_text(json.dumps({**state, "format": version}))
    before = everything(folder)
    sentence = f"submissions/tiny/run-001 was written in run format {version}; this version of compete reads format 2."
    for arguments in (("run", "tiny.toml", "--set", "training.epochs=1"), ("report", str(folder.relative_to(tiny)))):
        status, text = compete(*arguments)
        assert status == 2 and sentence in text, text
    assert before == everything(folder)
    assert compete("run", "tiny.toml", "--set", "training.epochs=1", "--fresh")[0] == 0
    assert before == everything(folder)
