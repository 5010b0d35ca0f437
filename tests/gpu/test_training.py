"""What only a GPU can show. `make gpu` runs these tests on a machine with CUDA."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from compete.errors import call_hook
from compete.model.device import make_fabric
from compete.ranks.batchnorm import _SharedBatchNorm
from compete.ranks.group import ALONE, join_ranks
from compete.stages.members import finish_member
from compete.store import drop_checkpoints
from compete.train.loop import plan_epoch, read_parts, train, train_step
from compete.train.trainer import build_trainer
from compete.types import Member

pytestmark = pytest.mark.gpu
MEMBER = Member(0, 42)
DEVICE = "cuda"
GPU = f"training.device={DEVICE}"


def trained(run):
    """Train the first member from scratch; return its result and weights."""
    drop_checkpoints(run.member_folder(MEMBER))
    result, weights, _ = train(run, MEMBER)
    return result, weights


def first_batches(trainer, count=1):
    plan_epoch(trainer)
    return list(read_parts(trainer.loader, trainer.epoch_batches.batches))[:count]


@pytest.mark.parametrize("precision", ["32-true", "16-mixed", "bf16-mixed"])
def test_a_member_learns(make_run, precision):
    run = make_run(GPU, f"training.precision={precision}", "training.epochs=30")
    assert trained(run)[0].score > 0.9


def test_training_repeats_to_the_bit_where_it_is_deterministic(make_run):
    run = make_run(GPU, "training.deterministic=true", "training.workers=2")
    first, second = trained(run)[1], trained(run)[1]
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_gpu_trains_what_the_cpu_trains(make_run):
    options = ("optimizer.name=sgd", "optimizer.lr=0.01", "training.deterministic=true", "training.epochs=1")
    on_gpu = trained(make_run(GPU, *options))[1]
    on_cpu = trained(make_run("training.device=cpu", *options))[1]
    for name in on_cpu:
        np.testing.assert_allclose(on_gpu[name], on_cpu[name], rtol=2e-2, atol=2e-3, err_msg=name)  # TF32


def test_no_step_makes_the_host_wait(make_run):
    run = make_run(
        GPU,
        "training.precision=bf16-mixed",
        "training.on_nan=skip",
        "training.max_grad_norm=1.0",
        'batch_transforms=[{ name = "mixup" }, { name = "cutmix" }]',
        'callbacks=[{ name = "ema" }, { name = "swa" }]',
    )
    trainer = build_trainer(run, MEMBER)
    call_hook(run.hook.on_member_start, trainer=trainer)
    batches = first_batches(trainer)
    train_step(trainer, batches)
    trainer.progress.step += 1
    torch.cuda.set_sync_debug_mode("error")
    try:
        train_step(trainer, batches)
        call_hook(run.hook.on_step_end, trainer=trainer)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_fp16_leaves_out_steps_with_infinite_gradients_and_goes_on(make_run):
    run = make_run(GPU, "training.precision=16-mixed", "training.max_grad_norm=1.0", "training.accumulation_steps=2")
    trainer = build_trainer(run, MEMBER)
    batches = first_batches(trainer, 2)
    scaler = run.fabric.strategy.precision.scaler
    scaler.update(2.0**40)
    before = [parameter.detach().clone() for parameter in trainer.network.parameters()]
    train_step(trainer, batches)
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.network.parameters(), strict=True))
    assert scaler.get_scale() < 2.0**40
    for _ in range(30):
        train_step(trainer, batches)
    assert all(torch.isfinite(parameter).all() for parameter in trainer.network.parameters())
    assert not all(torch.equal(a, b) for a, b in zip(before, trainer.network.parameters(), strict=True))


def test_a_full_memory_splits_batches(make_run):
    run = make_run(GPU, "images.size=[512, 512]", "training.batch_size=8", "training.precision=32-true")
    trainer = build_trainer(run, MEMBER)
    batches = first_batches(trainer)
    torch.cuda.reset_peak_memory_stats()
    trainer.splitter.count = 8
    train_step(trainer, batches)
    one = torch.cuda.max_memory_allocated()
    trainer.splitter.count = 1
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(min(1.0, (one * 2 + (64 << 20)) / total))
    try:
        train_step(trainer, batches)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert trainer.splitter.count > 1
    assert any("out of memory: splitting batches" in text for text in run.session.warnings)


def test_a_compiled_network_is_compiled_for_at_most_two_batch_sizes(make_run):
    from torch._dynamo.testing import CompileCounter

    run = make_run(GPU, "training.drop_last=false")
    trainer = build_trainer(run, MEMBER)
    counter = CompileCounter()
    object.__setattr__(trainer, "forward", torch.compile(trainer.forward, backend=counter))
    for batch in first_batches(trainer, 9):  # 16 rows in fives: the last batch has one
        train_step(trainer, [batch])
    assert counter.frame_count <= 2


def test_forked_loader_processes_feed_a_gpu_in_use(make_run):
    torch.zeros(1, device=DEVICE)
    run = make_run(GPU, "training.workers=2", 'transforms=[{ name = "trivial_augment" }]')
    assert trained(run)[0].epochs


def test_shared_statistics_are_those_of_batchnorm(monkeypatch):
    world = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511"}
    for name, value in world.items():
        monkeypatch.setenv(name, value)
    device = torch.device(DEVICE, 0)
    alone = join_ranks(device)
    try:
        ours, theirs = (torch.nn.BatchNorm2d(8).to(device) for _ in range(2))
        images = torch.randn(4, 8, 5, 5, device=device).to(memory_format=torch.channels_last)
        one, other = (images.clone().requires_grad_() for _ in range(2))
        with _SharedBatchNorm(alone, repeats=1):
            (ours(one) ** 3).sum().backward()
        (theirs(other) ** 3).sum().backward()
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(ours.running_var, theirs.running_var)
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_train_what_one_trains(make_run):
    options = (GPU, "training.batch_size=4", "optimizer.name=sgd", "optimizer.lr=0.01")
    run = make_run(*options, "training.devices=2")
    result = finish_member(run, MEMBER)
    run.session.ranks = ALONE
    alone, _ = trained(run)
    assert [epoch.valid_loss for epoch in result.epochs] == pytest.approx(
        [epoch.valid_loss for epoch in alone.epochs], rel=2e-2
    )


def test_make_fabric_takes_the_gpu_of_a_rank(make_run):
    config = make_run(GPU).config
    last = torch.cuda.device_count() - 1
    assert make_fabric(config.training, last).device == torch.device(DEVICE, last)
