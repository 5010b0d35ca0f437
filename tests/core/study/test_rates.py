"""The learning-rate range test, against a problem whose stable rates are known, and on the tiny competition."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd
import pytest
import torch
import typer
from PIL import Image

from compete.config.load import load_config
from compete.errors import ConfigError, UserError
from compete.study.commands import lr
from compete.study.dry_run import dry_run
from compete.study.rates import option_to_set, range_test, suggest

QUADRATIC = """
import torch
from compete import hookimpl

class Valley(torch.nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.head = torch.nn.Linear(1, outputs)
        torch.nn.init.constant_(self.head.weight, 1.0)
    def forward(self, images):
        return self.head(torch.ones(len(images), 1))

def valley(outputs: int, channels: int):
    return Valley(outputs)

def bowl(targets):
    return lambda logits, targets: CURVATURE / 2 * logits.square().sum(dim=1).mean()

@hookimpl
def register_models(): return {"valley": valley}
@hookimpl
def register_losses(): return {"bowl": bowl}
"""


@pytest.mark.parametrize("curvature", [1.0, 100.0])
def test_gradient_descent_on_a_parabola_diverges_beyond_its_known_rate(tiny, curvature):
    """Weight and bias move together, so the curvature along them is 2c; descent is stable below 2 / (2c) = 1 / c."""
    (tiny / "valley.py").write_text(QUADRATIC.replace("CURVATURE", str(curvature)))
    recipe = [
        'plugins=["tiny_plugin.py", "valley.py"]',
        "model.name=valley",
        "loss.name=bowl",
        "optimizer.name=sgd",
        "optimizer.momentum=0",
        "optimizer.nesterov=false",
        "optimizer.weight_decay=0",
    ]
    with dry_run(load_config(tiny / "tiny.toml", recipe)) as run:
        table = range_test(run, 1e-5, 10, steps=100)
    assert len(table) < 100  # it stopped
    lowest = table["lr"][table["loss"].idxmin()]
    assert 0.3 / curvature < lowest < 1.3 / curvature  # just below, or at, the rate at which it begins to climb
    suggestion = suggest(table, 10)
    assert 0.02 / curvature < suggestion.tenth < 0.3 / curvature and suggestion.steepest < 1 / curvature


def readings(losses, rates=None, high=1.0):
    rates = np.geomspace(1e-4, 1, len(losses)) if rates is None else rates
    return suggest(pd.DataFrame({"lr": rates, "loss": losses, "smoothed": losses}), high)


def test_the_suggestion_is_read_off_a_worked_curve():
    rates = np.geomspace(1e-4, 1, 5)  # 1e-4 ... 1e0
    found = readings([2.0, 1.9, 1.0, 0.8, 5.0], rates)
    assert found.tenth == pytest.approx(1e-2) and found.steepest == pytest.approx(1e-2) and not found.notes


@pytest.mark.parametrize(
    "losses", [[2.0, 2.1, 2.2, 2.5, 9.0], [2.0, 2.0, 1.95, 2.5, 9.0], [0.0] * 5, [1.0, np.inf, np.inf, np.inf, np.inf]]
)
def test_a_loss_that_never_fell_gives_no_suggestion(losses):
    assert readings(losses) is None


def test_a_minimum_at_the_end_is_said_to_lie_beyond():
    assert "--high" in readings([2.0, 1.8, 1.5, 1.0, 0.5]).notes[0]


def test_the_test_leaves_random_state_weights_and_files_alone(tiny):
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    before = sorted(tiny.rglob("*"))
    with dry_run(load_config(tiny / "tiny.toml")) as run:
        weights = {name: tensor.clone() for name, tensor in run.network.state_dict().items()}
        state = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
        range_test(run, 1e-5, 1, steps=30)
        assert random.getstate() == state[0] and np.array_equal(np.random.get_state()[1], state[1])
        assert torch.equal(torch.get_rng_state(), state[2])
        assert all(torch.equal(weights[name], tensor) for name, tensor in run.network.state_dict().items())
    assert sorted(tiny.rglob("*")) == before


def test_rates_grow_evenly_and_groups_keep_their_ratios(tiny, monkeypatch):
    seen = []

    def watch(trainer, batches):
        seen.append([group["lr"] for group in trainer.optimizer.param_groups])
        trainer.progress.loss_sum.fill_(1.0)

    monkeypatch.setattr("compete.study.rates.train_step", watch)
    with dry_run(load_config(tiny / "tiny.toml", ["finetune.backbone_lr_ratio=0.1"])) as run:
        table = range_test(run, 1e-4, 1, steps=21)
    assert table["lr"].tolist() == pytest.approx(np.geomspace(1e-4, 1, 21).tolist())
    assert [max(rates) for rates in seen] == pytest.approx(table["lr"].tolist())
    assert all(min(rates) == pytest.approx(max(rates) / 10) for rates in seen)


@pytest.mark.parametrize(
    "recipe",
    [
        ["training.accumulation_steps=2"],
        ["training.on_nan=skip"],
        ["scheduler.name=one_cycle"],
        ["finetune.freeze=backbone"],
        ["training.max_grad_norm=1.0"],
        ['batch_transforms=[{name="mixup"}]'],
    ],
)
def test_the_command_prints_a_line_that_works_as_typed(tiny, capsys, recipe):
    lr(tiny / "tiny.toml", recipe, low=1e-4, high=10.0, steps=60, plot=tiny / "lr.png", csv=tiny / "lr.csv")
    line = capsys.readouterr().out.splitlines()[-1]
    flag, override = line.split(" ")
    assert flag == "--set" and load_config(tiny / "tiny.toml", [*recipe, override])
    table = pd.read_csv(tiny / "lr.csv")
    assert list(table) == ["lr", "loss", "smoothed"] and table["lr"].is_monotonic_increasing
    with Image.open(tiny / "lr.png") as drawn:
        assert drawn.format == "PNG"
    assert not (tiny / "submissions").exists()


def test_a_network_that_cannot_learn_exits_with_1(tiny, capsys):
    with pytest.raises(typer.Exit) as stopped:
        lr(tiny / "tiny.toml", ["model.name=oracle"], low=1e-4, high=1.0, steps=30)
    assert stopped.value.exit_code == 1 and "no suggestion" in capsys.readouterr().out


def test_what_the_test_cannot_do_is_refused_first(tiny):
    with pytest.raises(UserError, match="must be below"):
        lr(tiny / "tiny.toml", low=1.0, high=0.1)
    with pytest.raises(UserError, match="a folder; name a file"):
        lr(tiny / "tiny.toml", low=1e-4, high=0.1, plot=tiny)
    (tiny / "fixed.py").write_text(
        "import torch\nfrom compete import hookimpl\n"
        "def fixed(groups): return torch.optim.SGD(groups, lr=0.1)\n"
        "@hookimpl\ndef register_optimizers(): return {'fixed': fixed}\n"
    )
    toml = (tiny / "tiny.toml").read_text().replace('name = "adamw"\nlr = 0.05', 'name = "fixed"')
    (tiny / "fixed.toml").write_text(toml.replace('["tiny_plugin.py"]', '["tiny_plugin.py", "fixed.py"]'))
    with pytest.raises(ConfigError, match="has no option lr"):
        option_to_set(load_config(tiny / "fixed.toml"), 0.1)
