"""SWA and greedy soup, against torch's own averages, worked cases, and an unbroken run."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, update_bn

from compete import Epoch, Metric, hookimpl
from compete.errors import Stopped
from compete.train.loop import train
from compete.train.trainer import build_trainer
from compete.types import Member
from compete_plugins.callbacks import soup, swa
from compete_plugins.callbacks._averages import mean


def make_network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(64, 2))


def test_swa_is_torch_s_average_with_torch_s_statistics():
    network, batches = make_network(), [(torch.randn(8, 3, 6, 6),) for _ in range(3)]
    oracle = AveragedModel(network)
    callback = swa(last_epochs=2)
    trainer = SimpleNamespace(network=network, epochs=4, epoch=0, step=3, steps_per_epoch=3)
    trainer.training_inputs = lambda: iter(batches)
    callback.on_member_start(trainer)
    for trainer.epoch in range(4):
        network.train()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter) / 10)
        network(batches[0][0])
        callback.on_step_end(trainer)
        if trainer.epoch < 2:
            assert callback.evaluation_network(trainer) is None
        else:
            oracle.update_parameters(network)
            update_bn(iter(batches), oracle)
            averaged = callback.evaluation_network(trainer)
            assert averaged is callback.evaluation_network(trainer)
            for (name, own), expected in zip(
                averaged.state_dict().items(), oracle.module.state_dict().values(), strict=True
            ):
                torch.testing.assert_close(own, expected, msg=name)


def test_swa_counts_an_epoch_once_and_only_at_its_end():
    network = make_network().train()
    trainer = SimpleNamespace(network=network, epochs=1, epoch=0, step=1, steps_per_epoch=3)
    callback = swa()
    callback.on_member_start(trainer)
    callback.on_step_end(trainer)
    assert callback.evaluation_network(trainer) is None
    trainer.step = 3
    callback.on_step_end(trainer)
    assert int(callback.average.n_averaged) == 1


def test_swa_leaves_the_statistics_of_frozen_parts_alone(make_run):
    run = make_run('finetune.freeze=["stem"]', 'callbacks=[{name="swa", last_epochs=1}]')
    _, weights, _ = train(run, Member(0, 42))
    assert torch.equal(weights["stem.1.running_mean"], torch.zeros(4))
    run = make_run('callbacks=[{name="swa", last_epochs=1}]')
    _, weights, _ = train(run, Member(1, 42))
    assert not torch.equal(weights["stem.1.running_mean"], torch.zeros(4))


def test_swa_has_the_statistics_of_the_augmented_training_images(make_run):
    """The first norm sees the first convolution of the batches that were trained on, whatever their order."""
    run = make_run('callbacks=[{name="swa", last_epochs=1}]', "training.epochs=1", "training.batch_size=16")
    _, weights, scaler = train(run, Member(0, 42))
    trainer = build_trainer(run, Member(0, 42))
    images = torch.stack([torch.from_numpy(run.images.train.images[int(r)].copy()) for r in trainer.train_rows])
    outputs = nn.functional.conv2d(scaler(images), weights["stem.0.weight"], weights["stem.0.bias"], padding=1)
    torch.testing.assert_close(weights["stem.1.running_mean"], outputs.mean(dim=(0, 2, 3)), rtol=1e-4, atol=1e-5)


class Scripted:
    """A trainer whose score is a function of the only weight."""

    def __init__(self, score, higher=True) -> None:
        self.metric = Metric(lambda *_: 0.0, higher)
        self.network = nn.Linear(1, 1, bias=False)
        self.score, self.chosen = score, None

    @property
    def evaluation_network(self):
        return self.network

    def evaluate(self, network):
        return 0.0, self.score(network.weight.item())

    def choose(self, network, epoch, score=None):
        self.chosen = (network.weight.item(), epoch, score)

    def run(self, callback, weights):
        callback.on_member_start()
        for number, weight in enumerate(weights, start=1):
            nn.init.constant_(self.network.weight, weight)
            callback.on_epoch_end(self, Epoch(number, 1, 1, self.score(weight), 0.1, 1.0))
        callback.on_training_end(self)
        return self.chosen


def test_a_greedy_soup_worked_by_hand():
    """The score is -|w - 10|. Best first: 12, 7, 14, 20. 12 (-2) + 7 = 9.5 (-0.5): in; + 14 = 11 (-1): out;
    12, 7, 20: 13 (-3): out."""
    assert Scripted(lambda w: -abs(w - 10)).run(soup(candidates=4), [20, 14, 12, 7]) == (9.5, 3, -0.5)


def test_only_the_best_candidates_are_kept():
    """Of 30, 20, 7, 12 and 40 the nearest to 10 are 12 and 7, whatever the order in which they come."""
    trainer = Scripted(lambda w: -abs(w - 10))
    callback = soup(candidates=2)
    trainer.run(callback, [])
    for number, weight in enumerate([30, 20, 7, 12, 40], start=1):
        nn.init.constant_(trainer.network.weight, weight)
        callback.on_epoch_end(trainer, Epoch(number, 1, 1, trainer.score(weight), 0.1, 1.0))
    assert [number for _, number, _ in callback.kept] == [4, 3]


def test_where_lower_is_better_and_ties_stay_in():
    assert Scripted(lambda w: abs(w - 10), higher=False).run(soup(), [20, 14, 12, 7]) == (9.5, 3, 0.5)
    # 9 and 11 both score 1; their mean 10 scores 0; of equal epochs the first leads
    assert Scripted(lambda w: abs(w - 10), higher=False).run(soup(), [9, 11]) == (10, 1, 0)


def test_a_soup_that_would_lose_is_the_best_epoch_alone():
    assert Scripted(lambda w: 1.0 if w in (3, 5) else 0.0).run(soup(), [3, 5]) == (3, 1, 1.0)


def test_epochs_without_a_score_give_no_soup_and_nan_is_never_accepted():
    nan = float("nan")
    assert Scripted(lambda w: nan).run(soup(), [1, 2]) is None
    assert Scripted(lambda w: w if w in (1, 2) else nan).run(soup(), [1, 2]) == (2, 2, 2)


def test_the_mean_keeps_types_and_counters():
    a = {"w": torch.tensor([1.0, 2.0]), "n": torch.tensor(3), "h": torch.ones(1, dtype=torch.float16)}
    b = {"w": torch.tensor([2.0, 4.0]), "n": torch.tensor(9), "h": torch.ones(1, dtype=torch.float16)}
    found = mean([a, b])
    assert found["w"].tolist() == [1.5, 3.0] and int(found["n"]) == 3 and found["h"].dtype == torch.float16


def test_a_member_s_score_is_that_of_its_soup(make_run):
    run = make_run('callbacks=[{name="soup", candidates=4}]', "training.epochs=4")
    result, weights, _ = train(run, Member(0, 42))
    trainer = build_trainer(run, Member(0, 42))
    trainer.network.load_state_dict(weights)
    assert result.score == trainer.evaluate(trainer.network)[1] >= max(epoch.score for epoch in result.epochs)
    best = max(result.epochs, key=lambda epoch: (epoch.score, -epoch.number))
    assert result.best_epoch == best.number


class Killed(Stopped):
    pass


class Kill:
    def __init__(self, epoch, step) -> None:
        self.at = (epoch, step)

    @hookimpl
    def on_step_end(self, trainer):
        if (trainer.epoch, trainer.step) == self.at:
            raise Killed


@pytest.mark.parametrize(
    "recipe",
    [
        ['callbacks=[{name="swa", last_epochs=3}, {name="best_checkpoint"}]', 'batch_transforms=[{name="mixup"}]'],
        ['callbacks=[{name="swa", last_epochs=2}]', "model.dropout=0.3"],
        ['callbacks=[{name="soup", candidates=2}]'],
        ['callbacks=[{name="ema", decay=0.5}, {name="soup"}, {name="best_checkpoint"}]'],
        ["optimizer.name=sam", "optimizer.optimizer=AdamW", "model.dropout=0.3"],
        ['callbacks=[{name="swa"}]', 'hooks=[{name="activations"}, {name="nan_watch"}, {name="grad_cam"}]'],
    ],
)
def test_a_killed_member_resumes_byte_for_byte(make_run, recipe):
    recipe = [*recipe, "training.epochs=4", "training.checkpoint_minutes=0.0000001"]
    expected, weights, _ = train(make_run(*recipe), Member(0, 42))
    folder = make_run(*recipe).member_folder(Member(0, 42))
    files = {path.name: path.read_bytes() for path in folder.glob("*.csv")}
    shutil.rmtree(folder)
    for at in [(1, 2), (2, 3), (3, 1), (3, 3)]:
        run = make_run(*recipe)
        run.session.register(Kill(*at))
        with pytest.raises(Killed):
            train(run, Member(0, 42))
    result, resumed, _ = train(make_run(*recipe), Member(0, 42))
    assert all(torch.equal(weights[name], resumed[name]) for name in weights)
    assert (result.score, result.best_epoch) == (expected.score, expected.best_epoch)
    assert [e.valid_loss for e in result.epochs] == [e.valid_loss for e in expected.epochs]
    assert files == {path.name: path.read_bytes() for path in folder.glob("*.csv")}
