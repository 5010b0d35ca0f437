"""Sharpness-aware minimisation, against the paper's equations worked by hand and in training."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from compete.model.finetune import set_training_mode
from compete.train.loop import plan_epoch, train, train_step
from compete.train.trainer import build_trainer
from compete.types import Member
from compete_plugins.optimizers import sam

RECIPE = ("optimizer.name=sam", "optimizer.lr=0.1", "optimizer.rho=0.5", "scheduler.name=none")


def one_step(start: list[float], slope, **options: object) -> tuple[torch.Tensor, torch.Tensor]:
    """Make a step of plain SAM; return the weights and the place at which the second gradient was taken."""
    weight = nn.Parameter(torch.tensor(start))
    optimizer = sam([{"params": [weight]}], lr=0.1, **options)
    weight.grad = slope(weight.detach())
    with optimizer.climbed():
        place = weight.detach().clone()
        weight.grad = slope(weight.detach())
    assert torch.equal(weight, torch.tensor(start))  # back, to the bit
    optimizer.step()
    return weight.detach(), place


def test_a_step_worked_by_hand():
    """f = (3 x^2 + 4 y^2) / 2 at (1, 1): gradient (3, 4), length 5; with rho 0.5 the place is (1.3, 1.4)."""
    weight, place = one_step([1.0, 1.0], lambda w: w * torch.tensor([3.0, 4.0]), rho=0.5)
    torch.testing.assert_close(place, torch.tensor([1.3, 1.4]))
    torch.testing.assert_close(weight, torch.tensor([1 - 0.1 * 3.9, 1 - 0.1 * 5.6]))


def test_an_adaptive_step_worked_by_hand():
    """At (2, 1) with gradient (3, 8): |w| g = (6, 8), length 10; w^2 g rho / 10 = (12, 8) * 0.05 = (0.6, 0.4)."""
    _, place = one_step([2.0, 1.0], lambda w: torch.tensor([3.0, 8.0]), rho=0.5, adaptive=True)
    torch.testing.assert_close(place, torch.tensor([2.6, 1.4]))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_gradients_that_are_not_finite_move_nothing(bad):
    weight = nn.Parameter(torch.ones(2))
    optimizer = sam([{"params": [weight]}], lr=0.1)
    weight.grad = torch.tensor([1.0, bad])
    with optimizer.climbed():
        assert torch.equal(weight, torch.ones(2))


def test_an_error_in_the_second_pass_brings_the_weights_back():
    weight = nn.Parameter(torch.ones(2))
    optimizer = sam([{"params": [weight]}], lr=0.1)
    weight.grad = torch.ones(2)
    with pytest.raises(RuntimeError), optimizer.climbed():
        raise RuntimeError("out of memory")
    assert torch.equal(weight, torch.ones(2))


def test_the_step_and_its_state_are_those_of_the_wrapped_optimizer():
    def adam(groups, **options):
        return torch.optim.AdamW(groups, lr=0.1, **options)

    weights = [nn.Parameter(torch.ones(3)) for _ in range(2)]
    ours = sam([{"params": [weights[0]]}], optimizer="AdamW", lr=0.1, rho=1e-9, arguments={"betas": (0.5, 0.9)})
    theirs = adam([weights[1]], betas=(0.5, 0.9))
    for _ in range(3):
        for weight, optimizer in zip(weights, (ours, theirs), strict=True):
            weight.grad = weight.detach() ** 2
            optimizer.step()
    assert torch.equal(*weights)
    assert str(ours.state_dict()["state"]) == str(theirs.state_dict()["state"])


def test_the_loop_steps_by_the_gradients_at_the_climbed_weights(make_run):
    """Redone with plain torch: two backward passes of one batch, and BatchNorm's statistics of the first."""
    run = make_run(*RECIPE, "training.batch_size=8")
    trainer = build_trainer(run, run.members[0])
    plan_epoch(trainer)
    set_training_mode(trainer.network)
    batch = next(iter(trainer.loader))
    copy = deepcopy(trainer.network)
    images, targets = trainer.scaler(batch.images), trainer.targets[batch.rows]

    def slopes():
        return torch.autograd.grad(trainer.loss(copy(images), targets), list(copy.parameters()))

    first = slopes()
    statistics = {name: buffer.clone() for name, buffer in copy.named_buffers()}
    length = torch.cat([g.flatten() for g in first]).norm()
    with torch.no_grad():
        for p, g in zip(copy.parameters(), first, strict=True):
            p.add_(0.5 * g / length)
    second = slopes()
    before = [p.detach().clone() for p in trainer.network.parameters()]
    train_step(trainer, [batch])
    for p, start, g in zip(trainer.network.parameters(), before, second, strict=True):
        torch.testing.assert_close(p, start - 0.1 * g, rtol=1e-4, atol=1e-6)
    for name, buffer in trainer.network.named_buffers():
        torch.testing.assert_close(buffer, statistics[name])


@pytest.mark.parametrize(
    "more",
    [
        ("training.accumulation_steps=2",),
        ("training.on_nan=skip",),
        ("finetune.freeze=backbone", "training.max_grad_norm=0.1"),
        ('optimizer.optimizer="AdamW"', "optimizer.adaptive=true", "model.dropout=0.3"),
    ],
)
def test_members_train_with_it(make_run, more):
    result, weights, _ = train(make_run(*RECIPE, *more), Member(0, 42))
    assert len(result.epochs) == 2 and all(torch.isfinite(w).all() for w in weights.values())
