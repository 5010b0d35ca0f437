"""What makes the host wait for a GPU, or does its work more often than needed: counted on the CPU."""

from __future__ import annotations

import traceback

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from compete.data.images import ImagesByRow
from compete.errors import call_hook
from compete.predict.rows import predict_rows
from compete.train.loop import plan_epoch, read_parts, train_step
from compete.train.trainer import build_trainer
from compete.types import Member

# Each of these needs a value on the host, or a shape that depends on values.
WAITS = {
    torch.ops.aten._local_scalar_dense.default,
    torch.ops.aten.nonzero.default,
    torch.ops.aten.masked_select.default,
    torch.ops.aten.is_nonzero.default,
    torch.ops.aten.unique_consecutive.default,
    torch.ops.aten._unique2.default,
}
ON_HOST = ("batch_transforms.py", "distributions")  # draw their numbers on the CPU, on purpose


class Waits(TorchDispatchMode):
    """Notes where code of ours, or of a library that it calls, reads a value."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        boolean = func is torch.ops.aten.index.Tensor and any(t is not None and t.dtype == torch.bool for t in args[1])
        if func in WAITS or boolean:
            files = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_stack()[:-1]]
            if not any(name in file for file in files for name in ON_HOST):
                self.found.append(f"{func} below {[file for file in files if 'compete' in file][-1:]}")
        return func(*args, **(kwargs or {}))


def test_the_watch_sees_what_waits():
    with Waits() as waits:
        values = torch.arange(3.0)
        float(values.sum())
        values[values > 1]
    assert len(waits.found) == 2


def test_no_step_waits_for_the_device(make_run):
    run = make_run(
        "training.on_nan=skip",
        "training.max_grad_norm=1.0",
        "training.accumulation_steps=2",
        "loss.class_weights=balanced",
        'batch_transforms=[{ name = "mixup" }, { name = "cutmix" }]',
        'callbacks=[{ name = "ema" }, { name = "swa" }]',
    )
    trainer = build_trainer(run, Member(0, 42))
    call_hook(run.hook.on_member_start, trainer=trainer)
    plan_epoch(trainer)
    batches = list(read_parts(trainer.loader, trainer.epoch_batches.batches))[:2]
    train_step(trainer, batches)  # Adam's first step builds its state
    trainer.progress.step += 1
    with Waits() as waits:
        train_step(trainer, batches)
        call_hook(run.hook.on_step_end, trainer=trainer)
    assert not waits.found


def test_a_step_seeds_its_own_device_only(make_run, monkeypatch):
    run = make_run()
    trainer = build_trainer(run, Member(0, 42))
    plan_epoch(trainer)
    batch = next(iter(read_parts(trainer.loader, trainer.epoch_batches.batches)))
    monkeypatch.setattr(torch, "manual_seed", lambda seed: 1 / 0)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: 1 / 0)
    train_step(trainer, [batch])


def test_kernels_are_not_searched_for_each_of_many_batch_sizes(make_run, monkeypatch):
    run = make_run("inference.batch_size=4")
    trainer = build_trainer(run, Member(0, 42))
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    seen: list[tuple[int, bool]] = []
    trainer.network.register_forward_pre_hook(
        lambda _module, inputs: seen.append((len(inputs[0]), torch.backends.cudnn.benchmark))
    )

    def predicted(rows):
        seen.clear()
        predict_rows(run.predictor(), [trainer.network], [trainer.scaler], run.train_inputs, np.arange(rows))
        return seen.copy()

    assert predicted(7) == [(4, True), (3, True)]
    by_row = ImagesByRow(np.repeat(np.arange(4), [3, 2, 4, 3]), 4)
    object.__setattr__(run.images.train, "by_row", by_row)
    assert predicted(4) == [(3, False), (2, False), (4, False), (3, False)] and torch.backends.cudnn.benchmark
