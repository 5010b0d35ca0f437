"""Training does what the notes of many a learner got wrong: each classic mistake has a test that it would fail."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from compete.errors import ConfigError, TrainingError
from compete.train.loop import train, train_epoch, train_step, validate
from compete.train.trainer import build_trainer
from compete.types import Member


def first_fold(run):
    return build_trainer(run, Member(0, 42))


def only_these_rows_right(trainer, right):
    """Swap the oracle's labels so that it is right for the rows `right` only."""
    labels = trainer.run.dataset.labels
    for row in trainer.valid_rows:
        if row not in right:
            labels[row] = (labels[row] + 1) % 3


def test_the_score_is_of_all_rows_not_of_the_last_batch(make_run):
    run = make_run("model.name=oracle", "metric.name=accuracy", "inference.batch_size=4")
    trainer = first_fold(run)
    rows = trainer.valid_rows
    assert len(rows) == 8
    only_these_rows_right(trainer, set(rows[4:].tolist()))  # first batch all wrong, last all right
    assert validate(trainer)[1] == pytest.approx(0.5)


def test_the_loss_is_weighted_by_rows_not_by_batches(make_run):
    run = make_run("inference.batch_size=5")  # 8 rows: 5 + 3
    trainer = first_fold(run)
    loss, *_ = validate(trainer)
    data = run.images
    images = torch.from_numpy(np.stack([data.train.images[row] for row in trainer.valid_rows]))
    trainer.network.eval()
    with torch.inference_mode():
        logits = trainer.network(trainer.scaler(images))
    expected = F.cross_entropy(logits, trainer.targets[torch.from_numpy(trainer.valid_rows)])
    assert loss == pytest.approx(float(expected), rel=1e-5)


def test_the_training_loss_is_weighted_by_rows_too(make_run):
    # The norm in eval mode, so that every row's loss is independent of its batch.
    run = make_run(
        'finetune.freeze=["stem"]', "training.drop_last=false", "training.batch_size=15", "optimizer.lr=1e-9"
    )
    trainer = first_fold(run)  # 16 rows: 15 + 1
    for module in trainer.network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.0
    train_epoch(trainer)
    images = torch.from_numpy(np.stack([run.images.train.images[row] for row in trainer.train_rows]))
    trainer.network.eval()
    with torch.inference_mode():
        logits = trainer.network(trainer.scaler(images))
        expected = F.cross_entropy(logits, trainer.targets[torch.from_numpy(trainer.train_rows)])
    assert float(trainer.progress.loss_sum) / trainer.samples_seen == pytest.approx(float(expected), rel=1e-4)
    assert trainer.samples_seen == 16


def test_augmentation_happens_in_training_only(make_run):
    run = make_run("model.name=oracle", "metric.name=accuracy")
    seen = []

    def blacken(image, seed):
        seen.append(seed)
        return np.zeros_like(image)

    object.__setattr__(run.images, "augment", blacken)
    trainer = first_fold(run)
    assert validate(trainer)[1] == 1.0
    assert not seen
    train_epoch(trainer)
    assert len(seen) == 15  # 16 rows in batches of 5, the last one dropped


def test_every_row_gets_its_own_augmentation_and_every_epoch_another(make_run):
    run = make_run()
    seen = []
    object.__setattr__(run.images, "augment", lambda image, seed: (seen.append(seed), image)[1])
    trainer = first_fold(run)
    train_epoch(trainer)
    trainer.progress.epoch, trainer.progress.step = 1, 0
    train_epoch(trainer)
    assert len(set(seen)) == len(seen) == 30


def test_rows_are_dropped_in_training_only(make_run):
    run = make_run("training.batch_size=5", "inference.batch_size=5")
    trainer = first_fold(run)
    train_epoch(trainer)
    assert trainer.samples_seen == 15  # of 16
    rows = []
    predictions = []
    from compete.predict.rows import predict_rows

    predictions = predict_rows(
        run.predictor(),
        [trainer.network],
        [trainer.scaler],
        run.train_inputs,
        trainer.valid_rows,
        watch=lambda r, _: rows.extend(r.tolist()),
    )
    assert sorted(rows) == trainer.valid_rows.tolist()
    assert predictions[0].shape == (8, 3) and not np.isnan(predictions[0]).any()


def test_a_frozen_backbone_keeps_its_weights_and_its_batchnorm_statistics(make_run):
    run = make_run("finetune.freeze=backbone")
    trainer = first_fold(run)
    before = {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}
    train_epoch(trainer)
    after = trainer.network.state_dict()
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"head"}


def test_without_freezing_everything_moves(make_run):
    trainer = first_fold(make_run())
    before = {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}
    train_epoch(trainer)
    after = trainer.network.state_dict()
    assert all(not torch.equal(before[name], after[name]) for name in before if "num_batches" not in name)


def test_validation_leaves_every_parameter_and_buffer_alone(make_run):
    trainer = first_fold(make_run())
    before = {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}
    validate(trainer)
    assert all(torch.equal(before[name], tensor) for name, tensor in trainer.network.state_dict().items())
    assert all(parameter.grad is None for parameter in trainer.network.parameters())


def test_a_network_that_ends_in_softmax_is_refused(make_run):
    with pytest.raises(ConfigError, match=r"probabilities.*logits"):
        first_fold(make_run("model.name=softmaxed"))


def test_the_loss_sees_the_network_s_own_logits(make_run, monkeypatch):
    trainer = first_fold(make_run())
    heard = []
    loss = trainer.loss
    heard_loss = lambda logits, targets: (heard.append(logits.detach().clone()), loss(logits, targets))[1]  # noqa: E731
    object.__setattr__(trainer, "loss", heard_loss)
    outputs = []
    trainer.network.head.register_forward_hook(lambda _module, _inputs, output: outputs.append(output.detach()))
    train_epoch(trainer)
    assert heard
    assert all(torch.equal(a, b) for a, b in zip(heard, outputs, strict=True))


def test_predictions_are_made_in_eval_mode(make_run):
    run = make_run("model.dropout=0.5")
    trainer = first_fold(run)
    trainer.network.train()
    first = validate(trainer)
    trainer.network.train()
    assert validate(trainer) == first


def test_training_is_in_training_mode_again_after_validation(make_run):
    trainer = first_fold(make_run())
    validate(trainer)
    modes = []
    trainer.network.stem.register_forward_hook(lambda module, *_: modes.append(module.training))
    train_epoch(trainer)
    assert all(modes) and modes


def test_the_kept_epoch_is_the_best_by_the_competition_s_metric(make_run, monkeypatch):
    import compete.train.loop as training

    run = make_run("training.epochs=4")
    given = iter(
        [(0.9, 0.5, 1), (0.8, 0.7, 1), (0.1, 0.6, 1), (0.05, 0.4, 1)]
    )  # (loss, score, train): the loss would choose the last
    monkeypatch.setattr(training, "validate", lambda trainer: next(given))
    result, *_ = train(run, Member(0, 42))
    assert (result.best_epoch, result.score) == (2, 0.7)


def test_accumulated_batches_give_the_step_of_one_big_batch(make_run):
    recipe = (
        'finetune.freeze=["stem"]',
        "training.drop_last=false",
        "optimizer.name=sgd",
        "optimizer.lr=0.5",
        "scheduler.name=none",
    )

    def weights(*overrides):
        trainer = first_fold(make_run(*recipe, *overrides))
        train_epoch(trainer)
        return trainer.network.head.weight.detach().clone(), trainer.steps_per_epoch

    big, steps = weights("training.batch_size=16")
    small, small_steps = weights("training.batch_size=5", "training.accumulation_steps=4")  # 5 + 5 + 5 + 1
    assert steps == small_steps == 1
    assert torch.allclose(big, small, atol=1e-6)


def test_a_step_starts_from_zero_gradients(make_run):
    run = make_run("optimizer.lr=1e-9", 'finetune.freeze=["stem"]')
    trainer = first_fold(run)
    from compete.model.finetune import set_training_mode
    from compete.train.loop import plan_epoch

    plan_epoch(trainer)
    set_training_mode(trainer.network)
    batch = next(iter(trainer.loader))
    train_step(trainer, [batch])
    once = trainer.network.head.weight.grad.clone()
    train_step(trainer, [batch])
    assert torch.allclose(once, trainer.network.head.weight.grad)


def test_clipping_bounds_the_gradient_norm(make_run):
    run = make_run("training.max_grad_norm=0.001", "optimizer.lr=1e-9")
    trainer = first_fold(run)
    train_epoch(trainer)
    norm = torch.linalg.vector_norm(torch.stack([p.grad.norm() for p in trainer.network.parameters()]))
    assert float(norm) <= 0.00101


def test_a_loss_that_is_no_number_stops_the_member_with_advice(make_run, monkeypatch):
    monkeypatch.setattr("compete.train.trainer.joint_loss", lambda *_: lambda logits, _: logits.sum() * float("nan"))
    run = make_run()
    with pytest.raises(TrainingError, match=r"fold0-seed42: .*Lower \[optimizer\] lr"):
        train(run, Member(0, 42))


@pytest.mark.parametrize(
    "transforms",
    [
        'transforms=[{name="albumentations", random=[{name="HorizontalFlip", p=0.5}]}]',
        'transforms=[{name="torchvision", random=[{name="RandomErasing"}, {name="ColorJitter", brightness=0.5}]}]',
    ],
)
def test_the_same_seed_gives_the_same_weights_whatever_the_number_of_workers(make_run, transforms):
    first = train(make_run(transforms, "model.dropout=0.3"), Member(0, 42))
    second = train(make_run(transforms, "model.dropout=0.3", "training.workers=2"), Member(0, 42))
    other = train(make_run(transforms, "model.dropout=0.3"), Member(0, 43))
    assert all(torch.equal(first[1][name], second[1][name]) for name in first[1])
    assert any(not torch.equal(first[1][name], other[1][name]) for name in first[1])
