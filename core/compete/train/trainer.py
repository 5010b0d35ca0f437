"""A member in training: everything it trains with, built from the TOML, and how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from compete.data.loaders import EpochBatches, ImageDataset, choose_workers, make_loader
from compete.errors import CompeteError
from compete.model.device import seed_of
from compete.model.losses import joint_loss
from compete.model.memory import BatchSplitter
from compete.model.network import build_network, build_optimizer, freeze, input_scale, parameter_groups
from compete.model.non_finite import NonFiniteSteps
from compete.predict.inference import Scaler
from compete.run import Run, call_hook
from compete.types import Epoch, Member, Metric

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

    from compete.data.loaders import Batch
    from compete.types import Array


@dataclass
class Trainer:
    """A member in training: what it trains with, and how far it is."""

    run: Run
    member: Member
    network: nn.Module
    forward: Callable[..., torch.Tensor]
    optimizer: Any
    scheduler: Any
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    batch_transforms: list[Callable[..., tuple[torch.Tensor, torch.Tensor]]]
    scaler: Scaler
    frozen: list[str]
    targets: torch.Tensor
    columns: torch.Tensor | None
    train_rows: Array
    valid_rows: Array
    loader: DataLoader[Batch | CompeteError]
    epoch_batches: EpochBatches
    metric: Metric
    steps_per_epoch: int
    loss_sum: torch.Tensor
    non_finite: NonFiniteSteps
    splitter: BatchSplitter
    epoch: int = 0
    step: int = 0
    history: list[Epoch] = field(default_factory=list)
    best_weights: dict[str, torch.Tensor] | None = None
    best_epoch: int = 0
    samples_seen: int = 0
    class_draws: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    seconds: float = 0.0

    @property
    def members(self) -> list[Member]:
        """Every member of the run, in the order of training."""
        return self.run.members

    @property
    def metric_name(self) -> str:
        """The metric's name, as in the TOML."""
        return self.run.metric_name

    @property
    def epochs(self) -> int:
        """How many epochs this member is to train."""
        return self.run.config.training.epochs

    @property
    def evaluation_network(self) -> nn.Module:
        """The network that validates and predicts: a callback's (EMA), else the trained one."""
        chosen = call_hook(self.run.hook.evaluation_network, trainer=self)
        return chosen if isinstance(chosen, nn.Module) else self.network

    def mark_best(self) -> None:
        """Keep the evaluation network's weights of now as those that the member will end with."""
        self.best_weights = snapshot(self.evaluation_network)
        self.best_epoch = len(self.history)

    def seed(self, *parts: int) -> int:
        """Return a seed of this member for some purpose."""
        return seed_of(self.member.seed, self.member.fold + 1, *parts)


def snapshot(network: nn.Module) -> dict[str, torch.Tensor]:
    """Copy a network's weights to main memory."""
    return {name: t.detach().to("cpu", copy=True).contiguous() for name, t in network.state_dict().items()}


def build_trainer(run: Run, member: Member) -> Trainer:
    """Build the network, loss, optimizer, schedule and loader of a member."""
    config, data = run.config, run.ready
    settings, outputs = config.training, data.target.outputs
    readable = data.train_rows.counts > 0
    train_rows = np.flatnonzero((data.folds != member.fold) & readable)
    valid_rows = np.flatnonzero((data.folds == member.fold) & readable)
    seed = seed_of(member.seed, member.fold + 1, 0)
    network = build_network(config, outputs, data.column_count, seed)
    frozen = freeze(network, config.finetune, outputs)
    scaler = Scaler(*input_scale(network, config.images), settings.channels_last)
    if settings.channels_last:
        network = network.to(memory_format=torch.channels_last)
    optimizer = build_optimizer(config.one("optimizers"), parameter_groups(network, config.finetune, outputs))
    micro_batches = _batches_in(train_rows, run)
    steps = -(-micro_batches // settings.accumulation_steps)
    forward, fabric_optimizer = run.fabric.setup(network, optimizer)
    scheduler = config.one("schedulers").build(optimizer, steps * settings.epochs)
    batches = EpochBatches()
    workers = choose_workers(settings.workers, run.fabric.device.type, config.images.cache)
    dataset = ImageDataset(data.train.images, data.random)
    loss = joint_loss(config.one("losses"), data.target, data.encoded[train_rows])
    return Trainer(
        run=run,
        member=member,
        network=network,
        forward=torch.compile(forward) if settings.compile else forward,
        optimizer=fabric_optimizer,
        scheduler=scheduler,
        loss=loss,
        batch_transforms=[bound.build() for bound in config.many("batch_transforms")],
        scaler=scaler.to(run.fabric.device),
        frozen=frozen,
        targets=torch.from_numpy(data.encoded).to(run.fabric.device),
        columns=torch.from_numpy(data.columns.train).to(run.fabric.device) if data.columns else None,
        train_rows=train_rows,
        valid_rows=valid_rows,
        loader=make_loader(dataset, batches, workers, run.fabric.device.type == "cuda"),
        epoch_batches=batches,
        metric=run.metric,
        steps_per_epoch=steps,
        loss_sum=torch.zeros((), device=run.fabric.device),
        non_finite=NonFiniteSteps.none(run.fabric.device),
        splitter=BatchSplitter(run.warn),
        class_draws=np.zeros(len(data.target.classes), np.int64),
    )


def epoch_order(run: Run, rows: Array, seed: int) -> Array:
    """Return the rows of one epoch, as the sampler draws them."""
    generator = torch.Generator().manual_seed(seed)
    sampler = run.config.one("samplers").build(run.ready.labels[rows], generator)
    return rows[np.fromiter((int(position) for position in sampler), np.int64)]


def _batches_in(rows: Array, run: Run) -> int:
    """Return the number of micro-batches in an epoch; a sampler may draw more or fewer rows than there are."""
    settings = run.config.training
    drawn = len(epoch_order(run, rows, seed=0))
    return max(1, drawn // settings.batch_size) if settings.drop_last else -(-drawn // settings.batch_size)
