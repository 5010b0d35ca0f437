"""Several ranks train what one device trains from the same global batches, row for row."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from compete import hookimpl
from compete.errors import TrainingError
from compete.ranks.group import ALONE
from compete.ranks.splits import SPLITS
from compete.store import drop_checkpoints
from compete.train import loop
from compete.train.loop import train
from compete.train.trainer import build_trainer
from compete.types import Member

MEMBER = Member(0, 42)
# 16 rows in batches of 5, two to a step, the last of one row: fewer than ranks. SGD, as Adam divides by tiny gradients.
OPTIONS = (
    "training.batch_size=5",
    "training.drop_last=false",
    "training.accumulation_steps=2",
    "optimizer.name=sgd",
    "optimizer.lr=0.1",
)
MIXED = ("loss.class_weights=balanced", 'batch_transforms=[{ name = "mixup" }]')
AVERAGED = ('callbacks=[{ name = "ema" }, { name = "best_checkpoint" }]',)
SAM = ("optimizer.name=sam", "optimizer.optimizer=SGD", "optimizer.lr=0.1")
SOUP = ('callbacks=[{ name = "swa", last_epochs = 2 }, { name = "soup" }]', "training.epochs=3")
GRADUAL = ("finetune.preset=gradual", "training.max_grad_norm=0.5")


def trained(run, ranks):
    """Train the first member, from its checkpoint if there is one; return its weights and epochs."""
    run.session.ranks = ranks
    result, weights, _ = train(run, MEMBER)
    epochs = [[epoch.train_loss, epoch.valid_loss, epoch.score, epoch.train_score] for epoch in result.epochs]
    return {name: tensor.numpy() for name, tensor in weights.items()}, np.array(epochs)


def trained_alone(run):
    """Train the first member on one device, from scratch."""
    drop_checkpoints(run.member_folder(MEMBER))
    return trained(run, ALONE)


def assert_same(found, expected, rtol=1e-4):
    (weights, epochs), (expected_weights, expected_epochs) = found, expected
    assert set(weights) == set(expected_weights)
    for name, tensor in expected_weights.items():
        np.testing.assert_allclose(weights[name], tensor, rtol=rtol, atol=rtol / 100, err_msg=name)
    np.testing.assert_allclose(epochs, expected_epochs, rtol=rtol)


@pytest.mark.parametrize(
    ("count", "options"), [(2, MIXED + AVERAGED), (4, MIXED + AVERAGED), (2, SAM + SOUP), (4, GRADUAL)]
)
def test_ranks_train_what_one_device_trains(make_run, on_ranks, count, options):
    run = make_run(*OPTIONS, *options)
    run.session.doctor = False
    found, alone = on_ranks(count, lambda ranks: trained(run, ranks)), trained_alone(run)
    assert len(alone[1]) == run.config.training.epochs
    for rank in found:
        assert_same(rank, alone)


def test_ranks_without_common_statistics_train_something_else_together(make_run, on_ranks):
    run = make_run(*OPTIONS, "training.batch_size=8", "training.drop_last=true", "training.sync_batchnorm=false")
    first, second = on_ranks(2, lambda ranks: trained(run, ranks))
    assert_same(second, first, rtol=0)
    with pytest.raises(AssertionError):
        assert_same(first, trained_alone(run))


def test_a_step_that_is_not_finite_on_one_rank_is_left_out_on_all(make_run, on_ranks, monkeypatch):
    run = make_run(*OPTIONS, "training.on_nan=skip")
    run.session.doctor = False
    row, whole = run.dataset.folds.tolist().index(1), loop.prepare

    def prepare(trainer, batch, scale, ranks):
        images, targets = whole(trainer, batch, scale, ranks)
        return torch.where((batch.rows == row)[:, None, None, None], torch.nan, images), targets

    monkeypatch.setattr(loop, "prepare", prepare)
    found = on_ranks(2, lambda ranks: trained(run, ranks))
    alone = trained_alone(run)
    assert np.isfinite(alone[1]).all() and any("were skipped" in text for text in run.session.warnings)
    for rank in found:
        assert_same(rank, alone)


def test_parts_of_different_sizes_are_split_into_as_many_pieces(make_run, on_ranks):
    run = make_run(*OPTIONS, "training.batch_size=9")  # parts of 4 and 5 rows: `chunk` would make 2 and 3 pieces

    def split(ranks):
        run.session.ranks = ranks
        run.member_folder(MEMBER).mkdir(parents=True, exist_ok=True)
        (run.member_folder(MEMBER) / SPLITS).write_text(f'{{"identity": "{run.identity.member(MEMBER)}", "splits": 3}}')
        return trained(run, ranks)

    first, second = on_ranks(2, split)
    assert_same(second, first, rtol=0)


def test_no_rank_waits_for_one_that_runs_out_of_memory_and_the_next_start_splits(make_run, on_ranks, monkeypatch):
    run = make_run(*OPTIONS)
    run.session.doctor = False
    whole = loop.prepare

    def prepare(trainer, batch, scale, ranks):
        if ranks.rank == 1 and trainer.step == 1 and trainer.splitter.count == 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return whole(trainer, batch, scale, ranks)

    monkeypatch.setattr(loop, "prepare", prepare)
    first, second = on_ranks(2, lambda ranks: trained(run, ranks))
    assert isinstance(first, RuntimeError)  # its peer is gone
    assert isinstance(second, TrainingError) and "out of memory on rank 1" in str(second)
    first, second = on_ranks(2, lambda ranks: trained(run, ranks))
    assert_same(second, first, rtol=0)


def test_the_first_rank_decides_when_a_callback_stops(make_run, on_ranks):
    run = make_run(*OPTIONS, "training.epochs=4")

    class Clock:
        @hookimpl
        def should_stop(self, trainer):
            return len(trainer.history) > trainer.run.ranks.rank + 1  # the second rank would go on for longer

    run.session.register(Clock())
    first, second = on_ranks(2, lambda ranks: trained(run, ranks))
    assert len(first[1]) == len(second[1]) == 2


def test_dropout_differs_between_ranks_and_repeats_with_the_seed(make_run, on_ranks):
    run = make_run(*OPTIONS, "model.dropout=0.5")

    def masks(ranks):
        run.session.ranks = ranks
        found = []
        trainer = build_trainer(run, MEMBER)
        trainer.network.dropout.register_forward_hook(
            lambda _m, _i, out: found.append((out == 0).flatten()[:4].tolist())
        )
        loop.train_epoch(trainer)
        return found

    first, second = on_ranks(2, masks)
    assert first != second
    assert [first, second] == on_ranks(2, masks)


def test_a_member_resumes_on_another_number_of_ranks_and_says_so(make_run, on_ranks):
    run = make_run(*OPTIONS, "training.epochs=3")
    whole = trained_alone(run)
    drop_checkpoints(run.member_folder(MEMBER))

    class Stop:
        @hookimpl
        def on_epoch_end(self, trainer, epoch):
            if epoch.number == 2:
                raise TrainingError("killed")

    def killed(ranks):
        run.session.register(Stop())
        return trained(run, ranks)

    assert all("killed" in str(error) for error in on_ranks(4, killed))
    assert_same(trained(run, ALONE), whole)
    assert any("fold0-seed42: resumes on 1 device after 4" in text for text in run.session.warnings)
