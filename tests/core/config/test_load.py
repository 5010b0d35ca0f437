"""A TOML is read whole, and all its problems are reported at once, with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from compete.config.load import load_config
from compete.errors import ConfigError
from compete.toml.read import write_toml_text


def problems(path, *overrides):
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    return caught.value.problems


def change(tiny, old, new):
    path = tiny / "tiny.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


def test_defaults_fill_what_the_toml_leaves_out(tiny):
    config = load_config(tiny / "tiny.toml")
    assert config.one("losses").name == "cross_entropy"
    assert [bound.name for bound in config.many("callbacks")] == ["best_checkpoint"]
    assert config.many("tta") == ()


def test_the_resolved_toml_reads_back_as_the_same_configuration(tiny):
    config = load_config(tiny / "tiny.toml")
    (tiny / "again.toml").write_text(write_toml_text(config.resolved()))
    assert load_config(tiny / "again.toml").resolved() == config.resolved()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "brightness"', 'name = "brightnes"', "[model] name = \"brightnes\": unknown model 'brightnes'. "),
        ("epochs = 2", "epoch = 2", "[training] epoch: unknown option. Did you mean 'epochs'?"),
        (
            "epochs = 2",
            'epochs = "2"',
            '[training] epochs = "2": must be an integer, 1 <= x <= 100000. Write epochs = 2.',
        ),
        ("epochs = 2", "epochs = 2.0", "1 <= x <= 100000. Write epochs = 2."),
        ('device = "cpu"', 'device = "GPU"', 'must be "auto", "cpu", "cuda" or "mps". Write device = "cuda".'),
        ("epochs = 2", 'deterministic = "True"', "must be true or false. Write deterministic = true."),
        ("epochs = 2", "only_folds = 1", "Write only_folds = [1]."),
        ("epochs = 2", 'epochs = "many"', '[training] epochs = "many": must be an integer, 1 <= x <= 100000.'),
        ("size = [8, 8]", "size = 8", "must be a list of 2 integers, 1 <= x <= 16384. Write size = [8, 8]."),
        ("size = [8, 8]", 'size = "8x6"', "Write size = [8, 6]."),
        ("[metric]", '[finetune]\nfreeze = "backbon"\n[metric]', "Did you mean 'backbone'?"),
        ("[metric]", '[finetune]\nfreeze = "layer1"\n[metric]', 'Write freeze = ["layer1"].'),
        ("epochs = 2", "lr = 0.1", "[training] lr: unknown option here; it belongs in [optimizer]. "),
        (
            "epochs = 2",
            'plugins = ["a.py"]',
            "[training] plugins: unknown option here; it belongs above the first table.",
        ),
        (
            'name = "brightness"',
            'name = "resnet50"',
            'a backbone, not a model. Write name = "timm" and backbone = "resnet50".',
        ),
        ('name = "macro_f1"', 'name = "f1"', "unknown metric 'f1'. Did you mean 'macro_f1'?"),
        ("epochs = 2", "epochs = 0", "[training] epochs = 0: must be an integer, 1 <= x <= 100000."),
        (
            "[images]",
            '[target]\nname = "label"\ncolumn = "group"\n[images]',
            "cannot hold the labels. Give the labels another name",
        ),
        (
            "[training]",
            '[[callbacks]]\nname = "soup"\n[training]\nrefit = true',
            '[[callbacks]] name = "soup" chooses weights by',
        ),
        ("size = [8, 8]", 'size = [8, 8]\ncache_dir = "tiny.toml/cache"', "must be a folder, and tiny.toml is a file"),
        ("[metric]", "[metrik]", "[metrik]: unknown table. Did you mean 'metric'?"),
        ("[metric]", "[metrik]", '[metric]: the table is missing. Give it a name = "...":'),
        ('root = "data"', "", "[competition] root: is required and missing."),
        ('name = "macro_f1"', "", "[metric] name: is required and missing: one of "),
        ('"tiny_plugin.py"', '"tiny_plugn.py"', 'plugins "tiny_plugn.py": there is no such file in '),
        ("[training]", "[[training]]", "training: must be a table: [training]"),
        ('name = "stratified_group"\nn = 3', "name = 5", "[folds] name = 5: unknown folds '5'."),
    ],
)
def test_messages(tiny, old, new, message):
    found = problems(change(tiny, old, new))
    assert any(message in problem for problem in found), found
    assert all("tiny.toml" in problem for problem in found)


def test_a_problem_has_its_line(tiny):
    path = change(tiny, "epochs = 2", 'epochs = "2"')
    line = path.read_text().splitlines().index('epochs = "2"') + 1
    assert problems(path)[0].startswith(f"{path}:{line}: [training] epochs")


def test_all_problems_at_once(tiny):
    path = change(tiny, "epochs = 2", "epoch = 2")
    change(tiny, "lr = 0.05", "learning_rate = 0.05")
    change(tiny, 'name = "macro_f1"', 'name = "macro_f2"')
    assert len(problems(path)) == 3


def test_overrides_go_through_the_same_checks(tiny):
    path = tiny / "tiny.toml"
    config = load_config(path, ["training.epochs=7", "model.name=oracle", 'tta=[{name="flips"}]'])
    assert config.training.epochs == 7
    assert [bound.name for bound in config.many("tta")] == ["flips"]
    assert "[training] epochs" in problems(path, "training.epochs=many")[0]
    assert "must be table.key=value" in problems(path, "epochs")[0]
    assert "not a table" in problems(path, "training.epochs.x=1")[0]


def test_an_override_inside_an_array_of_tables(tiny):
    path = change(tiny, "[training]", '[[tta]]\nname = "flips"\n\n[training]')
    assert load_config(path, ["tta.0.name=none"]).many("tta")[0].name == "none"
    found = problems(path, "tta.2.name=none")[0]
    assert "'2' is not an index of this list of 1. Count from 0, as in tta.0.name=..., or set the whole list" in found
    assert "'name' is not an index of this list of 1" in problems(path, "tta.name=none")[0]


def test_an_override_is_named_in_place_of_a_line(tiny):
    found = problems(tiny / "tiny.toml", "training.epochs=one", 'tta=[{name="flips", x=1}]')
    assert found[0].startswith('--set training.epochs=one: [training] epochs = "one": ')
    assert found[1].startswith('--set tta=[{name="flips", x=1}]: [[tta]] x: unknown option')


def test_another_component_drops_options_of_the_old_one(tiny):
    path = change(tiny, 'name = "brightness"', 'name = "brightness"\ndropout = 0.5')
    change(tiny, "n = 3", "n = 4")
    config = load_config(path, ["model.name=oracle", "folds.name=kfold"])
    assert config.one("models").name == "oracle" and config.one("folds").options["n"] == 4
    assert config.notes == ("[model] dropout left out: oracle has no such option",)
    assert (
        "[model] dropout: unknown option here; it belongs in [head]"
        in problems(path, "model.name=oracle", "model.dropout=0.1")[0]
    )
    change(tiny, 'name = "brightness"', 'name = "oracle"')
    assert "[model] dropout: unknown option here; it belongs in [head]" in problems(path, "model.name=oracle")[0]


def test_a_loss_on_cosines_needs_a_cosine_head_with_its_scale(tiny):
    path, arcface = tiny / "tiny.toml", 'loss={name="arcface", scale=64.0}'
    found = problems(path, arcface)
    assert (
        '[loss] name = "arcface": needs cosines, which [head] name = "linear" does not give. Write [head] name = "cosine"'
        in found[0]
    )
    found = problems(path, arcface, "head.name=cosine")
    assert "[loss] scale = 64.0: must be the scale of the head, 30.0. Write [head] scale = 64.0." in found[0]
    assert load_config(path, [arcface, "head.name=cosine", "head.scale=64.0"])


def test_a_key_without_its_table_is_recognised(tiny):
    assert "[epochs]: unknown table. Did you mean training.epochs?" in problems(tiny / "tiny.toml", "epochs=1")[0]


def test_one_value_in_place_of_a_list(tiny):
    assert (
        "[training] only_folds = 0: must be a list of integers, 0 <= x <= 10000. Write only_folds = [0]."
        in problems(tiny / "tiny.toml", "training.only_folds=0")[0]
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "not UTF-8, at byte 0"),
        (b"a = ", "not valid TOML"),
        (b"x = " + b"[" * 5000, "not valid TOML"),
    ],
)
def test_what_is_not_toml(tmp_path, content, message):
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    assert message in problems(path)[0]


def test_a_missing_file_lists_the_available_ones(tiny):
    assert "no such file. Available: tiny.toml." in problems(Path("zzz.toml"))[0]
    assert "no such file. Did you mean 'tiny.toml'?" in problems(Path("tinny.toml"))[0]
    (tiny / "competitions").mkdir()
    (tiny / "tiny.toml").rename(tiny / "competitions/tiny.toml")
    assert f"Did you mean '{Path('competitions/tiny.toml')}'?" in problems(Path("tiny"))[0]


def test_a_plugin_beside_the_toml_is_suggested(tiny):
    (tiny / "competitions").mkdir()
    (tiny / "tiny_plugin.py").rename(tiny / "competitions/other.py")
    path = change(tiny, '"tiny_plugin.py"', '"other.py"').rename(tiny / "competitions/tiny.toml")
    assert "There is one beside the TOML: write '" in problems(path)[0]
