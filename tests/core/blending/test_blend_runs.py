"""Blends of finished runs, joined by id, and what they refuse and report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

import compete
from compete.blending.commands import blend as blend_command
from compete.config.load import load_config
from compete.errors import ConfigError, DataError, UserError
from compete.scores import read_scores
from compete.stages.runner import run_competition
from compete.store import read_json, write_json

FAST = ("training.epochs=1",)
CLASSES = ["a", "b", "c"]


@pytest.fixture
def two_runs(tiny) -> tuple[Path, Path]:
    """Two finished runs with equal folds and other networks."""
    return tuple(
        run_competition(load_config(tiny / "tiny.toml", [*FAST, *more])).folder
        for more in ([], ["model.dropout=0.5", "training.epochs=2"])
    )


def oof_of(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "oof.parquet").set_index("id")


def test_the_mean_of_two_runs_is_the_mean_of_their_predictions(two_runs):
    done = compete.blend(two_runs, "mean")
    one, two = (pd.read_parquet(folder / "test.parquet").set_index("id")[CLASSES] for folder in two_runs)
    np.testing.assert_allclose(done.test[CLASSES], (one + two) / 2, atol=1e-6)
    first, second = (oof_of(folder)[CLASSES] for folder in two_runs)
    np.testing.assert_allclose(done.oof[CLASSES], (first + second) / 2, atol=1e-6)
    expected = f1_score(done.oof["label"], done.oof[CLASSES].to_numpy().argmax(axis=1), average="macro")
    assert done.scores.cv.oof == pytest.approx(expected)
    assert done.submission["id"].tolist() == [f"t{n}" for n in range(7)] and len(done.scores.cv.folds) == 3
    facts = done.scores.blend
    assert [each.name for each in facts.inputs] == ["run-001", "run-002"] and facts.rows == 24
    assert "3 parts" in repr(done)


def test_a_blend_is_a_run_like_any_other(two_runs):
    done = compete.blend(two_runs, "simplex")
    assert compete.load_run(done.folder).scores == done.scores
    submission = (done.folder / "submission.csv").read_bytes()
    again = compete.run(done.folder / "config.toml")
    assert again.folder == done.folder and (again.folder / "submission.csv").read_bytes() == submission
    of_blend = compete.blend([done, two_runs[0]], "mean")  # its own name, and not the first one's inputs
    assert [each.name for each in of_blend.scores.blend.inputs] == [done.folder.name, "run-001"]
    assert read_json(done.folder / "run.json")["finished"]


def test_auto_judges_every_method_and_says_which_it_takes(two_runs, capsys):
    done = compete.blend(two_runs)
    shown = capsys.readouterr().out
    methods = {facts.name: facts for facts in done.scores.blend.methods}
    assert {"mean", "simplex", "stacking", "weighted", "rank_mean", "geometric_mean", "hard_vote"} == set(methods)
    assert f"used: {done.scores.ensemble}" in shown and "inputs (macro_f1" in shown
    assert done.scores.cv.oof == methods[done.scores.ensemble].score


def test_rows_are_joined_by_id_not_by_order(two_runs):
    for name in ("oof.parquet", "test.parquet"):
        path = two_runs[1] / name
        pd.read_parquet(path).sample(frac=1, random_state=3).to_parquet(path)
    done = compete.blend(two_runs, "mean")
    second, first = (oof_of(folder)[CLASSES] for folder in reversed(two_runs))
    np.testing.assert_allclose(done.oof[CLASSES], (first + second.loc[first.index]) / 2, atol=1e-6)


def foreign(folder: Path, run: Path) -> list[str]:
    """Write a run's predictions as a colleague would send them: CSV files with the classes' columns."""
    names = []
    for name in ("oof", "test"):
        table = pd.read_parquet(run / f"{name}.parquet")[["id", *reversed(CLASSES)]]
        table.sample(frac=1, random_state=1).to_csv(folder / f"{name}.csv", index=False)
        names.append(str(folder / f"{name}.csv"))
    return names


def test_predictions_from_elsewhere_are_blended_by_id(tiny, two_runs):
    files = foreign(tiny, two_runs[1])
    done = compete.blend([two_runs[0]], "mean", files={"team": files})
    both = compete.blend(two_runs, "mean")
    np.testing.assert_allclose(done.test, both.test, atol=1e-6)
    np.testing.assert_allclose(done.oof[CLASSES], both.oof[CLASSES], atol=1e-6)
    assert any("team: its folds are not known" in warning for warning in done.scores.warnings)


def test_foreign_files_that_do_not_fit_are_refused_together(tiny, two_runs):
    oof, test = foreign(tiny, two_runs[1])
    pd.read_csv(test).iloc[2:].to_csv(tiny / "short.csv", index=False)
    pd.read_csv(oof).rename(columns={"a": "A"}).to_csv(tiny / "columns.csv", index=False)
    pd.read_csv(oof).assign(a="x").to_csv(tiny / "text.csv", index=False)
    pd.read_csv(oof).assign(a=np.inf).to_csv(tiny / "inf.csv", index=False)
    pd.read_csv(oof).assign(id="z").to_csv(tiny / "twice.csv", index=False)
    pd.read_csv(oof).assign(id=lambda table: "q" + table["id"]).to_csv(tiny / "ids.csv", index=False)
    given = {
        "short": [oof, "short.csv"], "columns": ["columns.csv", test], "text": ["text.csv", test],
        "inf": ["inf.csv", test], "twice": ["twice.csv", test], "ids": ["ids.csv", test], "one": [oof],
    }  # fmt: skip
    with pytest.raises(DataError) as caught:
        compete.blend([two_runs[0]], files=given)
    text = "\n".join(caught.value.problems)
    for part in ("short.csv: 2 test rows without a prediction", "columns.csv: no column for 1 class: a",
                 "text.csv: non-numeric cells", "inf.csv: 24 rows with empty, NaN or infinite cells",
                 "twice.csv: ids are there more than once: z", "ids.csv: none of its 24 ids is in the first run",
                 "files.one: needs two files"):  # fmt: skip
        assert part in text
    assert sorted(path.name for path in Path("submissions/tiny").glob("run-*")) == ["run-001", "run-002"]


def test_rows_that_only_some_inputs_validated_are_counted_and_left_out(tiny, two_runs):
    oof, test = foreign(tiny, two_runs[1])
    pd.read_csv(oof).iloc[:20].to_csv(oof, index=False)
    done = compete.blend([two_runs[0]], "mean", files={"team": [oof, test]})
    assert done.scores.blend.rows == 20 and int(done.oof["a"].isna().sum()) == 4
    assert any("4 rows with out-of-fold predictions of some inputs only" in w for w in done.scores.warnings)


def test_predictions_that_are_not_probabilities_are_said(tiny, two_runs):
    oof, test = foreign(tiny, two_runs[1])
    for file in (oof, test):
        table = pd.read_csv(file)
        table.assign(**{name: table[name] * 5 for name in CLASSES}).to_csv(file, index=False)
    done = compete.blend([two_runs[0]], "mean", files={"team": [oof, test]})
    assert sum("its rows are not probabilities" in warning for warning in done.scores.warnings) == 2


def test_other_folds_and_split_groups_are_named(tiny, two_runs):
    shuffled = run_competition(load_config(tiny / "tiny.toml", [*FAST, "training.seed=5"])).folder
    leaky = run_competition(
        load_config(tiny / "tiny.toml", [*FAST, "dataset.group=false", 'folds.name="kfold"'])
    ).folder
    done = compete.blend([two_runs[0], shuffled, leaky], "mean")
    text = "\n".join(done.scores.warnings)
    assert f"{shuffled.name} has other folds than run-001" in text
    assert f"{leaky.name}: " in text and "groups of run-001's 12 are in more than one of its folds" in text
    assert f"{two_runs[0].name}: " not in text


def test_a_run_with_other_labels_or_classes_is_refused(two_runs):
    path = two_runs[1] / "oof.parquet"
    table = pd.read_parquet(path)
    table.loc[3, "label"] = (table.loc[3, "label"] + 1) % 3
    table.to_parquet(path)
    with pytest.raises(
        DataError, match=f"1 row of 24 had another label there than in the first run: id {table['id'][3]}"
    ):
        compete.blend(two_runs)
    scores = json.loads((two_runs[1] / "scores.json").read_text())
    write_json(two_runs[1] / "scores.json", {**scores, "classes": ["a", "b", "d"]})
    with pytest.raises(DataError, match="its classes are others than the first run's: c, d"):
        compete.blend(two_runs)


def test_what_cannot_be_blended_is_named_before_anything_is_written(tiny, two_runs, capsys):
    with pytest.raises(ConfigError, match="at least two inputs"):
        compete.blend([two_runs[0]])
    with pytest.raises(ConfigError, match=r"run-001: the same run more than once\. Name each once"):
        compete.blend([two_runs[0], two_runs[0]])
    with pytest.raises(ConfigError, match="several inputs are called run-001"):
        compete.blend([two_runs[0]], files={"run-001": ["oof.csv", "test.csv"]})
    with pytest.raises(ConfigError, match=r"unknown ensemble 'stackin'\. Did you mean 'stacking'"):
        compete.blend(two_runs, "stackin")
    with pytest.raises(UserError, match=r"--file team: write NAME=oof\.csv,test\.csv"):
        blend_command(["run-001"], files=["team"])
    with pytest.raises(UserError, match=r"no such file: no\.csv"):
        blend_command(["run-001"], files=["team=no.csv,submissions/tiny/run-001/test.parquet"])
    with pytest.raises(UserError, match="Did you mean 'run-002'"):
        blend_command(["run-001", "run-02"])
    write_json(two_runs[1] / "run.json", {**read_json(two_runs[1] / "run.json"), "finished": False})
    with pytest.raises(DataError, match="run-002: not a finished run"):
        compete.blend(two_runs)
    assert len(list(Path("submissions/tiny").glob("run-*"))) == 2


def test_the_command_blends_by_name(two_runs, capsys):
    blend_command(["run-001", "run-002"], method="weighted", name="both", overrides=["ensemble.rounds=3"])
    scores = read_scores(Path("submissions/tiny/both"))
    assert scores.ensemble == "weighted" and scores.blend.methods == ()
    assert "rounds = 3" in Path("submissions/tiny/both/config.toml").read_text()
    assert "correlation" in capsys.readouterr().out


def test_stacking_over_runs_of_a_yes_or_no_target_and_of_values(tiny):
    """The whole path for one output and for values, where there is no best class."""
    train = pd.read_csv(tiny / "data/train.csv", dtype=str)
    train["yes"] = (train["label"] == "a").astype(int).astype(str)
    train["age"] = [str(20 + 7 * "abc".index(label) + number % 3) for number, label in enumerate(train["label"])]
    train.to_csv(tiny / "data/train.csv", index=False)
    for column, target, loss, metric in (("yes", "binary", "bce", "roc_auc"), ("age", "regression", "mse", "rmse")):
        settings = [f"folds.name={'binned' if column == 'age' else 'stratified_group'}"]
        settings += [f'target={{name="{target}", column="{column}"}}', f"loss.name={loss}", f"metric.name={metric}"]
        submission = [f"submission.name={'value' if column == 'age' else 'positive'}"]
        runs = [
            run_competition(
                load_config(tiny / "tiny.toml", [*FAST, *settings, *submission, f"model.dropout={rate}"])
            ).folder
            for rate in (0.0, 0.3)
        ]
        done = compete.blend(runs, "stacking")
        assert np.isfinite(done.test.to_numpy()).all() and done.scores.blend.rows == 24
