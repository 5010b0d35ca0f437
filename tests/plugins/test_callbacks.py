"""Callbacks, called through the real hooks with a stand-in for the trainer."""

from __future__ import annotations

import math
from copy import deepcopy
from types import SimpleNamespace

import pluggy
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from compete import Epoch, Metric, hookspecs
from compete_plugins.callbacks import register_callbacks

COMPONENTS = register_callbacks()


def hooks(*callbacks):
    manager = pluggy.PluginManager("compete")
    manager.add_hookspecs(hookspecs)
    for callback in callbacks:
        manager.register(callback)
    return manager.hook


def make_trainer(network=None, higher_is_better=True):
    metric = Metric(lambda y_true, predictions: 0.0, higher_is_better)
    trainer = SimpleNamespace(network=network, evaluation_network=network, metric=metric, best_epochs=[], epoch=0)
    trainer.epochs = trainer.step = trainer.steps_per_epoch = 1
    trainer.mark_best = lambda: trainer.best_epochs.append(trainer.epoch)
    return trainer


def run_epochs(hook, trainer, scores, start=1):
    """Report epochs until a callback stops; return the number of the last one."""
    for number, score in enumerate(scores, start=start):
        trainer.epoch = number
        hook.on_epoch_end(trainer=trainer, epoch=Epoch(number, 1.0, 1.0, score, 0.1, 1.0))
        if hook.should_stop(trainer=trainer):
            break
    return trainer.epoch


def make_network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(64, 2)).eval()


@pytest.mark.parametrize(
    ("scores", "higher", "best"),
    [
        ([0.1, 0.3, 0.2, 0.3, 0.4], True, [1, 2, 5]),
        ([0.5, 0.6, 0.4, 0.4], False, [1, 3]),
        ([math.nan, 0.2, math.nan], True, [2]),
    ],
)
def test_best_checkpoint_marks_every_new_best_epoch(scores, higher, best):
    trainer = make_trainer(higher_is_better=higher)
    hook = hooks(COMPONENTS["best_checkpoint"]())
    hook.on_member_start(trainer=trainer)
    run_epochs(hook, trainer, scores)
    assert trainer.best_epochs == best


def test_best_checkpoint_starts_again_with_each_member():
    hook = hooks(COMPONENTS["best_checkpoint"]())
    for scores in ([0.9], [0.1]):
        trainer = make_trainer()
        hook.on_member_start(trainer=trainer)
        run_epochs(hook, trainer, scores)
        assert trainer.best_epochs == [1]


def test_best_checkpoint_resumes_where_it_was():
    for scores in ([], [0.5, 0.4]):
        before, after, trainer = COMPONENTS["best_checkpoint"](), COMPONENTS["best_checkpoint"](), make_trainer()
        run_epochs(hooks(before), trainer, scores)
        hook = hooks(after)
        hook.on_member_start(trainer=trainer)
        after.load_state_dict(before.state_dict())
        trainer.best_epochs.clear()
        run_epochs(hook, trainer, [0.45], start=3)
        assert trainer.best_epochs == ([] if scores else [3])


@pytest.mark.parametrize(
    ("options", "scores", "higher", "last"),
    [
        ({"patience_epochs": 2}, [0.1, 0.2, 0.2, 0.1, 0.9], True, 4),
        ({"patience_epochs": 2}, [0.5, 0.4, 0.5, 0.3, 0.4, 0.4, 0.1], False, 6),
        ({"patience_epochs": 1, "min_delta": 0.125}, [0.5, 0.625, 0.9], True, 2),
        ({"patience_epochs": 1, "min_delta": 0.125}, [0.5, 0.25, 0.2, 0.0], False, 3),
        ({"patience_epochs": 2, "min_delta": 0.25}, [0.5, 0.625, 0.875, 0.9], True, 4),
        ({"patience_epochs": 2}, [math.nan, math.nan, 0.5], True, 2),
        ({}, [0.3, 0.2, 0.2, 0.2, 0.9], True, 4),
    ],
)
def test_early_stopping_waits_for_its_patience(options, scores, higher, last):
    trainer = make_trainer(higher_is_better=higher)
    hook = hooks(COMPONENTS["early_stopping"](**options))
    hook.on_member_start(trainer=trainer)
    assert run_epochs(hook, trainer, scores) == last
    assert not hook.on_member_start(trainer=trainer) and hook.should_stop(trainer=trainer) is None


def test_early_stopping_resumes_where_it_was():
    before, after = (COMPONENTS["early_stopping"](patience_epochs=2) for _ in range(2))
    trainer = make_trainer()
    run_epochs(hooks(before), trainer, [0.5, 0.4])
    hook = hooks(after)
    hook.on_member_start(trainer=trainer)
    after.load_state_dict(before.state_dict())
    assert run_epochs(hook, trainer, [0.45, 0.9], start=3) == 3


def test_ema_follows_the_weights_and_running_statistics():
    network = make_network()
    trainer, callback = make_trainer(network), COMPONENTS["ema"](decay=0.75, warmup=False)
    hook = hooks(callback)
    hook.on_member_start(trainer=trainer)
    start = deepcopy(network.state_dict())
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor.add_(4)
    hook.on_step_end(trainer=trainer)
    averaged = hook.evaluation_network(trainer=trainer)
    assert averaged is not network
    for name, tensor in averaged.state_dict().items():
        step = 1.0 if tensor.is_floating_point() else 4  # a counter is copied
        torch.testing.assert_close(tensor, start[name] + step)
    assert not any(p.requires_grad for p in averaged.parameters())
    assert all(p.requires_grad for p in network.parameters())


def test_ema_is_that_of_averaged_model():
    network = make_network()
    oracle = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    oracle.update_parameters(network)  # the first update copies
    trainer, callback = make_trainer(network), COMPONENTS["ema"](decay=0.9, warmup=False)
    hook = hooks(callback)
    hook.on_member_start(trainer=trainer)
    for _ in range(3):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.rand_like(parameter))
        hook.on_step_end(trainer=trainer)
        oracle.update_parameters(network)
    for own, expected in zip(callback.network.parameters(), oracle.module.parameters(), strict=True):
        assert torch.equal(own, expected)


def test_ema_warms_up_its_decay():
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    trainer, callback = make_trainer(network), COMPONENTS["ema"](decay=0.3)
    hook = hooks(callback)
    hook.on_member_start(trainer=trainer)
    nn.init.ones_(network.weight)
    expected = 0.0
    for decay in (2 / 11, 3 / 12, 0.3, 0.3):  # then 4 / 13 would be above 0.3
        hook.on_step_end(trainer=trainer)
        expected = decay * expected + (1 - decay)
        assert callback.network.weight.item() == pytest.approx(expected)


def test_ema_keeps_the_memory_format_and_takes_part_in_real_training():
    network = make_network().to(memory_format=torch.channels_last).train()
    images = torch.rand(4, 3, 6, 6).contiguous(memory_format=torch.channels_last)
    network(images)
    trainer, callback = make_trainer(network), COMPONENTS["ema"](decay=0.5)
    hook = hooks(callback)
    hook.on_member_start(trainer=trainer)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        network(images).square().sum().backward()
        optimizer.step()
        hook.on_step_end(trainer=trainer)
    assert callback.network[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert callback.network[1].num_batches_tracked == network[1].num_batches_tracked == 4
    assert not torch.equal(callback.network[3].weight, network[3].weight)


def test_ema_starts_again_with_each_member():
    callback = COMPONENTS["ema"](decay=0.5)
    hook = hooks(callback)
    for seed in (0, 1):
        network = make_network(seed)
        hook.on_member_start(trainer=make_trainer(network))
        assert callback.steps == 0
        assert torch.equal(callback.network[0].weight, network[0].weight)
        hook.on_step_end(trainer=make_trainer(network))


def test_ema_resumes_exactly_where_it_was(tmp_path):
    network = make_network()
    trainer, straight, resumed = make_trainer(network), *(COMPONENTS["ema"](decay=0.9) for _ in range(2))
    hook = hooks(straight)
    hook.on_member_start(trainer=trainer)
    moves = [torch.rand(4, 3, 3, 3) for _ in range(6)]

    def step(hook, move):
        with torch.no_grad():
            network[0].weight.add_(move)
        hook.on_step_end(trainer=trainer)

    for move in moves[:3]:
        step(hook, move)
    torch.save({"callback": straight.state_dict(), "network": network.state_dict()}, tmp_path / "state.pt")
    for move in moves[3:]:
        step(hook, move)

    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    network.load_state_dict(saved["network"])
    hook = hooks(resumed)
    hook.on_member_start(trainer=trainer)
    resumed.load_state_dict(saved["callback"])
    for move in moves[3:]:
        step(hook, move)
    assert resumed.steps == straight.steps == 6
    for name, tensor in straight.network.state_dict().items():
        assert torch.equal(tensor, resumed.network.state_dict()[name])


def test_states_hold_tensors_numbers_and_strings_only():
    network = make_network()
    for factory in COMPONENTS.values():
        callback, trainer = factory(), make_trainer(network)
        hook = hooks(callback)
        hook.on_member_start(trainer=trainer)
        hook.on_step_end(trainer=trainer)
        run_epochs(hook, trainer, [0.5])
        state = callback.state_dict()
        assert state and all(isinstance(value, torch.Tensor | int | float | str) for value in state.values())
