"""What results depend on: every slot and setting says so, and data counts by its content."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from compete.api.result import Result
from compete.config import plugins
from compete.config.load import load_config
from compete.config.registry import Component
from compete.config.settings import CORE_TABLES
from compete.identity import digest, pixels_key, read_sources, settings_that_affect
from compete.stages.runner import run_competition
from compete.toml.slots import SLOTS, Affects, Slot

LEVELS = set(get_args(Affects))


@pytest.mark.parametrize(("table", "key"), [(t, k) for t, model in CORE_TABLES.items() for k in model.model_fields])
def test_every_setting_says_what_it_affects(table, key):
    extra = CORE_TABLES[table].model_fields[key].json_schema_extra
    assert isinstance(extra, dict) and extra["affects"] in LEVELS


@pytest.mark.parametrize("kind", SLOTS)
def test_every_slot_says_what_it_affects(kind):
    assert SLOTS[kind].affects in LEVELS


def test_digests_tell_parts_apart():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest([1, 2]) != digest([2, 1]) and digest("ab", "c") != digest("a", "bc")
    assert digest(np.array([1, 2])) != digest(np.array([1.0, 2.0]))


def run(tiny: Path, *overrides: str, **options: object):
    return Result.of(run_competition(load_config(tiny / "tiny.toml", ["training.epochs=1", *overrides]), **options))


def open_run(tiny: Path, *overrides: str):
    return run_competition(load_config(tiny / "tiny.toml", ["training.epochs=1", *overrides]))


def trained(result) -> list[str]:
    """Return the members that this run folder has trained itself, from its log."""
    lines = (result.folder / "log.jsonl").read_text().splitlines()
    return [line for line in lines if '"event": "member_end"' in line]


def test_a_new_kind_by_the_recipe_changes_a_member_s_identity(tiny, monkeypatch):
    """CONTRIBUTING's recipe: a hook, a slot, a plugin; nothing else is touched."""
    before = settings_that_affect(load_config(tiny / "tiny.toml"), "training")
    monkeypatch.setitem(SLOTS, "distillers", Slot("distiller", "training"))
    load = plugins.load_plugins

    def with_distiller(files):
        loaded = load(files)
        loaded.registry["distillers"] = {"teacher": Component("distillers", "teacher", lambda: None, "a test")}
        return loaded

    monkeypatch.setattr("compete.config.reader.load_plugins", with_distiller)
    after = load_config(tiny / "tiny.toml", ["distiller.name=teacher"])
    assert digest(settings_that_affect(after, "training")) != digest(before)


def test_what_affects_nothing_does_not_start_another_run(tiny):
    first = run(tiny)
    same = run(tiny, "training.workers=0", "training.checkpoint_minutes=3", "images.cache_dir=elsewhere")
    assert same.folder == first.folder and len(trained(same)) == 3


def test_decoded_pixels_are_known_by_every_setting_that_changes_them(tiny):
    def key(*overrides):
        config = load_config(tiny / "tiny.toml", overrides)
        return pixels_key(config, read_sources(config), ["a"], ["a.png"])

    changes = [
        "size=[9,9]",
        "resize=pad",
        "channels=1",
        "layout=chw",
        "background=black",
        "value_range=[0,9]",
        "reader=raw",
    ]
    keys = {key(), *(key(f"images.{change}") for change in changes)}
    assert len(keys) == 1 + len(changes)
    assert {key(f"images.{same}") for same in ("mean=[0,0,0]", "unreadable=skip", "cache_dir=x", "cache=false")} == {
        key()
    }


def test_a_copy_of_the_data_retrains_nothing(tiny):
    first = run(tiny)
    shutil.copytree(tiny / "data", tiny / "copy")  # other inodes, times and places
    again = run(tiny, "competition.root=copy")
    assert again.folder == first.folder and len(trained(again)) == 3


def test_touched_files_retrain_nothing(tiny):
    first = run(tiny)
    for file in (tiny / "data").rglob("*.png"):
        os.utime(file, (1, 1))
    assert run(tiny).folder == first.folder


def test_an_unzipped_folder_is_the_same_data_as_its_archive(tiny):
    first = run(tiny)
    shutil.make_archive(str(tiny / "data/train"), "zip", tiny / "data", "train")
    shutil.rmtree(tiny / "data/train")
    (tiny / "data/train.zip").rename(tiny / "data/packed.zip")
    table = pd.read_csv(tiny / "data/train.csv", dtype=str)
    table.assign(image="packed.zip/" + table["image"]).to_csv(tiny / "data/train.csv", index=False)
    again = run(tiny)
    assert again.folder == first.folder and len(trained(again)) == 3


def same_size_and_times(file: Path, value: int) -> None:
    """Replace an image by another of the same name, size in bytes and modification time."""
    before = file.stat()
    pixels = np.asarray(Image.open(file)).copy()
    pixels[0, 0, 0] = value
    Image.fromarray(pixels).save(file)
    data = file.read_bytes()
    file.write_bytes(data + b"\0" * (4096 - len(data)))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_one_changed_pixel_is_noticed_whatever_the_file_s_size_and_time(tiny):
    image = tiny / "data/train/p03_1.png"
    same_size_and_times(image, 7)
    size, time = image.stat().st_size, image.stat().st_mtime_ns
    first = run(tiny)
    same_size_and_times(image, 8)
    assert (image.stat().st_size, image.stat().st_mtime_ns) == (size, time)
    second = run(tiny)
    assert second.folder != first.folder and len(trained(second)) == 3
    assert not any("reused" in note for note in second.notes)


def test_two_folders_alike_in_all_but_pixels_are_two(tiny):
    shutil.copytree(tiny / "data", tiny / "other")
    for folder, value in (("data", 7), ("other", 8)):
        for file in sorted((tiny / folder).rglob("*.png")):
            same_size_and_times(file, value)
            os.utime(file, (1, 1))
    first, second = open_run(tiny), open_run(tiny, "competition.root=other")
    assert second.folder != first.folder and len(trained(second)) == 3
    assert (np.asarray(second.images.train.images[0]) != np.asarray(first.images.train.images[0])).any()


def test_a_plugin_s_code_counts_as_it_was_loaded(tiny):
    config = load_config(tiny / "tiny.toml")
    before = read_sources(config)
    with (tiny / "tiny_plugin.py").open("a") as file:
        file.write("\n# edited after it was loaded\n")
    assert read_sources(config) == before != read_sources(load_config(tiny / "tiny.toml"))


def test_a_local_file_that_a_plugin_imports_counts(tiny, monkeypatch):
    monkeypatch.syspath_prepend(str(tiny))
    (tiny / "helper_of_tiny.py").write_text("LEVEL = 1\n")
    add_plugin(tiny, "\n\nimport helper_of_tiny\n")
    before = read_sources(load_config(tiny / "tiny.toml"))
    (tiny / "helper_of_tiny.py").write_text("LEVEL = 2\n")
    assert read_sources(load_config(tiny / "tiny.toml")) != before


def test_compete_s_own_code_counts(tiny, monkeypatch):
    before = read_sources(load_config(tiny / "tiny.toml"))
    monkeypatch.setattr("compete.identity.own_code", lambda version: b"another")
    assert read_sources(load_config(tiny / "tiny.toml")) != before


def add_plugin(tiny: Path, source: str, names: str = "Transform") -> None:
    plugin = tiny / "tiny_plugin.py"
    plugin.write_text(plugin.read_text().replace("import DataError,", f"import DataError, {names},") + source)


def first_pixel(run) -> int:
    return int(np.asarray(run.images.train.images[0])[0, 0, 0])


def test_a_file_of_a_fixed_transform_counts_for_its_pixels(tiny):
    add_plugin(
        tiny,
        "\n\ndef level(*, path: InputFile):\n"
        "    value = int(Path(path).read_text())\n    return Transform(fixed=lambda image: image * 0 + value)\n"
        "\n\n@hookimpl\ndef register_transforms():\n    return {'level': level}\n",
        "InputFile, Transform",
    )
    for value in (10, 99):
        (tiny / "level.txt").write_text(str(value))
        assert first_pixel(open_run(tiny, 'transforms=[{name="level", path="level.txt"}]')) == value


def test_every_option_of_a_transform_counts_for_its_pixels_unless_it_declares_which(tiny):
    add_plugin(
        tiny,
        "\n\ndef dim(*, fixed: bool, amount: int):\n    return Transform(fixed=lambda image: image * 0 + amount)\n"
        "\n\n@hookimpl\ndef register_transforms():\n    return {'dim': dim}\n",
    )
    for amount in (10, 99):
        assert first_pixel(open_run(tiny, f'transforms=[{{name="dim", fixed=true, amount={amount}}}]')) == amount


@pytest.mark.parametrize(("type_text", "value"), [("InputFile | None", '"f.txt"'), ("list[InputFile]", '["f.txt"]')])
def test_files_of_optional_and_of_several_names_count(tiny, type_text, value):
    add_plugin(
        tiny,
        f"\n\ndef fromfile(outputs: int, channels: int, *, path: {type_text}):\n    return Oracle(outputs)\n"
        "\n\n_models = register_models\n"
        "\n\n@hookimpl\ndef register_models():\n    return {**_models(), 'fromfile': fromfile}\n",
        "InputFile",
    )
    sources = []
    for text in "ab":
        (tiny / "f.txt").write_text(text)
        sources.append(read_sources(load_config(tiny / "tiny.toml", [f'model={{name="fromfile", path={value}}}'])))
    assert sources[0].keys() == sources[1].keys() and sources[0] != sources[1]


def test_columns_that_a_split_names_in_a_list_count(tiny):
    add_plugin(
        tiny,
        "\n\ndef sites(train, labels, seed, *, columns: list[str]):\n"
        "    return train[columns[0]].astype(int).to_numpy()\n"
        "\n\n@hookimpl\ndef register_folds():\n    return {'sites': sites}\n",
        "Transform",
    )
    table = pd.read_csv(tiny / "data/train.csv", dtype=str)
    for given in ([n % 3 for n in range(24)], [(n + 1) % 3 for n in range(24)]):
        table.assign(site=given).to_csv(tiny / "data/train.csv", index=False)
        options = 'folds={name="sites", columns=["site"]}', "dataset.group=false", "checks.missing_class=warn"
        assert run(tiny, *options).oof["fold"].tolist() == given
