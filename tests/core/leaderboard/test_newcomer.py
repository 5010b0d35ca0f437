"""A newcomer's whole way with nothing but a token: every command is one that the command before has printed."""

# ruff: noqa: F811 - fixtures are imported, and asked for by the same names

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from kaggle_fixtures import point_here
from kaggle_server import Competition, KaggleServer
from miniatures import MINIATURES
from miniatures.drawing import zipped
from submit_fixtures import compete  # noqa: F401

SLUG = "aptos2019-blindness-detection"
TOKEN = "t0ken-of-a-newcomer"
QUICK = ["training.epochs=1", "folds.n=2", "images.size=[8, 8]", "model.width=4", "training.precision=32-true"]


@pytest.fixture
def newcomer(tmp_path, monkeypatch):
    """An empty folder, a token in the home folder, and a Kaggle that takes two submissions a day."""
    MINIATURES[SLUG](tmp_path / "drawn")
    files = [path for path in (tmp_path / "drawn").rglob("*") if path.is_file()]
    archive = zipped({path.relative_to(tmp_path / "drawn").as_posix(): path.read_bytes() for path in files})
    with KaggleServer(Competition(SLUG, daily=2, archive=archive)) as server:
        server.tokens, server.polls = {TOKEN: "newcomer"}, 0
        point_here(monkeypatch, server.environment(tmp_path / "home", OMP_NUM_THREADS="1"))
        (tmp_path / "home/.kaggle").mkdir()
        (tmp_path / "home/.kaggle/access_token").write_text(f"{TOKEN}\n")
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        yield server


def printed(text: str, command: str) -> list[str]:
    """Return the words after `compete` of a command that a text tells to type."""
    found = re.search(rf"\bcompete ({command}\b.*)$", text, re.MULTILINE)
    assert found is not None, f"no `compete {command}` in:\n{text}"
    return shlex.split(found[1])


def test_from_an_empty_folder_to_cv_and_score_side_by_side(newcomer, compete):
    shown = ""

    def type_in(*words: str, status: int = 0) -> str:
        nonlocal shown
        code, out, err = compete(*words)
        assert code == status, f"compete {shlex.join(words)}\n{out}\n{err}"
        shown += out + err
        return out + err

    fetched = type_in("download", SLUG)
    begun = type_in(*printed(fetched, "init"))
    asked = len(newcomer.log)
    sets = [word for pair in QUICK for word in ("--set", pair)]
    trained = type_in(*printed(begun, "run"), *sets)
    listed = type_in("runs")
    assert len(newcomer.log) == asked  # nothing goes anywhere without being asked

    submit = printed(trained, "submit")
    assert printed(listed, "submit") == submit
    scored = type_in(*submit)
    assert "leaderboard public 0.8125" in scored and "; 1 left now" in scored
    cv = re.search(r"^CV (\S+) \+-", scored, re.MULTILINE)[1]
    table = type_in(*printed(scored, "runs"))
    assert re.search(rf"^  run-001 +{re.escape(cv)} .* 0\.81250 .* scored ", table, re.MULTILINE)

    refused = type_in(*submit, status=2)
    assert "has not changed" in refused and "add --again" in refused
    newcomer.verdict["publicScore"] = "0.75"
    assert "leaderboard public 0.75" in type_in(*submit, "--again")
    assert "no submission is left; nothing was uploaded" in type_in(*submit, "--again", status=2)
    assert (len(newcomer.submissions), newcomer.log.count("PUT")) == (2, 2)

    table = type_in("runs")
    assert table.count("run-001 ") >= 2 and "0.75000" in table
    for journal in Path("submissions").rglob("submissions.jsonl"):
        journal.unlink()
    bare = type_in("runs")
    assert bare.startswith(table)  # the run's own folder has it all
    assert "submissions.jsonl was lost: submissions of CSV files and of moved runs are unknown" in bare
    type_in("runs", "--export", "runs.json")
    assert [row["public"] for row in json.loads(Path("runs.json").read_text())] == [0.8125, 0.75]
    kept = [path.read_bytes() for path in Path().rglob("*") if path.is_file()]
    assert TOKEN not in shown and not any(TOKEN.encode() in content for content in kept)
