"""A whole run, and what stops it before training."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from compete.api.result import Result
from compete.config.load import load_config
from compete.errors import CompeteError, ConfigError, DataError, PluginRuntimeError, UserError
from compete.identity import read_sources
from compete.scores import read_scores
from compete.stages import predictions
from compete.stages.run_folder import choose_folder, claim_folder
from compete.stages.runner import run_competition

FAST = ("training.epochs=1",)


def run(tiny: Path, *overrides: str, **options: object):
    return Result.of(run_competition(load_config(tiny / "tiny.toml", [*FAST, *overrides]), **options))


def open_run(tiny: Path, *overrides: str):
    return run_competition(load_config(tiny / "tiny.toml", [*FAST, *overrides]))


def edit(path: Path, **columns: object) -> None:
    table = pd.read_csv(path, dtype=str, keep_default_na=False).assign(**columns)
    table.to_csv(path, index=False)


def test_a_run_leaves_everything_it_promises(tiny):
    folder = run(tiny).folder
    for name in ("submission.csv", "oof.parquet", "test.parquet", "scores.json", "folds.csv", "config.toml",
                 "environment.json", "log.jsonl", "members/fold0-seed42/weights.safetensors"):  # fmt: skip
        assert (folder / name).stat().st_size > 0, name
    assert set(read_scores(folder).cv.folds) == {"fold0-seed42", "fold1-seed42", "fold2-seed42"}
    oof = pd.read_parquet(folder / "oof.parquet")
    assert list(oof.columns) == ["id", "fold", "label", "a", "b", "c"]
    assert len(oof) == 24 and np.allclose(oof[["a", "b", "c"]].sum(axis=1), 1, atol=1e-5)


def test_the_oof_score_is_scikit_learn_s_on_the_oof_file(tiny):
    from sklearn.metrics import f1_score

    done = run(tiny, "training.epochs=3")
    oof = pd.read_parquet(done.folder / "oof.parquet")
    expected = f1_score(oof["label"], oof[["a", "b", "c"]].to_numpy().argmax(axis=1), average="macro")
    assert read_scores(done.folder).cv.oof == pytest.approx(expected)


def test_predictions_are_matched_by_id_whatever_the_order_of_the_sample(tiny):
    first = run(tiny, "model.name=oracle")
    before = pd.read_csv(first.folder / "submission.csv")
    sample = pd.read_csv(tiny / "data/sample.csv", dtype=str, keep_default_na=False)
    sample.iloc[::-1].to_csv(tiny / "data/sample.csv", index=False)
    after = pd.read_csv(run(tiny, "model.name=oracle", name="other").folder / "submission.csv")
    assert after["id"].tolist() == before["id"].tolist()[::-1]
    labels = {f"t{number}": "abc"[number % 3] for number in range(7)}
    assert dict(zip(after["id"], after["label"], strict=True)) == labels
    assert dict(zip(before["id"], before["label"], strict=True)) == labels


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


def test_a_changed_toml_says_what_changed_and_reuses_what_is_valid(tiny):
    run(tiny)
    second = run(tiny, 'tta=[{name="flips"}]')
    assert second.folder.name == "run-002"
    assert any("changed since run-001: tta" in note for note in second.notes)
    assert any("reused from run-001" in note and "fold0-seed42" in note for note in second.notes)
    third = run(tiny, "optimizer.lr=0.01")
    assert not any("reused" in note for note in third.notes)
    assert any("optimizer.lr: 0.05 -> 0.01" in note for note in third.notes)


def test_a_changed_plugin_file_trains_anew(tiny):
    run(tiny)
    with (tiny / "tiny_plugin.py").open("a") as file:
        file.write("\n# changed\n")
    second = run(tiny)
    assert second.folder.name == "run-002" and not any("reused" in note for note in second.notes)


def test_changed_data_trains_anew_and_says_so(tiny):
    run(tiny)
    labels = pd.read_csv(tiny / "data/train.csv")["label"].to_numpy()
    edit(tiny / "data/train.csv", label=np.roll(labels, 2))
    second = run(tiny)
    assert second.folder.name == "run-002"
    assert any("the data has changed" in note for note in second.notes)


def test_renamed_test_rows_are_predicted_anew(tiny):
    run(tiny)
    paths = [f"test/{name}.png" for name in pd.read_csv(tiny / "data/sample.csv", dtype=str)["id"]]
    plugin = tiny / "tiny_plugin.py"
    source = plugin.read_text()
    changed = source.replace('"test/" + sample["id"] + ".png"', repr(paths))
    assert changed != source
    plugin.write_text(changed)
    run(tiny)
    edit(tiny / "data/sample.csv", id=[f"new{number}" for number in range(len(paths))])
    done = run(tiny)
    assert not any("no readable image" in warning for warning in done.warnings)
    assert pd.read_csv(done.folder / "submission.csv")["id"].str.startswith("new").all()


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


def test_a_changed_network_file_trains_anew(tiny):
    (tiny / "net.py").write_text(
        "from torch import nn\n\n\ndef net(outputs, channels):\n"
        "    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, outputs))\n"
    )
    model = 'model={name="file", path="net.py", factory="net"}'
    first = run(tiny, model)
    assert run(tiny, model).folder == first.folder
    (tiny / "net.py").write_text((tiny / "net.py").read_text().replace("AdaptiveAvgPool2d", "AdaptiveMaxPool2d"))
    second = run(tiny, model)
    assert second.folder.name == "run-002" and "changed since run-001: file net.py" in second.notes
    assert not any("reused" in note for note in second.notes)


def test_a_changed_column_of_the_split_gives_other_folds(tiny):
    given = [number % 3 for number in range(24)]
    edit(tiny / "data/train.csv", part=given)
    options = ('folds={name="fixed", column="part"}', "checks.missing_class=warn")
    drop = ("dataset.group=false",)
    assert run(tiny, *options, *drop).oof["fold"].tolist() == given
    edit(tiny / "data/train.csv", part=given[::-1])
    assert run(tiny, *options, *drop).oof["fold"].tolist() == given[::-1]


def test_a_changed_fixed_transform_of_a_plugin_decodes_anew(tiny):
    plugin = tiny / "tiny_plugin.py"
    plugin.write_text(
        plugin.read_text() + "\n\ndef dark():\n    return Transform(fixed=lambda image: image * 0 + 10)\n"
        "\n\n@hookimpl\ndef register_transforms():\n    return {'dark': dark}\n"
    )
    plugin.write_text(plugin.read_text().replace("import DataError,", "import DataError, Transform,"))
    assert (np.asarray(open_run(tiny, 'transforms=[{name="dark"}]').images.train.images[0]) == 10).all()
    plugin.write_text(plugin.read_text().replace("+ 10", "+ 99"))
    assert (np.asarray(open_run(tiny, 'transforms=[{name="dark"}]').images.train.images[0]) == 99).all()


def test_a_transform_that_changes_the_size_stops_the_run_before_all_is_decoded(tiny):
    crop = 'transforms=[{name="albumentations", random=[{name="RandomResizedCrop", size=[4, 4]}]}]'
    with pytest.raises(
        DataError, match=r"an image of shape \(8, 8, 3\) became \(4, 4, 3\)\. Random transforms must keep"
    ):
        run(tiny, crop)
    assert not list(tiny.glob(".compete/cache/*.npy"))


def test_pages_and_screens_use_the_titles_of_classes(tiny):
    done = run(tiny, 'competition.titles={a="dark", c="bright"}')
    scores = read_scores(done.folder)
    assert scores.classes == ("a", "b", "c") and scores.titles == ("dark", "b", "bright")
    assert {row.name for row in scores.per_class} == set(scores.train_shares) == {"dark", "b", "bright"}
    assert set(scores.submission.label_shares) <= {"dark", "b", "bright"}
    assert set(pd.read_csv(done.folder / "submission.csv")["label"]) <= {"a", "b", "c"}
    for titles, message in (('{d="x"}', "titles.d: unknown class"), ('{a="b"}', "several classes .* 'b'")):
        with pytest.raises(ConfigError, match=message):
            run(tiny, f"competition.titles={titles}")


def test_a_run_that_wrong_input_stops_takes_no_number(tiny):
    for overrides in (["folds.name=kfold"], ["training.only_folds=[7]"], ["competition.root=nowhere"]):
        with pytest.raises(UserError):
            run(tiny, *overrides)
    assert not list((tiny / "submissions/tiny").glob("run-*"))
    first = run(tiny)
    assert first.folder.name == "run-001" and not first.notes
    with pytest.raises(UserError):
        run(tiny, "folds.name=kfold", name="mine")
    assert run(tiny, "optimizer.lr=0.01").notes[0].startswith("changed since run-001")


def test_what_overrides_left_out_is_said(tiny):
    toml = tiny / "tiny.toml"
    toml.write_text(toml.read_text().replace('name = "brightness"', 'name = "brightness"\ndropout = 0.1'))
    done = run(tiny, "model.name=oracle")
    assert "[model] dropout left out: oracle has no such option" in done.notes


def test_the_next_command_keeps_the_overrides(tiny):
    done = run(tiny, "training.epochs=1", "optimizer.lr=0.01", 'tta=[{name="flips"}]')
    assert read_scores(done.folder).next[-1] == (
        f"compete run {tiny / 'tiny.toml'} --set optimizer.lr=0.01 --set 'tta=[{{name=\"flips\"}}]' --set training.epochs=2"
    )


def test_one_member_has_no_spread(tiny):
    assert read_scores(run(tiny, "training.only_folds=[0]").folder).cv.std is None


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


def test_an_unreadable_image_stops_the_run_with_its_path(tiny):
    image = tiny / "data/train/p03_1.png"
    image.write_bytes(image.read_bytes()[:60])
    for cache in ("true", "false"):
        with pytest.raises(DataError, match=r"train/p03_1.png"):
            run(tiny, f"images.cache={cache}", fresh=True)


def test_unreadable_images_of_both_tables_are_reported_at_once(tiny):
    (tiny / "data/train/p03_1.png").write_bytes(b"no image")
    (tiny / "data/test/t2.png").write_bytes(b"no image")
    with pytest.raises(DataError) as caught:
        run(tiny)
    assert [problem.split("\n")[1].split(":")[0].strip() for problem in caught.value.problems] == [
        "train/p03_1.png", "test/t2.png",
    ]  # fmt: skip


def test_unreadable_images_are_skipped_and_counted_when_the_toml_says_so(tiny):
    (tiny / "data/train/p03_1.png").write_bytes(b"no image")
    (tiny / "data/test/t2.png").write_bytes(b"no image")
    done = run(tiny, "images.unreadable=skip")
    assert any(
        "1 unreadable train image left out; 1 row without a readable image" in warning for warning in done.warnings
    )
    assert any("1 test row has no readable image" in warning for warning in done.warnings)
    assert len(pd.read_csv(done.folder / "submission.csv")) == 7
    oof = pd.read_parquet(done.folder / "oof.parquet").set_index("id")
    assert oof.loc["p03_1", ["a", "b", "c"]].isna().all() and oof.isna().any(axis=1).sum() == 1


def test_seeds_and_chosen_folds_make_the_members(tiny):
    done = run(tiny, "training.seeds=2", "training.only_folds=[0, 2]")
    assert sorted(read_scores(done.folder).cv.folds) == ["fold0-seed42", "fold0-seed43", "fold2-seed42", "fold2-seed43"]
    with pytest.raises(ConfigError, match=r"only_folds = \[9\]: the folds are \[0, 1, 2\]"):
        run(tiny, "training.only_folds=[9]")


def test_post_processing_is_scored_on_folds_it_was_not_fitted_on(tiny):
    done = run(tiny, 'postprocess=[{name="floor", low=0.01}]')
    assert read_scores(done.folder).cv.oof_postprocessed is not None


def test_a_plugin_that_raises_in_an_event_is_named(tiny):
    from compete.errors import PluginRuntimeError

    with (tiny / "tiny_plugin.py").open("a") as file:
        file.write("\n@hookimpl\ndef on_epoch_end(epoch):\n    raise KeyError('lost')\n")
    with pytest.raises(
        PluginRuntimeError, match=r"hook on_epoch_end: a plugin raised KeyError\('lost'\) at .*tiny_plugin.py:\d+"
    ):
        run(tiny)
    log = (tiny / "submissions/tiny/run-001/log.jsonl").read_text()
    assert '"event": "run_error"' in log


def test_the_best_classes_alone_give_the_same_submission(tiny):
    whole = run(tiny, "training.seeds=2")
    best = run(tiny, "training.seeds=2", "inference.keep_top=3", name="best")
    assert (best.folder / "submission.csv").read_bytes() == (whole.folder / "submission.csv").read_bytes()
    few, all_classes = read_scores(best.folder), read_scores(whole.folder)
    assert few.cv == all_classes.cv and few.per_class == all_classes.per_class
    oof = pd.read_parquet(best.folder / "oof.parquet")
    assert list(oof.columns) == ["id", "fold", "label", "top1", "p1", "top2", "p2", "top3", "p3"]


def test_a_row_without_a_image_keeps_the_width_of_the_best_classes(tiny, monkeypatch):
    monkeypatch.setattr("compete.predict.top_k.ROWS_AT_ONCE", 1)
    (tiny / "data/train/p03_1.png").write_bytes(b"no image")
    (tiny / "data/test/t6.png").write_bytes(b"no image")
    done = run(tiny, "images.unreadable=skip", "inference.keep_top=2")
    assert any("1 test row has no readable image" in warning for warning in done.warnings)
    assert len(pd.read_csv(done.folder / "submission.csv")) == 7


def test_only_the_mean_joins_the_best_classes(tiny):
    for name in ("geometric_mean", "hard_vote"):
        with pytest.raises(ConfigError, match="does not work row by row"):
            run(tiny, "inference.keep_top=2", f"ensemble.name={name}")


def test_what_needs_every_probability_is_refused_with_the_best_classes_only(tiny):
    with pytest.raises(ConfigError) as raised:
        run(
            tiny, "inference.keep_top=2", "metric.name=log_loss", "ensemble.name=rank_mean", "submission.name=long",
            'postprocess=[{name="floor", low=0.1}]',
        )  # fmt: skip
    text = "\n".join(raised.value.problems)
    for problem in (
        '[metric] name = "log_loss" needs every probability', '[ensemble] name = "rank_mean" does not work row by row',
        "[[postprocess]] is fitted on every probability",
    ):  # fmt: skip
        assert f"[inference] keep_top = 2: {problem}" in text


def test_predictions_that_no_memory_holds_are_refused_before_training(tiny, monkeypatch):
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(total=1000))
    with pytest.raises(ConfigError, match=r"93 rows of 3 classes, take about .* Set keep_top = 20"):
        run(tiny)


def test_columns_reach_the_network_in_training_and_in_prediction(tiny):
    """The images say nothing here: only the column can."""
    plugin = (tiny / "tiny_plugin.py").read_text().replace(
        "return Tables(train if", 'train["image"] = "test/t0.png"\n    train["height"] = train["label"].map({"a": "1", "b": "2", "c": "3"})\n'
        '    test["height"] = [str(number % 3 + 1) for number in range(len(test))]\n    return Tables(train if',
    )  # fmt: skip
    (tiny / "tiny_plugin.py").write_text(plugin)
    done = run(tiny, 'columns.categorical=["height"]', "training.epochs=20", "finetune.backbone_lr_ratio=0.1")
    assert read_scores(done.folder).cv.oof > 0.95
    labels = pd.read_csv(done.folder / "submission.csv", dtype=str)["label"].tolist()
    assert labels == ["abc"[number % 3] for number in range(7)]
    blind = run(tiny, "training.epochs=20", name="blind")
    assert read_scores(blind.folder).cv.oof < 0.5


def test_columns_cannot_be_mixed(tiny):
    with pytest.raises(ConfigError, match=r"\[columns\] and \[\[batch_transforms\]\] exclude each other"):
        run(tiny, 'columns.categorical=["group"]', 'batch_transforms=[{name="mixup"}]')


def test_a_cosine_head_with_a_frozen_backbone_trains_all_that_is_new(tiny):
    from compete.model.device import make_fabric
    from compete.model.finetune import begin_plan
    from compete.model.network import build_network

    config = load_config(
        tiny / "tiny.toml", ["head.name=cosine", "head.width=8", "loss.name=arcface", "finetune.freeze=backbone"]
    )
    make_fabric(config.training)
    network = build_network(config, 3, 2, seed=1)
    begin_plan(network, config, 3)
    moving = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert {name.rpartition(".")[0] or name for name in moving} == {
        "centres", "norm", "features.columns.0", "features.image.head",
    }  # fmt: skip


def test_arcface_runs_and_is_refused_without_its_head(tiny):
    done = run(tiny, "head.name=cosine", "head.width=8", "loss.name=arcface", "metric.name=map_at_k", "metric.k=2")
    assert 0 < read_scores(done.folder).cv.oof <= 1
    with pytest.raises(ConfigError, match=r'Write \[head\] name = "cosine"'):
        run(tiny, "loss.name=arcface", "loss.scale=0.001", name="other")


def test_with_one_validated_fold_postprocessing_is_still_measured_on_other_rows(tiny):
    done = run(tiny, "training.only_folds=[0]", 'postprocess=[{name="floor", low=0.01}]')
    assert read_scores(done.folder).cv.oof_postprocessed == pytest.approx(read_scores(done.folder).cv.oof)


def test_networks_are_built_once_for_the_description_and_once_a_member(tiny):
    """Each build is written down by the model itself; finished members are loaded into copies."""
    plugin = tiny / "tiny_plugin.py"
    counted = 'with open("builds.txt", "a") as file:\n        file.write("built\\n")\n    return Brightness('
    plugin.write_text(plugin.read_text().replace("return Brightness(", counted))
    run(tiny)
    assert len((tiny / "builds.txt").read_text().split()) == 1 + 3
    run(tiny)
    assert len((tiny / "builds.txt").read_text().split()) == 1 + 3 + 1


def test_a_wrong_network_is_found_before_any_image_is_decoded(tiny):
    (tiny / "data/train/p03_1.png").write_bytes(b"not an image")
    with pytest.raises(ConfigError, match=r"probabilities"):
        run(tiny, "model.name=softmaxed")
    assert not list(tiny.glob(".compete/cache/*.npy"))


def test_finished_members_need_neither_the_hub_nor_the_weights_file(tiny):
    plugin = tiny / "tiny_plugin.py"
    bare = (
        "@component(without_weights={'hub': False})\ndef brightness(outputs: int, channels: int, *, hub: bool = True, "
    )
    source = plugin.read_text().replace("import DataError,", "import DataError, component,")
    source = source.replace("def brightness(outputs: int, channels: int, *, ", bare)
    download = 'if hub and Path("offline").exists():\n        raise DataError("no hub")\n    return Brightness('
    plugin.write_text(source.replace("return Brightness(", download))
    first = run(tiny)
    (tiny / "offline").touch()
    assert run(tiny).folder == first.folder
    with pytest.raises(DataError, match="no hub"):
        run(tiny, "optimizer.lr=0.01")


def test_two_runs_in_one_process_do_not_see_each_other(tiny):
    with (tiny / "tiny_plugin.py").open("a") as file:
        file.write(
            "\n\nclass Count:\n    @hookimpl\n    def on_member_end(self, run, result):\n"
            "        with (run.folder / 'count.txt').open('a') as file:\n            file.write(result.member.name + ' ')\n"
            "\n\n@hookimpl\ndef register_callbacks():\n    return {'count': lambda: Count()}\n"
        )
    config = load_config(tiny / "tiny.toml", [*FAST, 'callbacks=[{name="count"}]'])
    for name in ("one", "two"):
        run_competition(config, name=name, fresh=True)
    for name in ("one", "two"):
        folder = tiny / "submissions/tiny" / name
        assert len((folder / "count.txt").read_text().split()) == 3
        assert (folder / "log.jsonl").read_text().count('"event": "run_start"') == 1


def test_an_executor_needs_public_names_only(tiny):
    with (tiny / "tiny_plugin.py").open("a") as file:
        file.write(
            "\n\ndef backwards(members, train):\n    return [train(member) for member in reversed(members)][::-1]\n"
            "\n\n@hookimpl\ndef register_executors():\n    return {'backwards': backwards}\n"
        )
    done = run(tiny, "executor.name=backwards")
    assert list(done.scores.members) == ["fold0-seed42", "fold1-seed42", "fold2-seed42"]
    log = (done.folder / "log.jsonl").read_text()
    assert log.index('"member_end", "member": "fold2-seed42"') < log.index('"member_end", "member": "fold0-seed42"')


def add_hub_model(tiny: Path, body: str) -> None:
    """Give the tiny network an option `hub`; `body` comes before it is returned as `network`."""
    plugin = tiny / "tiny_plugin.py"
    source = plugin.read_text().replace("import DataError,", "import DataError, component,")
    declared = (
        "@component(without_weights={'hub': False})\ndef brightness(outputs: int, channels: int, *, hub: bool = True, "
    )
    source = source.replace("def brightness(outputs: int, channels: int, *, ", declared)
    made = "    network = Brightness(outputs, channels, dropout)\n" + body + "    return network\n"
    plugin.write_text(source.replace("    return Brightness(outputs, channels, dropout)\n", made))


def test_a_finished_member_keeps_the_scaling_that_it_was_trained_with(tiny):
    add_hub_model(tiny, "    if hub:\n        network.mean, network.std = (0.2,) * 3, (0.1,) * 3\n")
    first = run(tiny, "training.epochs=3")
    expected = (first.folder / "oof.parquet").read_bytes()
    for file in (first.folder / "members").rglob("*.parquet"):
        file.unlink()
    again = run(tiny, "training.epochs=3")
    assert again.folder == first.folder and again.scores.cv == first.scores.cv
    assert (first.folder / "oof.parquet").read_bytes() == expected


def test_a_new_run_that_reuses_every_member_needs_no_hub(tiny):
    add_hub_model(tiny, "    if hub and Path('offline').exists():\n        raise DataError('no hub')\n")
    run(tiny)
    (tiny / "offline").touch()
    assert run(tiny, "ensemble.name=geometric_mean").folder.name == "run-002"


@pytest.mark.parametrize("options", [{}, {"name": "mine"}])
def test_a_run_of_each_data_is_found_again(tiny, options):
    first = run(tiny, **options)
    before = (tiny / "data/train/p03_1.png").read_bytes()
    (tiny / "data/train/p03_1.png").write_bytes((tiny / "data/train/p04_1.png").read_bytes())
    second = run(tiny, **options)
    assert second.folder != first.folder
    assert run(tiny, **options).folder == second.folder
    (tiny / "data/train/p03_1.png").write_bytes(before)
    assert run(tiny, **options).folder == first.folder


def test_a_passing_fault_of_the_data_leaves_no_run_and_loses_none(tiny):
    first = run(tiny)
    image = tiny / "data/train/p03_1.png"
    before = image.read_bytes()
    image.unlink()
    with pytest.raises(DataError):
        run(tiny)
    image.write_bytes(before)
    assert run(tiny).folder == first.folder
    assert [path.name for path in (tiny / "submissions/tiny").glob("run-*")] == ["run-001"]


def test_a_run_s_own_toml_means_that_run(tiny):
    first, second = run(tiny), run(tiny, fresh=True)
    assert run(tiny).folder == second.folder
    assert run_competition(load_config(first.folder / "config.toml")).folder == first.folder


def test_a_damaged_time_of_another_run_stops_nothing(tiny):
    state = run(tiny).folder / "run.json"
    for created in ("null", '"x"'):
        text = state.read_text()
        value = json.loads(text)["created"]
        state.write_text(text.replace(str(value), created))
        run(tiny, name=f"after-{len(created)}")
        state.write_text(text)


EXECUTORS = "\n\n@hookimpl\ndef register_executors():\n    return {'mine': mine}\n"


@pytest.mark.parametrize("body", ["None", "[train(members[0])]", "[train(member) for member in members][::-1]"])
def test_an_executor_that_does_not_return_every_result_is_named(tiny, body):
    with (tiny / "tiny_plugin.py").open("a") as file:
        file.write(f"\n\ndef mine(members, train):\n    return {body}\n" + EXECUTORS)
    with pytest.raises(PluginRuntimeError, match=r'\[executor\] name = "mine": must return .* each of 3 members'):
        run(tiny, "executor.name=mine")


@pytest.mark.parametrize("fault", ["raise OSError('the cluster is gone')", "raise SystemExit(3)"])
def test_an_executor_that_raises_is_named_and_what_it_finished_is_kept(tiny, fault):
    with (tiny / "tiny_plugin.py").open("a") as file:
        file.write(f"\n\ndef mine(members, train):\n    train(members[0])\n    {fault}\n" + EXECUTORS)
    with pytest.raises(PluginRuntimeError) as raised:
        run(tiny, "executor.name=mine")
    said = fault.removeprefix("raise ")
    assert str(raised.value).startswith(f'[executor] name = "mine": raised {said} at {tiny}/tiny_plugin.py:')
    assert list((tiny / "submissions").glob("*/run-001/members/*/result.json"))
    assert run(tiny).folder.name == "run-001"


def test_what_training_raises_is_no_fault_of_the_executor(tiny, monkeypatch):
    import compete.stages.members

    def fails(run, member):
        raise KeyError("a bug in a loss")

    monkeypatch.setattr(compete.stages.members, "train", fails)
    with pytest.raises(KeyError, match="a bug in a loss"):
        run(tiny)


def test_an_executor_s_threads_train_what_one_thread_trains(tiny):
    with (tiny / "tiny_plugin.py").open("a") as file:
        file.write(
            "\n\ndef mine(members, train):\n    from concurrent.futures import ThreadPoolExecutor\n"
            "    with ThreadPoolExecutor(3) as pool:\n        return list(pool.map(train, members))\n" + EXECUTORS
        )
    alone = run(tiny, "model.dropout=0.5")
    threads = run(tiny, "model.dropout=0.5", "executor.name=mine", fresh=True)
    assert threads.scores.cv == alone.scores.cv and threads.folder != alone.folder


def submission_of(folder: Path) -> bytes:
    return (folder / "submission.csv").read_bytes()


def change_sample_order(tiny: Path) -> None:
    sample = pd.read_csv(tiny / "data/sample.csv", dtype=str, keep_default_na=False)
    sample.iloc[::-1].to_csv(tiny / "data/sample.csv", index=False)


def change_test_image(tiny: Path) -> None:
    (tiny / "data/test/t0.png").write_bytes((tiny / "data/test/t1.png").read_bytes())


@pytest.mark.parametrize("change", [change_sample_order, change_test_image])
def test_another_test_set_or_sample_is_another_run_of_the_same_members(tiny, change):
    first = run(tiny)
    before = {path: path.read_bytes() for path in first.folder.rglob("*") if path.is_file() and path.suffix}
    change(tiny)
    second = run(tiny)
    assert second.folder.name == "run-002"
    assert {path: path.read_bytes() for path in before} == before
    assert "the test set or the sample submission has changed since run-001, which is kept as it is" in second.notes
    reused = "reused from run-001, same data and training: fold0-seed42, fold1-seed42, fold2-seed42"
    assert reused in second.notes
    assert run(tiny).folder == second.folder


def test_another_form_of_the_sample_overwrites_no_finished_submission(tiny):
    table = pd.read_csv(tiny / "data/train.csv", dtype=str)
    table[["id", "label"]].to_csv(tiny / "data/train.csv", index=False)
    csv = 'dataset={name="csv", sample="sample.csv", image="train/{id}.png", test_image="test/{id}.png"}'
    folds = 'folds={name="kfold", n=2}'
    first = run(tiny, csv, folds)
    before = submission_of(first.folder)
    sample = tiny / "data/sample.csv"
    sample.write_bytes(sample.read_bytes().replace(b"\n", b"\r\n"))
    second = run(tiny, csv, folds)
    assert second.folder.name == "run-002" and submission_of(first.folder) == before
    assert submission_of(second.folder) == before.replace(b"\n", b"\r\n")


def test_an_unfinished_run_goes_on_with_another_test_set(tiny):
    first = run(tiny).folder
    state = json.loads((first / "run.json").read_text())
    (first / "run.json").write_text(json.dumps({**state, "finished": False}))
    change_test_image(tiny)
    assert run(tiny).folder == first
    assert json.loads((first / "run.json").read_text())["test"] != state["test"]


def test_other_options_of_the_dataset_that_read_the_same_rows_retrain_nothing(tiny):
    plugin = tiny / "tiny_plugin.py"
    source = plugin.read_text()
    changed = source.replace("group: bool = True)", "group: bool = True, part: int = 0)")
    assert changed != source
    plugin.write_text(changed)
    run(tiny)
    assert any("reused from run-001" in note for note in run(tiny, "dataset.part=1").notes)


def test_an_edited_submission_is_kept_beside_the_one_written_again(tiny):
    first = run(tiny).folder
    written = submission_of(first)
    (first / "submission.csv").write_bytes(written + b"edited\n")
    done = run(tiny)
    [kept] = first.glob("submission.edited-*.csv")
    assert (submission_of(first), kept.read_bytes()) == (written, written + b"edited\n")
    assert any("was edited after the run wrote it" in warning and kept.name in warning for warning in done.warnings)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"created": null}', '{"sources": ["a"], "created": 1}', '{"created": NaN}', "\0"]
)
def test_a_damaged_run_is_passed_over_by_name_and_its_members_are_reused(tiny, text):
    first = run(tiny).folder
    (first / "run.json").write_text(text)
    done = run(tiny)
    assert done.folder.name == "run-002"
    warning = f"{first}/run.json is damaged: the run is passed over, though its finished members can be reused"
    assert any(warning.removeprefix(str(tiny)) in found for found in done.warnings)
    assert any("reused from run-001" in note for note in done.notes)
    with pytest.raises(ConfigError, match=r"--name run-001: .*run\.json is damaged"):
        run(tiny, name="run-001")


def test_a_damaged_result_of_a_member_is_named_with_its_cure(tiny):
    result = run(tiny).folder / "members/fold0-seed42/result.json"
    state = json.loads(result.read_text())
    result.write_text(json.dumps({**state, "epochs": [{"number": 1}]}))
    with pytest.raises(CompeteError, match=r"result\.json is damaged .*Remove it and run again"):
        run(tiny)
    result.unlink()
    assert run(tiny).folder.name == "run-001"


def claim(start: Barrier, override: str) -> str:
    """Claim a run's folder at the same moment as other processes; the choice takes a while."""
    config = load_config(Path("tiny.toml"), [*FAST, override])
    sources = read_sources(config)

    def choose() -> Path:
        chosen = choose_folder(config, sources, None, fresh=False)
        time.sleep(0.1)
        return chosen

    with ExitStack() as held:
        start.wait()
        folder = claim_folder(config, sources, held, choose).name
        start.wait()
    return folder


def test_two_configurations_started_at_one_moment_get_a_folder_each(tiny):
    start = Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        folders = list(pool.map(claim, [start, start], ["optimizer.lr=0.01", "optimizer.lr=0.02"]))
    assert sorted(folders) == ["run-001", "run-002"]


@pytest.mark.parametrize(
    ("override", "predicted_again"),
    [("ensemble.name=geometric_mean", []), ('tta=[{name="flips"}]', ["_predict_oof"] * 3 + ["_predict_test"])],
)
def test_predictions_of_reused_members_are_reused_where_they_still_hold(tiny, monkeypatch, override, predicted_again):
    first, calls = run(tiny), []
    for name in ("_predict_oof", "_predict_test"):
        predict = getattr(predictions, name)
        monkeypatch.setattr(predictions, name, lambda *a, p=predict, n=name: (calls.append(n), p(*a)))
    second = run(tiny, override)
    assert (second.folder.name, calls) == ("run-002", predicted_again)
    name = "members/fold0-seed42/oof.parquet"
    same = (first.folder / name).read_bytes() == (second.folder / name).read_bytes()
    assert same == (not predicted_again)


def test_another_test_set_predicts_oof_no_second_time(tiny, monkeypatch):
    run(tiny)
    monkeypatch.setattr(predictions, "_predict_oof", None)
    change_test_image(tiny)
    assert run(tiny).folder.name == "run-002"


def remove_test_set(tiny: Path) -> None:
    """Let the dataset return neither test rows nor a sample submission."""
    plugin = tiny / "tiny_plugin.py"
    whole = 'test, sample, note="drawn for a test")'
    assert whole in plugin.read_text()
    plugin.write_text(plugin.read_text().replace(whole, 'test[:0], sample[:0], note="drawn for a test")'))


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("inference.keep_top=2", "metric.name=map_at_k", "metric.k=2"),
        ("images.cache=false", 'tta=[{name="flips"}]'),
        ('columns.categorical=["label"]',),
        ('postprocess=[{name="prior"}]',),
        *[(f"ensemble.name={name}",) for name in ("geometric_mean", "rank_mean", "hard_vote", "weighted")],
    ],
)
def test_without_a_test_set_a_run_ends_with_its_cv(tiny, overrides):
    remove_test_set(tiny)
    done = run(tiny, *overrides)
    assert done.scores.cv.oof is not None and done.scores.submission is None
    assert not {"submission.csv", "test.parquet"} & {path.name for path in done.folder.rglob("*")}
    assert (done.folder / "oof.parquet").exists()
    assert not any(command.startswith("compete submit") for command in done.scores.next)
    assert run(tiny, *overrides).folder == done.folder


def test_test_rows_without_a_sample_and_a_sample_without_test_rows_are_refused(tiny):
    plugin = tiny / "tiny_plugin.py"
    source = plugin.read_text()
    plugin.write_text(source.replace("test, sample, note", "test[:0], sample, note"))
    with pytest.raises(DataError, match="the test table has no rows"):
        run(tiny)
    plugin.write_text(source.replace("test, sample, note", "test, sample[:0], note"))
    with pytest.raises(DataError, match="the sample submission has no rows"):
        run(tiny)


def test_files_with_the_same_bytes_stay_in_one_fold_and_are_named(tiny):
    folder = tiny / "data"
    rng = np.random.default_rng(0)
    table = pd.read_csv(folder / "train.csv", dtype=str)
    images = sorted((folder / "train").iterdir())
    from PIL import Image

    for number, path in enumerate(images):
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(path)
        if number >= 18:
            path.write_bytes(images[number - 6].read_bytes())
    done = run(tiny)
    folds = pd.read_csv(done.folder / "folds.csv", dtype=str).set_index("id")["fold"]
    names = [path.stem for path in images]
    assert len(folds) == len(table) == 24
    assert all(folds[names[number]] == folds[names[number - 6]] for number in range(18, 24))
    assert any(warning.startswith("12 training rows show an image") for warning in done.warnings)


def test_weights_of_a_member_that_has_seen_the_rows_are_refused(tiny, tmp_path):
    import shutil

    first = run(tiny, "training.only_folds=[0]")
    weights = first.folder / "members/fold0-seed42/weights.safetensors"
    shutil.copy(weights, tmp_path / "mine.safetensors")
    for file in (weights, tmp_path / "mine.safetensors"):
        timm = ["model.name=timm", "model.backbone=resnet18", "model.pretrained=false", f"model.weights={file}"]
        with pytest.raises(ConfigError) as caught:
            run(tiny, *timm)
        (problem,) = caught.value.problems
        assert (
            f'[model] weights = "{file}": these are the weights of member fold0-seed42 of {first.folder.name}'
            in problem
        )
        assert "8 of 8 of fold 1, 8 of 8 of fold 2" in problem and "Set [training] only_folds = [0], or take" in problem
    dataset = make_dataset(tiny, *timm, "training.only_folds=[0]")  # its own fold has not been seen
    assert len(dataset.folds) == 24


def make_dataset(tiny: Path, *overrides: str):
    from compete.identity import read_sources
    from compete.stages.prepare import prepare

    config = load_config(tiny / "tiny.toml", [*FAST, *overrides])
    return prepare(config, read_sources(config), None)
