"""A whole run, and what stops it before training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from compete.config import load_config
from compete.errors import ConfigError, DataError
from compete.runner import run_competition

FAST = ("training.epochs=1",)


def run(tiny: Path, *overrides: str, **options: object):
    return run_competition(load_config(tiny / "tiny.toml", [*FAST, *overrides]), **options)


def edit(path: Path, **columns: object) -> None:
    table = pd.read_csv(path, dtype=str, keep_default_na=False).assign(**columns)
    table.to_csv(path, index=False)


def test_a_run_leaves_everything_it_promises(tiny):
    folder = run(tiny).folder
    for name in ("submission.csv", "oof.parquet", "test.parquet", "scores.json", "folds.csv", "config.toml",
                 "environment.json", "log.jsonl", "members/fold0-seed42/weights.safetensors"):  # fmt: skip
        assert (folder / name).stat().st_size > 0, name
    scores = json.loads((folder / "scores.json").read_text())
    assert set(scores["cv"]["folds"]) == {"fold0-seed42", "fold1-seed42", "fold2-seed42"}
    oof = pd.read_parquet(folder / "oof.parquet")
    assert list(oof.columns) == ["id", "fold", "answer", "a", "b", "c"]
    assert len(oof) == 24 and np.allclose(oof[["a", "b", "c"]].sum(axis=1), 1, atol=1e-5)


def test_the_oof_score_is_scikit_learn_s_on_the_oof_file(tiny):
    from sklearn.metrics import f1_score

    done = run(tiny, "training.epochs=3")
    oof = pd.read_parquet(done.folder / "oof.parquet")
    expected = f1_score(oof["answer"], oof[["a", "b", "c"]].to_numpy().argmax(axis=1), average="macro")
    assert done.scores["cv"]["oof"] == pytest.approx(expected)


def test_predictions_are_matched_by_id_whatever_the_order_of_the_sample(tiny):
    first = run(tiny, "model.name=oracle")
    before = pd.read_csv(first.folder / "submission.csv")
    sample = pd.read_csv(tiny / "data/sample.csv", dtype=str, keep_default_na=False)
    sample.iloc[::-1].to_csv(tiny / "data/sample.csv", index=False)
    after = pd.read_csv(run(tiny, "model.name=oracle", name="other").folder / "submission.csv")
    assert after["id"].tolist() == before["id"].tolist()[::-1]
    answers = {f"t{number}": "abc"[number % 3] for number in range(7)}
    assert dict(zip(after["id"], after["label"], strict=True)) == answers
    assert dict(zip(before["id"], before["label"], strict=True)) == answers


def test_a_second_run_of_the_same_toml_is_the_same_run(tiny):
    first = run(tiny)
    written = (first.folder / "members/fold0-seed42/weights.safetensors").stat().st_mtime_ns
    second = run(tiny)
    assert second.folder == first.folder
    assert (second.folder / "members/fold0-seed42/weights.safetensors").stat().st_mtime_ns == written


def test_fresh_starts_a_new_folder_and_overwrites_nothing(tiny):
    first, second = run(tiny), run(tiny, fresh=True)
    assert (first.folder.name, second.folder.name) == ("run-001", "run-002")
    assert not second.notes


def test_a_changed_toml_says_what_changed_and_takes_over_what_holds(tiny):
    run(tiny)
    second = run(tiny, 'tta=[{name="flips"}]')
    assert second.folder.name == "run-002"
    assert any("changed since run-001: tta" in note for note in second.notes)
    assert any("taken over from run-001" in note and "fold0-seed42" in note for note in second.notes)
    third = run(tiny, "optimizer.lr=0.01")
    assert not any("taken over" in note for note in third.notes)
    assert any("optimizer.lr: 0.05 -> 0.01" in note for note in third.notes)


def test_a_changed_plugin_file_trains_anew(tiny):
    run(tiny)
    with (tiny / "tiny_plugin.py").open("a") as file:
        file.write("\n# changed\n")
    second = run(tiny)
    assert second.folder.name == "run-002" and not any("taken over" in note for note in second.notes)


def test_changed_data_trains_anew_and_says_so(tiny):
    run(tiny)
    labels = pd.read_csv(tiny / "data/train.csv")["label"].to_numpy()
    edit(tiny / "data/train.csv", label=np.roll(labels, 2))
    second = run(tiny)
    assert second.folder.name == "run-002"
    assert any("the data has changed" in note for note in second.notes)


def test_a_named_run_of_another_configuration_is_refused(tiny):
    run(tiny, name="mine")
    with pytest.raises(ConfigError, match=r"(?s)--name mine: .*another configuration.*optimizer.lr: 0.05 -> 0.01"):
        run(tiny, "optimizer.lr=0.01", name="mine")


def test_the_resolved_toml_of_a_run_repeats_it(tiny):
    first = run(tiny)
    config = load_config(first.folder / "config.toml")
    second = run_competition(config, fresh=True)
    assert (second.folder / "submission.csv").read_bytes() == (first.folder / "submission.csv").read_bytes()


def test_folds_are_shared_by_the_runs_of_a_competition(tiny):
    first, second = run(tiny), run(tiny, "optimizer.lr=0.01")
    assert (first.folder / "folds.csv").read_bytes() == (second.folder / "folds.csv").read_bytes()
    assert len(list((tiny / "submissions/tiny/folds").iterdir())) == 1


def test_a_group_in_two_folds_stops_the_run(tiny):
    with pytest.raises(DataError, match=r"groups are in more than one fold \(p\d\d in .*stratified_group"):
        run(tiny, "folds.name=kfold")
    assert not list((tiny / "submissions/tiny").glob("run-*/members"))


def test_a_class_missing_from_a_fold_stops_the_run_or_warns(tiny):
    labels = ["c"] * 2 + ["a", "b"] * 11
    edit(tiny / "data/train.csv", label=labels, group=[f"g{n // 2}" for n in range(24)])
    with pytest.raises(DataError, match=r"fold \d has no validation row of class c"):
        run(tiny)
    done = run(tiny, "checks.missing_class=warn")
    assert any("of class c" in warning for warning in done.warnings)


def test_sample_ids_without_a_test_row_stop_the_run(tiny):
    config = load_config(tiny / "tiny.toml", FAST)
    plugin = tiny / "tiny_plugin.py"
    plugin.write_text(plugin.read_text().replace('{"id": sample["id"]', '{"id": "x" + sample["id"]'))
    config = load_config(tiny / "tiny.toml", FAST)
    with pytest.raises(DataError, match=r"7 of 7 ids of the sample submission are not in the test table: t0, .*'xt0'"):
        run_competition(config)


def test_an_unreadable_picture_stops_the_run_with_its_path(tiny):
    picture = tiny / "data/train/p03_1.png"
    picture.write_bytes(picture.read_bytes()[:60])
    for cache in ("true", "false"):
        with pytest.raises(DataError, match=r"train/p03_1.png"):
            run(tiny, f"images.cache={cache}", fresh=True)


def test_unreadable_pictures_are_skipped_and_counted_when_the_toml_says_so(tiny):
    (tiny / "data/train/p03_1.png").write_bytes(b"no picture")
    (tiny / "data/test/t2.png").write_bytes(b"no picture")
    done = run(tiny, "images.unreadable=skip")
    assert any("1 train pictures cannot be read" in warning for warning in done.warnings)
    assert any("1 test rows have no readable picture" in warning for warning in done.warnings)
    assert len(pd.read_csv(done.folder / "submission.csv")) == 7
    oof = pd.read_parquet(done.folder / "oof.parquet").set_index("id")
    assert oof.loc["p03_1", ["a", "b", "c"]].isna().all() and oof.isna().any(axis=1).sum() == 1


def test_seeds_and_chosen_folds_make_the_members(tiny):
    done = run(tiny, "training.seeds=2", "training.only_folds=[0, 2]")
    assert sorted(done.scores["cv"]["folds"]) == ["fold0-seed42", "fold0-seed43", "fold2-seed42", "fold2-seed43"]
    with pytest.raises(ConfigError, match=r"only_folds = \[9\]: the folds are \[0, 1, 2\]"):
        run(tiny, "training.only_folds=[9]")


def test_post_processing_is_scored_on_folds_it_was_not_fitted_on(tiny):
    done = run(tiny, 'postprocess=[{name="floor", low=0.01}]')
    assert done.scores["cv"]["oof_postprocessed"] is not None


def test_a_plugin_that_raises_in_an_event_is_named(tiny):
    from compete.errors import PluginFault

    with (tiny / "tiny_plugin.py").open("a") as file:
        file.write("\n@hookimpl\ndef on_epoch_end(epoch):\n    raise KeyError('lost')\n")
    with pytest.raises(
        PluginFault, match=r"hook on_epoch_end: a plugin raised KeyError\('lost'\) at .*tiny_plugin.py:\d+"
    ):
        run(tiny)
    log = (tiny / "submissions/tiny/run-001/log.jsonl").read_text()
    assert '"event": "run_error"' in log
