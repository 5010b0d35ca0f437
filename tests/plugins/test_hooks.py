"""Module hooks: what they record is what happened, and nothing happens differently because of them."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from compete import ConfigError, hookimpl
from compete.config.load import load_config
from compete.errors import TrainingError
from compete.session import RunOptions
from compete.stages.runner import run_competition
from compete.train.loop import train
from compete.types import Member
from compete_plugins.hooks._activations import Activations
from compete_plugins.hooks._modules import Watch, choose_modules

ALL = 'hooks=[{name="activations"}, {name="activations", on="backward"}, {name="nan_watch"}, {name="grad_cam"}]'


class Spy:
    """Keeps the network, and what some modules gave in training, by a hook of its own."""

    def __init__(self, *names: str) -> None:
        self.names, self.outputs, self.network = names, {name: [] for name in names}, nn.Module()

    @hookimpl
    def on_member_start(self, trainer):
        self.network = trainer.network
        for name in self.names:
            trainer.network.get_submodule(name).register_forward_hook(self.keeper(name))

    def keeper(self, name):
        def keep(module, _inputs, output):
            if module.training and module is self.network.get_submodule(name):
                self.outputs[name].append(output.detach().clone().flatten().numpy())

        return keep


class Poison:
    @hookimpl
    def on_step_end(self, trainer):
        nn.init.constant_(trainer.network.head.weight, float("nan"))


def trained(run, *names: str):
    spy = Spy(*names)
    run.session.register(spy)
    train(run, Member(0, 42))
    return spy, run.member_folder(Member(0, 42))


def test_activations_are_the_statistics_of_all_training_batches(make_run):
    run = make_run('hooks=[{name="activations", modules=["stem.2", "head"]}]', 'callbacks=[{name="ema"}]')
    spy, folder = trained(run, "stem.2", "head")
    table = pd.read_csv(folder / "activations.csv").set_index(["epoch", "module"])
    assert len(table) == 4
    for epoch in (1, 2):
        for name in ("stem.2", "head"):
            values = np.concatenate(spy.outputs[name][3 * (epoch - 1) : 3 * epoch]).astype(float)  # 3 steps an epoch
            row = table.loc[(epoch, name)]
            assert row["values"] == len(values) == 15 * {"stem.2": 256, "head": 3}[name]
            expected = [values.mean(), values.std(), (values == 0).mean()]
            assert row[["mean", "std", "zeros"]].tolist() == pytest.approx(expected, rel=1e-4)


def test_a_large_mean_does_not_drown_the_standard_deviation():
    watcher = Activations(["0"], "forward")
    watcher.sums, watcher.names = torch.zeros(1, 4, dtype=torch.float64), ["0"]
    values = 1000 + torch.randn(2, 5000)
    for part in values:
        watcher._add(0, (), part)
    count, total, squares, _ = watcher.sums[0].tolist()
    assert (squares / count - (total / count) ** 2) ** 0.5 == pytest.approx(float(values.std(correction=0)), rel=1e-3)


def test_gradients_are_those_of_torch_s_own_backward_hook():
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    ours, theirs = {}, {}
    watch = Watch(network, ["0", "1", "2"], "backward", lambda n, _inputs, g: ours.update({n: g.clone()}))
    for number, layer in enumerate(network):
        layer.register_full_backward_hook(lambda _m, _i, out, n=number: theirs.update({n: out[0].clone()}))
    network(torch.randn(5, 3, requires_grad=True)).square().sum().backward()
    assert list(ours) == [2, 1, 0] and all(torch.equal(ours[n], theirs[n]) for n in ours)
    watch.remove()
    assert all(len(layer._forward_hooks) == 0 for layer in network)


def test_an_in_place_relu_may_follow_a_watched_module():
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(inplace=True), nn.Linear(4, 2))
    seen = []
    Watch(network, choose_modules(network, None, ""), "backward", lambda n, _inputs, g: seen.append(n))
    network(torch.randn(5, 3)).sum().backward()
    assert sorted(seen) == [0, 1, 2, 3]


def test_copies_and_validation_are_not_watched():
    network = nn.Sequential(nn.Linear(3, 4))
    seen = []
    Watch(network, ["0"], "forward", lambda n, _inputs, values: seen.append(len(values)))
    copy.deepcopy(network)(torch.randn(5, 3))
    with torch.no_grad():
        network(torch.randn(6, 3))
    network(torch.randn(7, 3))
    assert seen == [7]


def test_hooks_are_gone_after_training_and_after_an_error(make_run):
    run = make_run(ALL)
    spy, _ = trained(run)
    assert not any(module._forward_hooks for module in spy.network.modules())
    run = make_run(ALL, "training.checkpoint_minutes=1")
    spy = Spy()
    run.session.register(Poison())
    run.session.register(spy)
    with pytest.raises(TrainingError) as stopped:
        train(run, Member(1, 42))
    assert any(module._forward_hooks for module in spy.network.modules())
    run.hook.on_run_error(run=run.session, error=stopped.value)
    assert not any(module._forward_hooks for module in spy.network.modules())


def test_results_are_byte_identical_with_and_without_hooks(tiny):
    recipe = ["model.dropout=0.3", 'batch_transforms=[{name="mixup"}]', 'callbacks=[{name="ema"}]']
    plain = run_competition(load_config(tiny / "tiny.toml", recipe), name="plain")
    watched = run_competition(load_config(tiny / "tiny.toml", [*recipe, ALL]), name="watched", fresh=True)
    members = [f"members/fold{n}-seed42/{file}" for n in range(3) for file in ("weights.safetensors", "oof.parquet")]
    for file in ("submission.csv", "oof.parquet", "test.parquet", *members):
        assert (plain.folder / file).read_bytes() == (watched.folder / file).read_bytes(), file
    drawn = sorted(path.name for path in (watched.folder / "members/fold2-seed42").iterdir())
    assert {"activations.csv", "gradients.csv", "grad_cam.png"} <= set(drawn)


def test_hooks_on_a_finished_run_say_that_nothing_is_watched(tiny):
    first = run_competition(load_config(tiny / "tiny.toml"))
    again = run_competition(load_config(tiny / "tiny.toml", [ALL]))
    assert again.folder == first.folder
    assert any("3 finished members will not be watched" in note for note in again.session.notes)


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        ('{name="activations", modules=["stm*"]}', r'modules = "stm\*": matches no module'),
        ('{name="nan_watch", modules=["head", "stem.9"]}', r'"stem.9": matches no module'),
        ('{name="grad_cam", module="layer4"}', r'module = "layer4": matches no module'),
    ],
)
def test_a_pattern_without_a_module_is_refused_before_images_are_read(tiny, hook, message):
    with pytest.raises(ConfigError, match=message):
        run_competition(load_config(tiny / "tiny.toml", [f"hooks=[{hook}]"]))
    assert not (tiny / ".compete").exists()


PLANTED = """
import torch
from compete import hookimpl

class Bad(torch.nn.Module):
    calls = 0
    def forward(self, values):
        if self.training and torch.is_grad_enabled():
            Bad.calls += 1
        return values * WHAT if Bad.calls == 2 and self.training else values

class Backwards(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values): return values.clone()
    @staticmethod
    def backward(ctx, gradient): return gradient * float("inf")

class BadGradient(torch.nn.Module):
    def forward(self, values): return Backwards.apply(values)

def planted(outputs: int, channels: int, *, kind: str = "forward"):
    torch.manual_seed(0)
    middle = Bad() if kind == "forward" else BadGradient()
    first = torch.nn.Sequential(torch.nn.Conv2d(channels, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    return torch.nn.Sequential(first, torch.nn.ReLU(inplace=True), middle, torch.nn.Linear(4, outputs))

def nan_loss(targets):
    # A whole training batch only: a run tries its loss on a few labels before it trains.
    return lambda logits, targets: logits.mean() * (float("nan") if len(logits) == 5 else 1.0)

@hookimpl
def register_models(): return {"planted": planted}
@hookimpl
def register_losses(): return {"nan_loss": nan_loss}
"""


def planted(tiny, *recipe, what='float("nan")'):
    (tiny / "planted.py").write_text(PLANTED.replace("WHAT", what))
    plugins = 'plugins=["tiny_plugin.py", "planted.py"]'
    return load_config(tiny / "tiny.toml", [plugins, "training.epochs=1", "model.name=planted", *recipe])


@pytest.mark.parametrize("what", ['float("nan")', 'float("inf")'])
def test_the_error_names_the_module_where_nan_begins(tiny, what):
    config = planted(tiny, 'hooks=[{name="nan_watch"}]', what=what)
    with pytest.raises(
        TrainingError, match=r"became NaN or infinite; nan_watch found the first in step 2, in the output of 2\."
    ):
        run_competition(config, options=RunOptions(doctor=False))


def test_without_the_watch_the_error_is_as_before(tiny):
    with pytest.raises(TrainingError, match=r"the training loss became NaN or infinite\. The member"):
        run_competition(planted(tiny), options=RunOptions(doctor=False))


def test_a_watched_module_after_the_first_says_that_its_input_was_bad(tiny):
    config = planted(tiny, 'hooks=[{name="nan_watch", modules=["3"]}]')
    with pytest.raises(TrainingError, match="output of 3, whose input had them already"):
        run_competition(config, options=RunOptions(doctor=False))


def test_the_backward_watch_names_the_gradient(tiny):
    """The bad function gives an infinite gradient to what comes before it: the ReLU's output."""
    config = planted(tiny, 'hooks=[{name="nan_watch", on="backward"}]', "model.kind=backward")
    with pytest.raises(TrainingError, match="gradient of the output of 1"):
        run_competition(config, options=RunOptions(doctor=False))


def test_a_loss_that_is_nan_by_itself_is_told_from_a_network_s(tiny):
    config = planted(tiny, 'hooks=[{name="nan_watch"}]', "loss.name=nan_loss", "model.kind=none")
    with pytest.raises(TrainingError, match="nan_watch saw none in the outputs of 6 modules"):
        run_competition(config, options=RunOptions(doctor=False))


def test_skipped_steps_name_the_module_in_the_warning(tiny):
    config = planted(tiny, 'hooks=[{name="nan_watch"}]', "training.on_nan=skip")
    warnings = run_competition(config, options=RunOptions(doctor=False)).session.warnings
    [warning] = [text for text in warnings if "were skipped" in text]
    assert warning.endswith("nan_watch found the first in step 2, in the output of 2")


def test_a_hook_that_fails_on_the_network_is_named_with_its_line(tiny):
    (tiny / "odd.py").write_text(
        "from compete import hookimpl\n"
        "class Odd:\n    def match(self, network): return network.nothing\n"
        "def odd(): return Odd()\n"
        "@hookimpl\ndef register_hooks(): return {'odd': odd}\n"
    )
    recipe = ['plugins=["tiny_plugin.py", "odd.py"]', 'hooks=[{name="odd"}]']
    with pytest.raises(
        ConfigError, match=r'\[\[hooks\]\] name = "odd": does not suit the network: AttributeError.*odd.py:3'
    ):
        run_competition(load_config(tiny / "tiny.toml", recipe))
