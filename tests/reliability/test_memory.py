"""Memory that runs out: batches are split, and the gradients stay those of the whole batch."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
import torch

from compete.errors import TrainingError
from compete.predict.rows import predict_rows
from compete.train.loop import refuse_not_finite, train, train_epoch
from compete.train.trainer import build_trainer
from compete.types import Member


def without_doubts(warnings: list[str]) -> list[str]:
    """Leave out what is said of images as plain as these."""
    return [text for text in warnings if not text.startswith("images that use a 16th of the range")]


GREEDY = '''

MOST = {most}
ALLOCATED = {allocated}


class Greedy(nn.Module):
    """Runs out of memory above so many images, or really allocates so much for each."""

    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

    def __init__(self, outputs, channels):
        super().__init__()
        self.stem = nn.Conv2d(channels, 4, 3)
        self.head = nn.Linear(4, outputs)

    def forward(self, images):
        if ALLOCATED:
            images.new_empty(len(images), ALLOCATED)
        if len(images) > MOST:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return self.head(self.stem(images).relu().mean(dim=(2, 3)))


def greedy(outputs, channels):
    return Greedy(outputs, channels)


@hookimpl
def register_models():
    return {{"greedy": greedy}}
'''


def add_greedy(folder: Path, most: int, allocated: int = 0) -> None:
    plugin = folder / "tiny_plugin.py"
    # The plugin's own register_models would be replaced by this one, so its models go.
    text = plugin.read_text().split("\n@hookimpl\ndef register_models")[0]
    plugin.write_text(text + GREEDY.format(most=most, allocated=allocated) + DRAW)


DRAW = "\n\ndef draw_tiny(root):\n    raise NotImplementedError\n"


def one_epoch(make_run, tiny, most, *overrides):
    add_greedy(tiny, most)
    run = make_run("model.name=greedy", "optimizer.name=sgd", "optimizer.lr=0.5", "training.batch_size=7", *overrides)
    trainer = build_trainer(run, Member(0, 42))
    train_epoch(trainer)
    gradients = [parameter.grad.clone() for parameter in trainer.network.parameters()]
    return trainer, gradients


@pytest.mark.promise("Out of memory in training: smaller micro-batches, the same effective batch and gradients")
@pytest.mark.parametrize("overrides", [(), ("training.accumulation_steps=2",), ('batch_transforms=[{name="mixup"}]',)])
def test_gradients_are_those_of_the_whole_batch(tiny, make_run, overrides):
    whole, expected = one_epoch(make_run, tiny, 100, *overrides)
    cut, gradients = one_epoch(make_run, tiny, 2, *overrides)
    assert (whole.splitter.count, cut.splitter.count) == (1, 4)
    assert whole.step == cut.step and whole.samples_seen == cut.samples_seen
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(gradients, expected, strict=True))
    weights = zip(whole.network.parameters(), cut.network.parameters(), strict=True)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in weights)
    assert float(cut.progress.loss_sum) == pytest.approx(float(whole.progress.loss_sum), rel=1e-5)
    assert without_doubts(cut.run.session.warnings) == [
        "out of memory: splitting batches of 7 into 2 micro-batches (same gradients)",
        "out of memory: splitting batches of 7 into 4 micro-batches (same gradients)",
    ]
    assert not without_doubts(whole.run.session.warnings)


@pytest.mark.promise("Out of memory in prediction: smaller micro-batches, the same predictions")
def test_predictions_are_those_of_the_whole_batch(tiny, make_run):
    def predictions(most):
        add_greedy(tiny, most)
        run = make_run("model.name=greedy", "inference.batch_size=7")
        trainer = build_trainer(run, Member(0, 42))
        heard = []
        rows = np.arange(24)
        networks, scalers = [trainer.network, trainer.network], [trainer.scaler, trainer.scaler]
        return predict_rows(
            run.predictor(), networks, scalers, run.train_inputs, rows, watch=lambda rows, _: heard.append(len(rows))
        ), heard

    whole, cut = predictions(100), predictions(2)
    assert np.allclose(whole[0], cut[0], atol=1e-6) and cut[1] == whole[1] == [7, 7, 7, 3]


@pytest.mark.promise("Out of memory in training: smaller micro-batches, the same effective batch and gradients")
def test_what_was_learnt_about_memory_is_kept_in_the_checkpoint(tiny, make_run):
    from compete.train.checkpoints import checkpoint, resume

    trainer, _ = one_epoch(make_run, tiny, 2)
    checkpoint(trainer)
    again = build_trainer(trainer.run, trainer.member)
    resume(again)
    assert again.splitter.count == 4


@pytest.mark.promise("Out of memory in training: smaller micro-batches, the same effective batch and gradients")
def test_one_image_that_does_not_fit_is_the_end(tiny, make_run):
    add_greedy(tiny, 2)
    run = make_run("model.name=greedy")
    plugin = tiny / "tiny_plugin.py"
    trainer = build_trainer(run, Member(0, 42))
    type(trainer.network).forward.__globals__["MOST"] = 0
    assert plugin.exists()
    with pytest.raises(TrainingError, match=r"out of memory with a single image. Lower \[images\] size"):
        train_epoch(trainer)


@pytest.mark.promise("Out of memory in training: smaller micro-batches, the same effective batch and gradients")
def test_the_main_memory_s_own_refusal(tiny, compete):
    """Each image asks for 1.2 GB where 4 GB may be mapped: five do not fit, two do. Nothing of it is touched."""
    add_greedy(tiny, 100, allocated=300_000_000)
    limits = {resource.RLIMIT_AS: 4_000_000_000}
    arguments = ("run", "tiny.toml", "--set", "model.name=greedy", "--set", "training.only_folds=[0]")
    status, text = compete(*arguments, limits=limits)
    assert status == 0, text
    assert "warning out of memory: splitting batches of 5 into 2 micro-batches (same gradients)" in text
    assert "warning out of memory: splitting batches of 5 into 4 micro-batches (same gradients)" in text


NAN = "training.on_nan=skip"


def poisoned_step(make_run, *overrides):
    """Train an epoch of three steps whose second batch holds an infinite image."""
    run = make_run(
        "optimizer={name='sgd', momentum=0.0, nesterov=false, weight_decay=0.0}", "scheduler.name=none", *overrides
    )
    trainer = build_trainer(run, Member(0, 42))
    states = []

    def poison(images, targets):
        states.append({name: value.clone() for name, value in trainer.network.state_dict().items()})
        return (torch.full_like(images, float("inf")), targets) if len(states) == 2 else (images, targets)

    trainer.batch_transforms.append(poison)
    return trainer, states


@pytest.mark.promise(
    'NaN loss with on_nan = "skip": the step adds no gradient and no running statistic, and is counted'
)
def test_a_step_that_is_no_number_is_left_out(make_run):
    trainer, states = poisoned_step(make_run, NAN)
    train_epoch(trainer)
    before, after = states[1], states[2]
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not all(torch.equal(states[0][name], before[name]) for name in before)
    assert trainer.progress.non_finite.state() == [1, 5, 2]
    assert np.isfinite(float(trainer.progress.loss_sum))


@pytest.mark.promise(
    'NaN loss with on_nan = "skip": the step adds no gradient and no running statistic, and is counted'
)
def test_the_run_continues_and_reports_it(make_run, monkeypatch):
    import compete.train.loop as training

    run = make_run(NAN)
    built = training.build_trainer

    def poisoned(run, member):
        trainer, batches = built(run, member), []
        trainer.batch_transforms.append(
            lambda images, targets: (images * (float("inf") if batches.append(0) or len(batches) == 2 else 1), targets)
        )
        return trainer

    monkeypatch.setattr(training, "build_trainer", poisoned)
    result, weights, _ = train(run, Member(0, 42))
    assert all(torch.isfinite(value).all() for value in weights.values())
    assert all(np.isfinite(epoch.train_loss) for epoch in result.epochs)
    assert without_doubts(run.session.warnings) == [
        "fold0-seed42: 1 of 3 steps of epoch 1 were skipped, first step 2: their loss or gradients were NaN or infinite"
    ]


@pytest.mark.promise(
    'NaN loss with on_nan = "skip": the step adds no gradient and no running statistic, and is counted'
)
def test_gradients_that_alone_are_infinite_are_left_out_too(make_run):
    trainer, _ = poisoned_step(make_run, NAN)
    trainer.batch_transforms.clear()
    weight = trainer.network.head.weight
    weight.register_hook(lambda gradient: gradient * float("inf"))
    before = weight.detach().clone()
    with pytest.raises(TrainingError, match="epoch 1, step 1 of 3: no later step had a finite loss"):
        train_epoch(trainer)
        refuse_not_finite(trainer)
    assert torch.equal(weight, before)


POISON = """

@hookimpl
def on_step_end(trainer):
    if POISONED and (trainer.member.fold, trainer.epoch, trainer.step) == (1, 1, 1):
        next(trainer.network.parameters()).data.fill_(float("nan"))
"""


@pytest.mark.promise(
    "NaN loss: the member stops at its last good checkpoint, named with epoch and step, others are kept"
)
@pytest.mark.parametrize(
    ("minutes", "where"), [("10", "step 2 of 3: the training loss"), ("0.00001", "step 1 of 3: the weights")]
)
def test_nan_stops_at_the_last_good_checkpoint(tiny, compete, minutes, where):
    """The weights are ruined after step 1: a checkpoint right then sees it, or else the loss of step 2 does."""
    with (tiny / "tiny_plugin.py").open("a") as file:
        file.write("\nimport os\nPOISONED = os.environ.get('POISONED')\n" + POISON)
    arguments = ("run", "tiny.toml", "--set", "training.epochs=3", "--set", f"training.checkpoint_minutes={minutes}")
    status, text = compete(*arguments, env={"POISONED": "1"})
    assert status == 1
    assert f"error: fold1-seed42: epoch 2, {where} became NaN or infinite. The member keeps" in text
    assert 'use precision = "32-true", or set on_nan = "skip"' in text
    members = tiny / "submissions/tiny/run-001/members"
    assert (members / "fold0-seed42/result.json").exists() and not (members / "fold1-seed42/result.json").exists()
    checkpoints = [torch.load(file, weights_only=True) for file in (members / "fold1-seed42").glob("checkpoint*.pt")]
    assert checkpoints
    for state in checkpoints:
        assert all(torch.isfinite(value).all() for value in state["parts"]["network"].values())
    assert compete(*arguments)[0] == 0
    assert compete(*arguments, "--name", "unbroken", "--fresh")[0] == 0
    for name in ("submission.csv", "oof.parquet", "members/fold1-seed42/weights.safetensors"):
        broken, unbroken = (tiny / "submissions/tiny" / run / name for run in ("run-001", "unbroken"))
        assert broken.read_bytes() == unbroken.read_bytes()
