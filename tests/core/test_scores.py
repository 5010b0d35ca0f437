"""`scores.json`: written and read back, and what a reader is told when it cannot be."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from compete.errors import CompeteError
from compete.scores import fit_verdict, read_scores, write_scores
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


def trained(*members, **changes):
    """Scores of members, each given by its (train_loss, valid_loss, train_score, score) in each epoch; the last is best."""
    rows = {
        f"fold{fold}-seed0": {
            "score": epochs[-1][3],
            "best_epoch": len(epochs),
            "seconds": 1.0,
            "epochs": [
                {
                    "number": n,
                    "train_loss": t,
                    "valid_loss": v,
                    "train_score": ts,
                    "score": s,
                    "lr": 0.1,
                    "seconds": 1.0,
                }
                for n, (t, v, ts, s) in enumerate(epochs, start=1)
            ],
        }
        for fold, epochs in enumerate(members)
    }
    return make_scores(**changes).model_copy(update={"members": make_members(rows)})


def make_members(rows):
    from compete.scores import MemberScores

    return {name: MemberScores.model_validate(row) for name, row in rows.items()}


FALLING = [(1.0, 1.0, 0.3, 0.3), (0.8, 0.9, 0.4, 0.4)]


@pytest.mark.parametrize(
    ("last", "higher", "verdict"),
    [
        ([(0.1, 0.9, 0.98, 0.71), (0.1, 0.9, 0.97, 0.69), (0.1, 0.9, 0.99, 0.70)], True, "overfits: macro_f1 0.9800"),
        ([(0.1, 0.9, 0.05, 0.40), (0.1, 0.9, 0.06, 0.42), (0.1, 0.9, 0.04, 0.41)], False, "overfits"),  # an error
        ([(0.1, 0.9, 0.98, 0.50)], True, "overfits"),
        ([(0.1, 0.9, 0.80, 0.65)], True, ""),  # one member: chance could do that
        ([(0.1, 0.9, 0.98, 0.95), (0.1, 0.9, 0.97, 0.40), (0.1, 0.9, 0.99, 0.99)], True, ""),  # one fold is odd
        ([(0.6, 0.8, 0.51, 0.50), (0.6, 0.8, 0.52, 0.51), (0.6, 0.8, 0.49, 0.50)], True, "underfits: macro_f1 0.5067"),
        ([(0.79, 0.8, 0.51, 0.50), (0.79, 0.8, 0.52, 0.51), (0.79, 0.8, 0.49, 0.50)], True, ""),  # a plateau
        ([(0.6, 0.95, 0.51, 0.50), (0.6, 0.95, 0.52, 0.51)], True, ""),  # the validation loss rises
        ([(0.6, 0.8, 0.51, 0.70), (0.6, 0.8, 0.52, 0.72)], True, ""),  # better in validation: no verdict
        ([(0.6, 0.8, None, 0.50), (0.6, 0.8, 0.5, 0.51)], True, ""),  # an older run
    ],
)
def test_the_verdict_on_the_fit_needs_clear_evidence(last, higher, verdict):
    found = fit_verdict(trained(*([*FALLING, row] for row in last), higher_is_better=higher))
    assert found.startswith(verdict) and bool(found) == bool(verdict)


def test_epochs_of_an_older_run_have_no_training_score():
    assert make_scores().members["fold0-seed0"].epochs[0].train_score is None and not fit_verdict(make_scores())
