"""The members of several runs go to one executor at one time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import compete
from compete.cli import run as run_command
from compete.errors import CompeteError
from compete.scores import read_scores

APART = '''

from compete import CompeteError, run_job


def apart(members, train, *, fail_at: str = ""):
    """Do jobs by words alone, the last member first, as another process does."""
    with open("given.txt", "a") as file:
        file.write(" ".join(member.name for member in members) + "|" + str(len(train.pending(members))) + "\\n")
    for member in reversed(train.pending(members)):
        if member.name == fail_at:
            raise CompeteError("too bright")
        train.warn(member.name + " was here", member)
        run_job(train.job(member), train.replay)
    return [train(member) for member in members]


@hookimpl
def register_executors() -> dict:
    return {"apart": apart}
'''
VARIANTS = """
[[variants]]
name = "plain"

[[variants]]
name = "again"
post = true

[[variants]]
name = "seven"
training.seed = 7
"""
FILES = ("submission.csv", "oof.parquet", "test.parquet")


@pytest.fixture
def several(tiny: Path) -> Path:
    with (tiny / "tiny_plugin.py").open("a") as file:
        file.write(APART)
    path, text = tiny / "several.toml", (tiny / "tiny.toml").read_text().replace("epochs = 2", "epochs = 1")
    path.write_text(text + VARIANTS.replace("post = true", 'tta = [{name = "flips"}]'))
    return path


def results(folder: Path) -> list[bytes]:
    whole = [folder, *(folder.with_name(f"{folder.name}-{name}") for name in ("plain", "again", "seven"))]
    return [(each / name).read_bytes() for each in whole for name in FILES]


def given(tiny: Path) -> list[str]:
    """What the executor was asked for; without what was finished before."""
    return [line.partition("|")[0] for line in (tiny / "given.txt").read_text().splitlines() if line[-2:] != "|0"]


def test_members_of_all_variants_go_to_the_executor_at_once_with_the_results_of_local(several, tiny, capsys):
    local = compete.run(several, ["training.refit=true"], name="local").folder
    capsys.readouterr()
    done = compete.run(several, ["training.refit=true", "executor.name=apart"], name="apart", fresh=True).folder
    shown = capsys.readouterr().out
    assert results(done) == results(local)
    first, refits = given(tiny)[:2]
    names = [
        f"{label} fold{fold}-seed{seed}"
        for label, seed in (("plain", 42), ("again", 42), ("seven", 7))
        for fold in range(3)
    ]
    assert (
        first.split(" ") == " ".join(names).split(" ") and refits == "plain all-seed42 again all-seed42 seven all-seed7"
    )
    assert len(given(tiny)) == 2
    for name in names:
        assert shown.count(f"member {name} starts") == shown.count(f"member {name} done") == 1
    assert shown.index("member plain fold0-seed42 done") > shown.index("member seven fold0-seed7 done")
    for label, seed in (("plain", 42), ("again", 42), ("seven", 7)):
        folder = done.with_name(f"apart-{label}")
        events = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        ended = sorted(event["member"] for event in events if event["event"] == "member_end")
        assert ended == sorted([f"all-seed{seed}", *(f"fold{fold}-seed{seed}" for fold in range(3))])
        assert [event["event"] for event in events][-1] == "run_end"
        warned = {text.split()[0] for text in read_scores(folder).warnings if text.endswith(" was here")}
        assert warned == {label}


def test_what_two_variants_need_is_trained_once(several, tiny, capsys):
    compete.run(several, ["executor.name=apart"])
    assert given(tiny) == [
        "plain fold0-seed42 plain fold1-seed42 plain fold2-seed42 seven fold0-seed7 seven fold1-seed7 seven fold2-seed7"
    ]
    shown = capsys.readouterr().out
    assert "again: reused from run-001-plain, same data and training: fold0-seed42, fold1-seed42, fold2-seed42" in shown


def test_what_stops_one_stops_all_and_the_same_command_resumes(several, tiny):
    with pytest.raises(CompeteError, match="too bright"):
        compete.run(several, ["executor.name=apart", "executor.fail_at=plain fold2-seed42"])
    runs = tiny / "submissions/tiny"
    for label in ("plain", "again", "seven"):
        events = (runs / f"run-001-{label}/log.jsonl").read_text()
        assert "too bright" in events.splitlines()[-1]
    (tiny / "given.txt").unlink()
    done = compete.run(several, ["executor.name=apart"])
    assert done.folder.name == "run-001"
    assert given(tiny) == ["plain fold0-seed42 plain fold1-seed42 plain fold2-seed42"]


def test_several_tomls_train_at_one_time(several, tiny):
    text = (tiny / "tiny.toml").read_text().replace("epochs = 2", "epochs = 1")
    (tiny / "one.toml").write_text(text)
    (tiny / "two.toml").write_text(text.replace("lr = 0.05", "lr = 0.02"))
    run_command([tiny / "one.toml", tiny / "two.toml"], ["executor.name=apart"], None, False, False)
    [line] = given(tiny)
    assert line.count("one.toml fold") == line.count("two.toml fold") == 3
