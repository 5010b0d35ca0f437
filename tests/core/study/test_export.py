"""`compete features` writes what goes into the head, by id."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from compete.cli import app
from compete.config.load import load_config
from compete.model.network import build_network
from compete.stages.predictions import load_member

pytest_plugins = ["core.features.conftest"]


def features(*arguments):
    result = CliRunner().invoke(app, ["features", *map(str, arguments)])
    return result.exit_code, result.output


def pixels(path):
    images = torch.from_numpy(np.asarray(Image.open(path))[None].copy()).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return (images - mean) / std


def by_hand(network, frame, root):
    """Return the mean over positions of the stem's output, for each row's first image."""
    with torch.inference_mode():
        return np.concatenate([network.eval().stem(pixels(root / path)).mean(dim=(2, 3)) for path in frame])


def test_the_features_of_a_toml_are_those_of_its_network(frozen):
    code, output = features("tiny.toml", "--out", "features", "--set", "training.batch_size=5")
    assert code == 0, output
    assert output.splitlines() == [
        "features/train.parquet: 24 rows of 6 features of the input of the head",
        "features/test.parquet: 7 rows of 6 features of the input of the head",
    ]
    network = build_network(load_config(frozen / "tiny.toml"), 3, 0, seed=0)
    train, test = (pd.read_parquet(f"features/{name}.parquet") for name in ("train", "test"))
    assert train.columns.tolist() == ["id", "f0", "f1", "f2", "f3", "f4", "f5"]
    table = pd.read_csv("data/train.csv")
    assert train["id"].tolist() == table["id"].tolist()
    np.testing.assert_allclose(train.iloc[:, 1:], by_hand(network, table["image"], frozen / "data"), atol=1e-5)
    names = ("test/" + test["id"] + ".png").tolist()
    np.testing.assert_allclose(test.iloc[:, 1:], by_hand(network, names, frozen / "data"), atol=1e-5)
    assert not (frozen / "submissions").exists()
    assert "exists already" in features("tiny.toml", "--out", "features")[1]


def test_another_layer_is_averaged_over_its_positions(frozen):
    assert features("tiny.toml", "--out", "out", "--layer", "stem.2", "--set", "head.name=multi_sample_dropout")[0] == 2
    assert features("tiny.toml", "--out", "out", "--layer", "stem.2")[0] == 0
    assert features("tiny.toml", "--out", "default")[0] == 0
    stem, head = (pd.read_parquet(f"{folder}/train.parquet").set_index("id") for folder in ("out", "default"))
    np.testing.assert_allclose(stem, head, atol=1e-6)
    code, output = features("tiny.toml", "--out", "more", "--layer", "stem.3")
    assert code == 2
    assert "--layer stem.3: unknown module 'stem.3'. Did you mean 'stem" in output


def test_a_row_of_several_images_is_their_mean_or_listed(frozen):
    plugin = (frozen / "tiny_plugin.py").read_text()
    plugin = plugin.replace(
        "    return Tables(train if",
        '    last = train.groupby("group")["image"].transform("last")\n'
        '    train["image"] = [[p, q] for p, q in zip(train["image"], last)]\n'
        "    return Tables(train if",
    )
    assert features("tiny.toml", "--out", "single")[0] == 0
    (frozen / "tiny_plugin.py").write_text(plugin)
    more = ["--set", "training.batch_size=2"]
    code, output = features("tiny.toml", "--out", "mean", *more)
    assert code == 0, output
    assert features("tiny.toml", "--out", "each", "--each-image", *more)[0] == 0
    single, mean, each = (pd.read_parquet(f"{name}/train.parquet") for name in ("single", "mean", "each"))
    last = single.iloc[[number | 1 for number in range(24)], 1:].to_numpy()
    np.testing.assert_allclose(mean.iloc[:, 1:], (single.iloc[:, 1:].to_numpy() + last) / 2, atol=1e-6)
    assert each["id"].tolist() == [name for name in single["id"] for _ in range(2)]
    assert each["image"].tolist()[:3] == ["train/p00_0.png", "train/p00_1.png", "train/p00_1.png"]
    np.testing.assert_allclose(each.iloc[::2, 2:], single.iloc[:, 1:], atol=1e-6)


def test_a_run_has_features_of_each_member(frozen, run_with):
    run = run_with("finetune.freeze=none")
    code, output = features(run.folder, "--out", "out")
    assert code == 2
    assert "each member has features of its own. Choose one: --member fold0-seed42" in output
    code, output = features(run.folder, "--out", "out", "--member", "fold1-seed4")
    assert code == 2
    assert "Did you mean 'fold1-seed42'?" in output
    assert features(run.folder, "--out", "out", "--member", "fold1-seed42")[0] == 0
    network, _ = load_member(run, run.members[1])
    train = pd.read_parquet("out/train.parquet")
    expected = by_hand(network, pd.read_csv("data/train.csv")["image"], frozen / "data")
    np.testing.assert_allclose(train.iloc[:, 1:], expected, atol=1e-4)
    assert json.loads((run.folder / "scores.json").read_text())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tiny.toml", "--member", "fold0-seed42"], "--member names a network of a run's folder"),
        (["data"], "not a run's folder with finished members"),
        (["nothing.toml"], "nothing.toml"),
    ],
)
def test_what_cannot_be_is_said(frozen, arguments, said):
    code, output = features(*arguments, "--out", "out")
    assert code == 2
    assert said in output
