"""`compete ablate` on the tiny competition: what it switches off, reuses, writes and concludes."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest

from compete.config.load import load_config
from compete.errors import ConfigError, UserError
from compete.study.ablate import ablate
from compete.study.ablation import augmentation_switches, cost, named_switches, variants

BOTH = (
    'transforms=[{name="torchvision", fixed=[{name="RandomInvert"}], random=[{name="RandomHorizontalFlip"}, '
    '{name="RandomErasing"}]}, {name="albumentations", random=[{name="Rotate"}]}, {name="twilight"}, {name="frame"}]'
)
MIXUP = 'batch_transforms=[{name="mixup"}]'
PLUGIN = """
import numpy as np
from compete import Transform, hookimpl

def dark(image, seed):
    return np.full_like(image, np.random.default_rng(seed).integers(0, 255))

def twilight():
    "Hide what an image shows."
    return Transform(random=dark)

def frame():
    return Transform(fixed=lambda image: image, random=lambda image, seed: image)

@hookimpl
def register_transforms():
    return {"twilight": twilight, "frame": frame}
"""
FAST = ["training.epochs=1", "training.workers=0"]
PLUGINS = 'plugins=["tiny_plugin.py", "dusk.py"]'


@pytest.fixture
def dusk(tiny):
    (tiny / "dusk.py").write_text(PLUGIN)
    return tiny / "tiny.toml"


def labels(switches):
    return [switch.label for switch in switches]


def test_each_random_transform_is_switched_off_whatever_brings_it(dusk):
    config = load_config(dusk, [PLUGINS, BOTH, MIXUP])
    switches, notes = augmentation_switches(config)
    assert labels(switches) == ["RandomHorizontalFlip", "RandomErasing", "Rotate", "twilight", "mixup", "all"]
    (note,) = notes
    assert note.startswith("[[transforms]] frame has a fixed part too")
    found = variants(config, switches)
    chains = [[(b.name, len(b.options.get("random", ()))) for b in other.many("transforms")] for other in found]
    whole = [("torchvision", 2), ("albumentations", 1), ("twilight", 0), ("frame", 0)]
    assert chains[0] == chains[1] == [("torchvision", 1), *whole[1:]]
    assert [entry["name"] for entry in found[1].many("transforms")[0].options["random"]] == ["RandomHorizontalFlip"]
    assert chains[2] == [whole[0], ("albumentations", 0), *whole[2:]]
    assert chains[3] == [*whole[:2], ("frame", 0)]
    assert chains[4] == whole and not found[4].many("batch_transforms")
    assert chains[5] == [("torchvision", 0), ("albumentations", 0), ("frame", 0)]
    assert found[5].many("transforms")[0].options["fixed"]


def test_one_thing_alone_is_not_repeated_as_all(dusk):
    config = load_config(dusk, [MIXUP])
    assert labels(augmentation_switches(config)[0]) == ["mixup"]


def test_any_key_can_be_switched_off(tiny):
    sets = ['sampler={name="weighted", power=0.5}', 'tta=[{name="flips"}]', "loss.label_smoothing=0.1"]
    config = load_config(tiny / "tiny.toml", sets)
    found = variants(config, named_switches(["sampler", "sampler.power", "tta", "loss.label_smoothing"]))
    assert found[0].one("samplers").name == "shuffle"
    assert found[1].one("samplers").options["power"] == 1.0
    assert not found[2].many("tta")
    assert found[3].one("losses").options["label_smoothing"] == 0.0


@pytest.mark.parametrize(
    ("off", "message"),
    [
        ("smpler", "without smpler: smpler: the TOML has no 'smpler'."),
        (
            "optimizer.lrr",
            "without optimizer.lrr: optimizer.lrr: 'optimizer' has no 'lrr'. Did you mean 'lr'? It has lr",
        ),
        ("optimizer.lr.0", "without optimizer.lr.0: optimizer.lr.0: 'optimizer.lr' has no '0'. It has no keys."),
        ("model", "without model: "),
        ("training.device", "without training.device: "),
        ("ensemble", "without ensemble: no member's score depends on it"),
    ],
)
def test_what_cannot_be_switched_off_is_refused_before_anything_runs(tiny, off, message):
    config = load_config(tiny / "tiny.toml", ['ensemble.name="mean"', 'training.device="auto"'])
    with pytest.raises(ConfigError) as caught:
        variants(config, named_switches([off]))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "off", ["folds", "folds.n", "metric", "dataset", "training", "training.seed", "target", "a..b"]
)
def test_what_runs_are_compared_by_stays(off):
    with pytest.raises(UserError, match=rf"--off {re.escape(off)}: "):
        named_switches([off])


def test_the_cost_is_said_before_anything_is_trained(tiny):
    config = load_config(tiny / "tiny.toml", [*FAST, MIXUP, 'tta=[{name="flips"}]'])
    switches = named_switches(["tta", "batch_transforms"])
    text = cost(config, switches, variants(config, switches), 3)
    assert text.startswith("3 runs, the base and 2 without something: 6 members to train of 9; the base, which")


def test_it_finds_what_hides_the_classes_and_resumes(dusk, capsys, monkeypatch):
    sets = [
        PLUGINS,
        "training.epochs=6",
        "training.workers=0",
        'transforms=[{name="twilight"}]',
        'tta=[{name="flips"}]',
    ]
    ablate(dusk, sets, off=["transforms.0", "tta"])
    text = capsys.readouterr().out
    assert "members to train of 9" in text and "[1/2] without transforms.0" in text
    (path,) = dusk.parent.glob("submissions/tiny/ablate-*.json")
    data = json.loads(path.read_text())
    without, tta = data["without"]
    assert without["difference"]["mean"] > 0.1 and without["difference"]["verdict"].startswith(("hurts", "cannot"))
    assert without["run"].startswith("ablate-no-transforms-0-") and data["base"]["run"].startswith("ablate-base-")
    assert (data["left"] == [] and "hurts" in text) or "cannot be told with this spread" in text
    # Without TTA the members are the same: weights are copied, only predictions are made again.
    runs = path.parent
    weights = [runs / name / "members/fold0-seed42/weights.safetensors" for name in (data["base"]["run"], tta["run"])]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    table = pd.read_csv(path.with_suffix(".csv"))
    assert table["run"].tolist() == [data["base"]["run"], without["run"], tta["run"]]

    import compete.stages.members

    monkeypatch.setattr(compete.stages.members, "train", lambda *_: pytest.fail("a member was trained again"))
    ablate(dusk, sets, off=["transforms.0", "tta"])
    assert json.loads(path.read_text()) == data
    assert "0 members to train of 9" in capsys.readouterr().out


def test_a_toml_without_augmentation_is_told_what_to_name(tiny):
    with pytest.raises(
        UserError, match=r"no random transform or batch transform\. Name what to switch off: --off sampler"
    ):
        ablate(tiny / "tiny.toml", FAST, off=None)
