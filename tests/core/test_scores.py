"""`scores.json`: written and read back, and what a reader is told when it cannot be."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from compete.errors import CompeteError
from compete.scores import read_scores, write_scores
from scores_fixtures import make_scores


def test_scores_are_read_back_as_they_were_written(tmp_path):
    nan = float("nan")
    scores = make_scores(cv={"std": nan, "folds": {"fold0-seed0": nan, "fold1-seed0": 0.5}})
    write_scores(tmp_path, scores)
    assert read_scores(tmp_path) == scores
    assert scores.cv.std is None and scores.cv.folds == {"fold0-seed0": None, "fold1-seed0": 0.5}


def test_scores_without_a_format_are_those_of_an_older_version(tmp_path):
    (tmp_path / "scores.json").write_text('{"metric": "accuracy", "cv": {"mean": 0.5}}')
    with pytest.raises(CompeteError, match="it has no format, and this version of compete reads format 1"):
        read_scores(tmp_path)


def test_scores_are_frozen_and_know_no_other_key():
    scores = make_scores()
    with pytest.raises(ValidationError, match="frozen"):
        scores.metric = "accuracy"
    with pytest.raises(ValidationError, match=r"cv\.median"):
        make_scores(cv={"median": 0.5})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": 2}, "it has format 2, and this version of compete reads format 1"),
        ({"cv": {"mean": 0.5}}, "it is damaged: cv.std: Field required"),
    ],
)
def test_scores_of_another_format_or_without_a_key_are_refused(tmp_path, change, reason):
    write_scores(tmp_path, make_scores())
    path = tmp_path / "scores.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CompeteError) as error:
        read_scores(tmp_path)
    assert f"cannot read {path}: {reason}. " in str(error.value)


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "no such file"), (b"{", "EOF"), (b"\xff", "Invalid JSON"), (b"[]", "an object")]
)
def test_missing_and_damaged_scores_name_the_file_and_what_to_type(tmp_path, content, reason):
    folder = tmp_path / "a run"
    folder.mkdir()
    if content is not None:
        (folder / "scores.json").write_bytes(content)
    with pytest.raises(CompeteError, match=rf"cannot read .*a run/scores\.json: .*{reason}") as error:
        read_scores(folder)
    assert str(error.value).endswith(f"type: compete run '{folder / 'config.toml'}'")
