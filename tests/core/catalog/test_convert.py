"""An old .ini becomes a TOML that validates; every classic slip is an error with its line."""

from __future__ import annotations

import tomllib
from configparser import ConfigParser
from pathlib import Path

import pytest

from compete.catalog.convert import convert_ini, first_toml
from compete.catalog.ini import expand, read_ini
from compete.catalog.ini_names import KEYS, NOT_NEEDED, VALUES
from compete.config.load import load_config
from compete.errors import UserError

NOTES = """\
# the notes' form
[settings]
debug = off
gpu = on
log_path = ./logs
data_path = ./data

[hyper_params]
Epoch: 12
batch_size = 64
lr_rate = 1e-3
"""


@pytest.fixture
def convert(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text):
        Path("old.ini").write_text(text, "utf-8")
        lines = convert_ini(Path("old.ini"))
        return tomllib.loads(Path("old.toml").read_text()), lines

    return write


def problems(convert, text):
    with pytest.raises(UserError) as caught:
        convert(text)
    assert not Path("old.toml").exists()
    *found, last = caught.value.problems
    assert last.endswith("old.toml was not written") and last.startswith(f"{len(found)} problem")
    return found


def test_the_notes_form_converts_and_validates(convert):
    data, lines = convert(NOTES)
    assert data["training"] == {"epochs": 12, "batch_size": 64, "device": "auto"}
    assert data["optimizer"] == {"lr": 0.001}
    assert data["competition"] == {"name": "old", "root": "./data"}
    load_config(Path("old.toml"))
    assert "old.ini:11: [hyper_params] lr_rate = 1e-3 -> [optimizer] lr" in lines
    todo = [line for line in lines if line.startswith("TODO")]
    assert any(line.startswith("TODO old.ini:3: [settings] debug = off: ") for line in todo)
    assert any(line.startswith("TODO old.ini:5: [settings] log_path = ./logs: not needed") for line in todo)


def test_values_are_those_of_configparser(tmp_path):
    path = tmp_path / "some.ini"
    path.write_text(
        "[DEFAULT]\nroot = /data\nshare = 50%%\n[a b]\nPath = %(root)s/train\nurl: http://x/y=z\nk : v\n"
        "deep = %(PATH)s/%(root)s\n; comment\n  # comment\n[c]\nroot = ./here\npath=%(root)s\nlr = +.5e-3\n"
    )
    parser = ConfigParser()
    parser.read(path)
    entries, found = read_ini(path)
    assert not found
    for entry in entries:
        expected = parser.defaults() if entry.section == "DEFAULT" else parser[entry.section]
        if entry.section != "DEFAULT":
            assert expand(entry, entries) == (expected[entry.key], "")
    assert {e.section for e in entries} == {"DEFAULT", *parser.sections()}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("epoch = 10,", "the ',' at its end makes it text. Write 10"),
        ("batch_size = 64;", "the ';' at its end makes it text. Write 64"),
        ("gpu = False", "get() gives the text 'False', which is true in an `if`"),
        ("pretrained = FALSE", "get() gives the text 'False', which is true in an `if`"),
        ('pretrained = "False"', "ConfigParser keeps the quotes as part of the text. Write False"),
        ("model = 'resnet18'", "ConfigParser keeps the quotes as part of the text. Write resnet18"),
        ("pretrained = maybe", "is neither on nor off"),
        ("lr = 0,001", "is not a number: the decimal sign is a point"),
        ("lr = 1e-3f", "is not a number"),
        ("lr = False", "is on or off, where a number is needed"),
        ("lr = nan", "is not a number"),
        ("lr = on", "is on or off, where a number is needed"),
        ("epochs = 1e1", "getint() refuses it. Write 10"),
        ("epochs = 10.0", "getint() refuses it. Write 10"),
        ("epochs = 10.5", "is not an integer"),
        ("epochs = ten", "is not an integer"),
        ("epochs = １０", "is not an integer"),
        ("epochs = 10 # enough", "ConfigParser keeps the comment as part of the value"),
        ("epochs = 10 ; enough", "ConfigParser keeps the comment as part of the value"),
        ("weight_decay = None", "is the text 'None', not Python's None"),
        ("epochs =", "is empty"),
        (
            "img_size = [224, 224]",
            "is text, not a list. Write one number for a square, or height and width as two keys",
        ),
        ("img_size = (224, 224)", "is text, not a list"),
        ("img_size = 224x224", "is not a number. Write one number for a square"),
        ("train_dir = 50%", "a single % is ConfigParser's sign for %(key)s"),
        ("train_dir = %(root)s/x", "%(root)s names no key of [s] or [DEFAULT]"),
        ("train_dir = %(train_dir)s/x", "its %(key)s lead in a circle"),
        ("train_dir = ${root}/x", "${...} is expanded by ExtendedInterpolation only"),
        ("  epochs = 3", "is indented, so that it continues the value of first, line 2"),
        ("epochs", "'epochs' is neither [section] nor key = value"),
        ("FIRST = 2", "the key stands on line 2 already, as 1; upper and lower case are one key"),
        ("[s]", "[s] stands on line 1 already"),
        ("[t] lr = 3", "what follows [t] is ignored: lr = 3"),
        ("lr = -1", "[optimizer] lr = -1.0: must be a number, 1e-09 <= x <= 100"),
        ("epochs = 0", "[training] epochs = 0: must be an integer"),
    ],
)
def test_each_slip_is_an_error_with_its_line(convert, line, message):
    (problem,) = problems(convert, f"[s]\nfirst = 1\n{line}\n")
    assert problem.startswith("old.ini:3: ") and message in problem


def test_all_slips_come_at_once_in_the_order_of_lines(convert):
    text = "lr = 1\n[s]\nepoch = 10,\ngpu = False\n[t]\nlr = 1\nlearning_rate = 2\nlr = 3\n"
    found = problems(convert, text)
    assert [problem.split(":")[1] for problem in found] == ["1", "3", "4", "7", "8"]
    assert "sets [optimizer] lr, which lr = 1 on line 6 sets already. Remove one" in found[3]


@pytest.mark.parametrize(
    ("text", "table", "expected"),
    [
        ("model = resnet18\npretrained = yes", "model",
         {"name": "torchvision", "backbone": "resnet18", "pretrained": True}),
        ("arch = vit_base_patch16_224\npretrained = no", "model",
         {"name": "timm", "backbone": "vit_base_patch16_224", "pretrained": False}),
        ("optimizer = SGD\nmomentum = .9\nwd = 5e-4", "optimizer",
         {"name": "sgd", "momentum": 0.9, "weight_decay": 0.0005}),
        ("criterion = CrossEntropyLoss\nsmoothing = 0.1", "loss", {"name": "cross_entropy", "label_smoothing": 0.1}),
        ("height = 128\nwidth = 96", "images", {"size": [128, 96]}),
        ("resize = 96", "images", {"size": [96, 96]}),
        ("lr_decay_step = 20\nepochs = 50\ngamma = 0.5", "scheduler",
         {"name": "step", "every_share": 0.4, "gamma": 0.5}),
        ("val_ratio = 0.2", "folds", {"name": "holdout", "share": 0.2}),
        ("k-fold = 4", "folds", {"n": 4}),
        ("train_dir = data/train\ntest_dir = data/eval", "dataset", {"name": "folder", "train": "train", "test": "eval"}),
        ("train_dir = /data/a/train\ntest_dir = test", "competition", {"name": "old", "root": "."}),
        ("train_dir = train\nimg size = 64\nroot = ..", "images", {"size": [64, 64]}),
        ("metric = f1", "metric", {"name": "macro_f1"}),
        ("device = cuda:0", "training", {"device": "cuda"}),
        ("gpu = off", "training", {"device": "cpu"}),
    ],
)  # fmt: skip
def test_old_names_have_a_place(convert, text, table, expected):
    data, _ = convert(f"[s]\n{text}\n")
    assert data[table] == expected
    load_config(Path("old.toml"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("warmup = 3", "old.ini:2: [s] warmup = 3: no such key in a TOML."),
        ("batch_szie = 3", "no such key in a TOML. Did you mean 'batch_size'?"),
        ("verbose = False", "get() gives the text 'False', which is true"),
        ("optimizer = madgrad", "unknown optimizer."),
        ("model = resnet19", "unknown model. Did you mean 'resnet18'"),
        ("optimizer = adam\nmomentum = 0.9", "old.ini:3: [s] momentum = 0.9: [optimizer] adam has no option momentum"),
        ("gpu = 0", "old.ini:2: [s] gpu = 0: a GPU's number, or off?"),
        ("height = 3", "height and width come together"),
        ("lr_decay_step = 20\nepochs = 10", "no rate would fall by it"),
        ("scheduler = StepLR", "[scheduler] step needs every_share"),
        (
            "batch_size = 8\n[valid]\nbatch_size = 16",
            "old.ini:4: [valid] batch_size = 16: sets [training] batch_size, wh",
        ),
        ("seed = 1", "[dataset]: taken for folders named by label"),
    ],
)
def test_what_has_no_place_is_a_todo_in_the_file(convert, text, message):
    _, lines = convert(f"[s]\n{text}\n")
    assert any(message in line for line in lines if line.startswith("TODO"))
    assert "# TODO" in Path("old.toml").read_text()
    load_config(Path("old.toml"))


def test_every_key_is_told(convert):
    text = "[s]\n" + "".join(f"{key} = 1\n" for key in ("epochs", "x", "debug", "warmup", "y_z"))
    _, lines = convert(text)
    for number in range(2, 7):
        assert any(f"old.ini:{number}: " in line for line in lines)


def test_sections_may_name_the_component_and_override_defaults(convert):
    data, _ = convert("[DEFAULT]\nlr = 1\n[optimizer]\nname = sgd\nlr = 0.5\n[model]\nname = resnet50\n")
    assert data["optimizer"] == {"name": "sgd", "lr": 0.5} and data["model"]["backbone"] == "resnet50"


def test_the_table_of_names_is_sound():
    assert not set(KEYS) & set(NOT_NEEDED)
    load = {place.kind for place in KEYS.values()} - {
        "int",
        "float",
        "bool",
        "size",
        "str",
        "device",
        "precision",
        "model",
    }
    assert load == set(VALUES)
    from compete.config.plugins import load_plugins

    registry = load_plugins().registry
    for kind, words in VALUES.items():
        assert set(words.values()) <= set(registry[f"{kind}es" if kind == "loss" else f"{kind}s"])


def test_files_that_cannot_be_read_are_refused(convert):
    with pytest.raises(UserError, match=r"ConfigParser\.read\(\) would have gone on without it"):
        convert_ini(Path("missing.ini"))
    Path("latin.ini").write_bytes("[s]\nname = Größe\n".encode("latin-1"))
    with pytest.raises(UserError, match="not UTF-8"):
        convert_ini(Path("latin.ini"))
    Path("empty.ini").write_text("# nothing\n")
    with pytest.raises(UserError, match="has no key = value"):
        convert_ini(Path("empty.ini"))
    convert("[s]\nseed = 1\n")
    with pytest.raises(UserError, match=r"old\.toml exists already"):
        convert("[s]\nseed = 2\n")


def test_the_file_s_name_becomes_a_name_for_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my settings (2).ini").write_text("[s]\nseed = 1\n")
    lines = convert_ini(Path("my settings (2).ini"))
    assert lines[0] == "my-settings-2.toml: written"
    assert load_config(Path("my-settings-2.toml")).competition.name == "my-settings-2"


def test_init_takes_a_folder_or_an_ini():
    with pytest.raises(UserError, match="give no folder"):
        first_toml(Path("data"), None, [], Path("old.ini"))
    with pytest.raises(UserError, match="compete init FOLDER"):
        first_toml(None, None, [], None)
