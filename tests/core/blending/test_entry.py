"""`[[variants]]` and several TOMLs: one command, shared folds, one blended entry."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest

import compete
from compete.blending import together
from compete.cli import run as run_command
from compete.config.load import load_config
from compete.errors import CompeteError, ConfigError
from compete.scores import read_scores

CLASSES = ["a", "b", "c"]
VARIANTS = """
[[variants]]
name = "plain"

[[variants]]
name = "large"
images.size = [12, 12]
model.dropout = 0.2
training.epochs = 1

[[variants]]
name = "seven"
training.seed = 7
"""


@pytest.fixture
def several(tiny):
    path = tiny / "several.toml"
    path.write_text((tiny / "tiny.toml").read_text().replace("epochs = 2", "epochs = 1") + VARIANTS)
    return path


def predictions(folder) -> pd.DataFrame:
    return pd.read_parquet(folder / "test.parquet").set_index("id")[CLASSES]


def test_variants_share_folds_and_are_blended_into_one_entry(several, capsys):
    done = compete.run(several)
    parent = done.folder
    variants = [parent.with_name(f"run-001-{name}") for name in ("plain", "large", "seven")]
    folds = [(folder / "folds.csv").read_bytes() for folder in (*variants, parent)]
    assert parent.name == "run-001" and len(set(folds)) == 1
    np.testing.assert_allclose(done.test[CLASSES], sum(map(predictions, variants)) / 3, atol=1e-6)
    assert [each.name for each in done.scores.blend.inputs] == [folder.name for folder in variants]
    assert {facts.name for facts in done.scores.blend.methods} >= {"mean", "stacking"}
    assert "variant large, 2 of 3" in capsys.readouterr().out
    assert load_config(variants[1] / "config.toml").images.size == (12, 12)
    assert not done.scores.warnings or not any("other folds" in warning for warning in done.scores.warnings)


def test_the_same_command_resumes_and_the_resolved_toml_repeats_the_entry(several, monkeypatch):
    calls = []
    original = together.run_competition

    def stops(config, name, *rest):
        calls.append(name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(config, name, *rest)

    monkeypatch.setattr(together, "run_competition", stops)
    with pytest.raises(KeyboardInterrupt):
        compete.run(several)
    monkeypatch.setattr(together, "run_competition", original)
    done = compete.run(several)
    before = (done.folder / "submission.csv").read_bytes()
    assert done.folder.name == "run-001"
    again = compete.run(done.folder / "config.toml")
    assert again.folder == done.folder and (again.folder / "submission.csv").read_bytes() == before
    names = sorted(path.name for path in done.folder.parent.glob("run-*"))
    assert names == ["run-001", "run-001-large", "run-001-plain", "run-001-seven"]


def test_a_run_that_is_there_already_is_reused_by_its_variant(several, tiny, capsys):
    compete.run(tiny / "tiny.toml", ["training.epochs=1"])
    compete.run(several)
    assert "reused from run-001, same data and training: fold0-seed42" in capsys.readouterr().out


def test_the_ensemble_blends_the_variants_and_not_their_members(several):
    done = compete.run(several, ["ensemble.name=stacking", "training.epochs=1"])
    assert done.scores.ensemble == "stacking"
    assert read_scores(done.folder.with_name("run-001-plain")).ensemble == "mean"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('[[variants]]\nname = "a"\n', r"\[\[variants\]\]: only one"),
        ('[[variants]]\nmodel.dropout = 0.1\n[[variants]]\nname = "b"\n', r"\[\[variants\]\] name: is required"),
        ('[[variants]]\nname = "a"\n[[variants]]\nname = "a"\n', "another variant has this name"),
        ('[[variants]]\nname = "a"\n[[variants]]\nname = "../b"\n', r'name = "\.\./b": cannot name a folder: letters'),
        ('[[variants]]\nname = "a"\n[[variants]]\nname = "b"\nmetric.name = "accuracy"\n', "the same for all variants"),
        ('[[variants]]\nname = "a"\n[[variants]]\nname = "b"\nmodell.name = "x"\n', "Did you mean 'model'"),
        ('[[variants]]\nname = "a"\n[[variants]]\nname = "b"\nepochs = 3\n', "unknown table 'epochs'"),
        ('[[variants]]\nname = "a"\n[[variants]]\nname = "b"\nmodel = "x"\n', "must be keys of a table"),
        (
            '[[variants]]\nname = "a"\n[[variants]]\nname = "b"\nmodel.name = "brightnes"\ntraining.epochs = 0\n',
            r'name = "b": model.name="brightnes": \[model\] .*Did you mean .brightness',
        ),
        ('variants = "x"\n', "must be tables"),
    ],
)
def test_wrong_variants_are_named_at_once(tiny, table, message):
    path = tiny / "wrong.toml"
    path.write_text(
        table + (tiny / "tiny.toml").read_text() if table[0] == "v" else (tiny / "tiny.toml").read_text() + table
    )
    with pytest.raises(ConfigError, match=message):
        load_config(path)


def test_every_problem_of_every_variant_is_told(tiny):
    path = tiny / "wrong.toml"
    tables = '[[variants]]\nname = "a"\nmodel.dropout = 1.5\n[[variants]]\nname = "b"\ntraining.epochs = 0\nimages.sise = 3\n'
    path.write_text((tiny / "tiny.toml").read_text() + tables)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    text = "\n".join(caught.value.problems)
    assert "training.epochs=0" in text and "images.sise=3" in text


def test_several_tomls_are_run_and_blended(tiny, capsys):
    shutil.copy(tiny / "tiny.toml", tiny / "other.toml")
    (tiny / "other.toml").write_text((tiny / "tiny.toml").read_text().replace("lr = 0.05", "lr = 0.02"))
    run_command([tiny / "tiny.toml", tiny / "other.toml"], ["training.epochs=1"], None, False, False)
    names = sorted(path.name for path in (tiny / "submissions/tiny").glob("run-*"))
    assert names == ["run-001", "run-002", "run-003"]
    assert [each.name for each in read_scores(tiny / "submissions/tiny/run-003").blend.inputs] == ["run-001", "run-002"]
    (tiny / "other.toml").write_text(
        (tiny / "tiny.toml").read_text().replace('name = "tiny"\nroot', 'name = "else"\nroot')
    )
    with pytest.raises(ConfigError, match="several competitions cannot be blended: else, tiny"):
        run_command([tiny / "tiny.toml", tiny / "other.toml"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("", r"other\.toml.*tiny\.toml: the same run more than once"),
        ("[inference]\nkeep_top = 2\n", r"keep_top: .*tiny\.toml keeps every probability and others the best classes"),
    ],
)
def test_several_tomls_that_cannot_be_blended_are_refused_before_training(tiny, monkeypatch, more, message):
    monkeypatch.setattr(together, "run_competition", lambda *_: pytest.fail("a run was trained"))
    (tiny / "other.toml").write_text((tiny / "tiny.toml").read_text() + more)
    with pytest.raises(ConfigError, match=message):
        run_command([tiny / "tiny.toml", tiny / "other.toml"])


def test_more_seeds_can_keep_the_folds(tiny):
    one = compete.run(tiny / "tiny.toml", ["training.epochs=1"])
    two = compete.run(tiny / "tiny.toml", ["training.epochs=1", "training.seed=9", "training.fold_seed=42"])
    assert (one.folder / "folds.csv").read_bytes() == (two.folder / "folds.csv").read_bytes()
    assert set(two.scores.members) == {"fold0-seed9", "fold1-seed9", "fold2-seed9"}


def test_a_blend_predicts_other_images_as_it_did_its_test_images(several, tiny):
    settings = ["ensemble.name=stacking", 'postprocess=[{name="prior"}]', 'tta=[{name="flips"}]']
    done = compete.run(several, settings)
    found = compete.load_run(done.folder).predict("data/test")
    expected = done.test.loc[found.index]
    np.testing.assert_allclose(found[CLASSES], expected[CLASSES], atol=1e-6)
    submitted = done.submission.set_index("id")["label"]
    assert found["label"].tolist() == submitted.loc[found.index].tolist()


def test_a_blend_that_lost_its_runs_says_so(several, tiny):
    done = compete.run(several)
    expected = done.test
    elsewhere = tiny / "elsewhere"
    for folder in done.folder.parent.glob("run-*"):
        shutil.move(folder, elsewhere / folder.name)
    moved = compete.load_run(elsewhere / "run-001")
    np.testing.assert_allclose(moved.predict("data/test")[CLASSES], expected[CLASSES], atol=1e-6)
    shutil.rmtree(elsewhere / "run-001-large")
    with pytest.raises(CompeteError, match=r"blends runs that are missing: .*run-001-large\. Copy their folders"):
        compete.load_run(elsewhere / "run-001").predict("data/test")


def test_a_blend_with_a_foreign_file_cannot_predict(several, tiny):
    run = compete.run(tiny / "tiny.toml", ["training.epochs=1"])
    files = [str(run.folder / "oof.parquet"), str(run.folder / "test.parquet")]
    done = compete.blend([run], "mean", files={"team": files})
    with pytest.raises(CompeteError, match="team are files of predictions"):
        done.predict("data/test")


def test_a_blend_of_other_data_leaves_that_of_the_first_alone(several, tiny):
    first = compete.run(several)
    before, parts = (first.folder / "oof.parquet").read_bytes(), [each.name for each in first.scores.blend.inputs]
    table = pd.read_csv(tiny / "data/train.csv", dtype=str)
    table[table["group"] > "p02"].to_csv(tiny / "data/train.csv", index=False)
    second = compete.run(several)
    assert second.folder != first.folder and (first.folder / "oof.parquet").read_bytes() == before
    assert len(second.oof) < len(pd.read_parquet(first.folder / "oof.parquet"))
    assert [each.name for each in compete.load_run(first.folder).scores.blend.inputs] == parts
    own = [each.name for each in second.scores.blend.inputs]
    assert not set(own) & set(parts)
    assert [second.folder.name, *own] == ["run-002", "run-002-plain", "run-002-large", "run-002-seven"]
    given = second.predict(tiny / "data/test").sort_index()[CLASSES]  # by its own runs, not those beside the first
    pd.testing.assert_frame_equal(given, second.test.sort_index()[CLASSES], check_exact=True)
    assert compete.run(several).folder == second.folder


def test_variants_that_a_removed_entry_left_do_not_stop_the_next(several):
    left = compete.run(several).folder
    shutil.rmtree(left)
    assert compete.run(several, ["training.batch_size=6"]).folder.name == "run-002"


def test_a_variant_whose_folder_another_run_has_goes_to_another(several, capsys):
    done = compete.run(several)
    (done.folder.with_name("run-001-plain") / "run.json").write_text("{")
    again = compete.run(several)
    assert [each.name for each in again.scores.blend.inputs] == ["run-002", "run-001-large", "run-001-seven"]
    assert "run-001-plain holds a run of another configuration, which is kept" in capsys.readouterr().out


def test_variants_with_the_same_settings_are_refused(tiny):
    path = tiny / "wrong.toml"
    text = '[[variants]]\nname = "a"\n[[variants]]\nname = "b"\ntraining.epochs = 2\n'  # as the TOML has it
    path.write_text((tiny / "tiny.toml").read_text() + text)
    with pytest.raises(ConfigError, match=r'name = "b": has the settings of "a"\. Change or remove it'):
        load_config(path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("inference.keep_top = 2", ""), r'keep_top: \[\[variants\]\] name = "a" keeps every'),
        (("training.only_folds = [0]", "training.only_folds = [1]"), "only_folds: no fold is validated by all of"),
    ],
)
def test_variants_that_cannot_be_blended_are_refused_before_training(tiny, settings, message):
    path, (second, first) = tiny / "wrong.toml", settings
    text = f'[[variants]]\nname = "a"\n{first}\n[[variants]]\nname = "b"\n{second}\n'
    path.write_text((tiny / "tiny.toml").read_text() + text)
    with pytest.raises(ConfigError, match=message):
        compete.run(path)
    assert not list(tiny.glob("submissions/tiny/run-*"))


def test_a_blend_of_a_blended_entry_is_repeated_by_its_own_toml(several):
    first = compete.run(several)
    done = compete.blend([first, compete.load_run(first.folder.with_name("run-001-large"))])
    assert compete.run(done.folder / "config.toml").folder == done.folder
    assert not load_config(done.folder / "config.toml").variants


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ('finetune.freeze = ["nope"]', r'name = "b": \[finetune\] freeze: "nope": matches no module'),
        ("images.channels = 1", r'name = "b": .*images tried cannot be read'),
        ('ensemble.name = "stacking"', r'name = "b": .*stacking. needs rows that every member predicted'),
        ("training.only_folds = [8]", r'name = "b": \[training\] only_folds = \[8\]: the folds are'),
    ],
)
def test_what_stops_the_last_variant_stops_the_first(tiny, monkeypatch, setting, message):
    monkeypatch.setattr(together, "run_competition", lambda *_: pytest.fail("a variant was trained"))
    path = tiny / "wrong.toml"
    text = f'[[variants]]\nname = "a"\n[[variants]]\nname = "b"\n{setting}\n'
    path.write_text((tiny / "tiny.toml").read_text() + text)
    with pytest.raises(ConfigError, match=message):
        compete.run(path)


def test_variants_that_keep_the_best_classes_are_blended(tiny, capsys, monkeypatch):
    path = tiny / "best.toml"
    settings = '[inference]\nkeep_top = 2\n\n[ensemble]\nname = "mean"\n'
    variants = VARIANTS.replace("images.size", "inference.keep_top = 1\nimages.size")
    path.write_text((tiny / "tiny.toml").read_text().replace("epochs = 2", "epochs = 1") + settings + variants)
    done = compete.run(path)
    assert "a class that a run did not keep counts 0 there" in capsys.readouterr().out
    folders = [done.folder.with_name(f"run-001-{name}") for name in ("plain", "large", "seven")]
    mean = sum(map(kept, folders)) / 3
    found = kept(done.folder)
    two = np.sort(mean.to_numpy(), axis=1)[:, 1:]  # the best two classes of a row stay
    np.testing.assert_allclose(np.sort(found.to_numpy(), axis=1)[:, 1:], two, atol=1e-6)
    assert done.submission["label"].tolist() == mean.idxmax(axis=1).tolist()
    assert [each.name for each in done.scores.blend.inputs] == [folder.name for folder in folders]
    methods = {each.name: each for each in done.scores.blend.methods}
    assert methods["mean"].score is not None and "needs every probability" in methods["stacking"].problem
    again = compete.load_run(done.folder).predict("data/test")
    pd.testing.assert_frame_equal(again[["top1", "p1"]], done.test[["top1", "p1"]], check_exact=False, atol=1e-5)
    path.write_text(path.read_text().replace('name = "mean"', 'name = "weighted"'))
    monkeypatch.setattr(together, "run_competition", lambda *_: pytest.fail("a run was trained"))
    with pytest.raises(ConfigError, match=r'keep_top: \[ensemble\] name = "weighted" does not work row'):
        compete.run(path)


def kept(folder) -> pd.DataFrame:
    """Test predictions of the best classes as a column per class, 0 for the others."""
    table = pd.read_parquet(folder / "test.parquet").set_index("id")
    wide = pd.DataFrame(0.0, table.index, CLASSES)
    for rank in range(1, 1 + sum(name.startswith("top") for name in table)):
        for row, name in table[f"top{rank}"].items():
            wide.loc[row, name] = table.loc[row, f"p{rank}"]
    return wide
