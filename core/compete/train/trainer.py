"""A member in training: its parts, built from the TOML, and its progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from compete.data.decoder import as_fractions
from compete.data.loaders import (
    EpochBatches,
    ImageDataset,
    make_loader,
    read_batches,
    seed_host,
    training_batches,
)
from compete.errors import CompeteError, call_hook
from compete.model.device import seed_device
from compete.model.finetune import TrainingPlan, build_optimizer, frozen_modules, parameter_groups
from compete.model.losses import joint_loss, soft_targets
from compete.model.memory import BatchSplitter
from compete.model.selectors import is_fitted
from compete.predict.inference import Scale, Scaler, as_they_are
from compete.ranks.group import ALONE, Ranks
from compete.ranks.splits import split_all_ranks
from compete.session import MemberOfRun, Run
from compete.train.evaluation import evaluate, sample_of
from compete.train.networks import IMAGES, ROWS, SAMPLE, STEP, copy_weights, fresh_network, member_seed
from compete.train.progress import Progress
from compete.types import ALL_ROWS, Epoch, Member, Target

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

    from compete.data.loaders import Batch, Batches
    from compete.features.stored import StoredFeatures
    from compete.types import Array


@dataclass(frozen=True)
class Trainer(MemberOfRun):
    """The parts of a member in training, and its `progress`, which holds all other state.

    Plugins may rely on the attributes of `compete.types.TrainerView`.
    """

    run: Run
    member: Member
    network: nn.Module
    forward: Any
    optimizer: Any
    scheduler: Any
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    batch_transforms: Sequence[Callable[..., tuple[torch.Tensor, torch.Tensor]]]
    scaler: Scaler
    plan: TrainingPlan
    stored: StoredFeatures | None
    targets: torch.Tensor
    columns: torch.Tensor | None
    train_rows: Array
    valid_rows: Array
    loader: DataLoader[Batch | CompeteError]
    epoch_batches: EpochBatches
    steps_per_epoch: int
    splitter: BatchSplitter
    progress: Progress

    @property
    def members(self) -> Sequence[Member]:
        """Every member of the run, in the order of training."""
        return self.run.members

    @property
    def frozen(self) -> list[str]:
        """The names of the modules whose parameters are all frozen in the current epoch."""
        return frozen_modules(self.network)

    @property
    def epochs(self) -> int:
        """The number of epochs to train."""
        return 1 if is_fitted(self.network) else self.run.config.training.epochs

    @property
    def epoch(self) -> int:
        """The number of finished epochs."""
        return self.progress.epoch

    @property
    def step(self) -> int:
        """The number of steps made in the current epoch."""
        return self.progress.step

    @property
    def samples_seen(self) -> int:
        """The number of images trained on in the current epoch."""
        return self.progress.samples_seen

    @property
    def history(self) -> Sequence[Epoch]:
        """The finished epochs."""
        return self.progress.history

    @property
    def evaluation_network(self) -> nn.Module:
        """The network that validates and predicts: a callback's (EMA), else the trained one."""
        chosen = call_hook(self.run.hook.evaluation_network, trainer=self)
        return chosen if isinstance(chosen, nn.Module) else self.network

    @property
    def scale(self) -> Scale:
        """What makes the input of `forward` from a batch of the loader."""
        return self.scaler if self.stored is None else as_they_are

    @property
    def validation(self) -> tuple[Array, Array]:
        """The numbers (V,) of the training rows that validate the member, and their labels, (V,) or (V, C)."""
        return self.valid_rows, self.run.dataset.labels[self.valid_rows]

    @property
    def target(self) -> Target:
        """The target to predict."""
        return self.run.target

    def mark_best(self) -> None:
        """Make the evaluation network's current weights the member's final ones."""
        self.choose(self.evaluation_network, len(self.history))

    def choose(self, network: nn.Module, epoch: int, score: float | None = None) -> None:
        """Make a network's weights the member's final ones: those of an epoch, or made from it and scored by itself."""
        progress = self.progress
        progress.best_weights, progress.best_epoch, progress.best_score = copy_weights(network), epoch, score

    def final_network(self) -> nn.Module:
        """Return a copy of the network with the member's final weights, in eval mode."""
        network = deepcopy(self.network)
        network.load_state_dict(self.progress.best_weights or {})
        return network.eval()

    def evaluate(self, network: nn.Module) -> tuple[float, float]:
        """Return a network's loss and score over all of the fold's validation rows, without augmentation or TTA."""
        return evaluate(self.run, network, self.scale, self.loss, self.targets, self.valid_rows, stored=self.stored)[:2]

    def evaluate_epoch(self) -> tuple[float, float, float]:
        """Return the evaluation network's loss and score on the fold, and its score on a sample of training rows."""
        sample, network = sample_of(self.train_rows, self.seed(SAMPLE)), self.evaluation_network
        return evaluate(self.run, network, self.scale, self.loss, self.targets, self.valid_rows, sample, self.stored)

    def training_inputs(self) -> Iterator[tuple[torch.Tensor, ...]]:
        """Yield the network's inputs in each batch of the current epoch, augmented; not while an epoch is trained.

        Every rank gets whole batches.
        """
        batches, run = EpochBatches(), self.run
        batches.batches = draw_epoch(self)[1]
        images = ImageDataset(run.images.train.images, run.images.augment)
        loader = make_loader(images, batches, run.workers, run.fabric.device.type == "cuda")
        for number, batch in enumerate(read_batches(loader)):
            seed = self.seed(STEP, self.epoch, number)
            seed_host(seed)
            seed_device(run.fabric.device, seed)
            yield prepare(self, batch, self.scaler, ALONE)[:-1]

    def decode(self, rows: Array) -> tuple[Array, tuple[torch.Tensor, ...]]:
        """Return the first image of each training row (B, H, W, C), and a network's inputs from them, unaugmented."""
        table = self.run.images.train
        images = [table.images[int(table.by_row[row][0])] for row in rows]
        mixed = len({image.dtype for image in images}) > 1
        pixels = np.stack([as_fractions(image) for image in images] if mixed else images)
        inputs = [self.scaler(torch.from_numpy(pixels).to(self.run.fabric.device))]
        if self.columns is not None:
            inputs.append(self.columns[torch.from_numpy(rows).to(self.run.fabric.device)])
        return pixels, tuple(inputs)

    def seed(self, purpose: int, *parts: int) -> int:
        """Return a seed of this member for a purpose."""
        return member_seed(self.member, purpose, *parts)


def draw_epoch(trainer: Trainer) -> tuple[Array, Batches]:
    """Return the rows of the current epoch in the order that the sampler draws them, and its batches."""
    run, settings = trainer.run, trainer.run.config.training
    order = epoch_order(run, trainer.train_rows, trainer.seed(ROWS, trainer.epoch))
    rng = np.random.default_rng(trainer.seed(IMAGES, trainer.epoch))
    return order, training_batches(order, run.images.train.by_row, rng, settings.batch_size, settings.drop_last)


def prepare(trainer: Trainer, batch: Batch, scale: Scale, ranks: Ranks) -> tuple[torch.Tensor, ...]:
    """Move a training batch to the device, scale it, and apply the batch transforms, which mix rows of all ranks.

    Return images (B, C, H, W), the columns (B, F) beside them if there are any, and targets (B, ...). Stored
    features take the images' place, and stay `as_they_are`.
    """
    device = trainer.run.fabric.device
    images = scale(batch.images.to(device, non_blocking=True))
    rows = batch.rows.to(device, non_blocking=True)
    if trainer.batch_transforms:
        images, rows = ranks.whole(images, batch.size), ranks.whole(rows, batch.size)
    targets = trainer.targets[rows]  # (N, ...) -> (B, ...)
    if trainer.batch_transforms:
        targets = soft_targets(targets, trainer.run.target)
        for transform in trainer.batch_transforms:
            images, targets = transform(images, targets)
        own = ranks.part(batch.size)
        images, rows, targets = images[own], rows[own], targets[own]
    return (images, targets) if trainer.columns is None else (images, trainer.columns[rows], targets)


def build_trainer(run: Run, member: Member) -> Trainer:
    """Build the network, loss, optimizer, schedule and loader of a member."""
    config, dataset, device = run.config, run.dataset, run.fabric.device
    settings, outputs = config.training, dataset.target.outputs
    train_rows, valid_rows = _rows_of(run, member)
    network, plan, scaler = fresh_network(run, member)
    optimizer = scheduler = None
    steps = -(-_batches_in(train_rows, run) // settings.accumulation_steps)
    forward = network
    if not is_fitted(network):
        bare = build_optimizer(config.one("optimizers"), parameter_groups(network, config, outputs, plan))
        scheduler = config.one("schedulers").build(bare, steps * settings.epochs)
        forward, optimizer = run.fabric.setup(network, bare)
    stored = run.stored_features(run.images.train, [network], scaler)
    if stored is not None:
        forward = run.fabric.setup_module(stored.rest_of(network))
    batches = EpochBatches()
    images = ImageDataset((stored.unchanged if stored else run.images.train).images, run.images.augment)
    return Trainer(
        run=run,
        member=member,
        network=network,
        forward=torch.compile(forward) if settings.compile else forward,
        optimizer=optimizer,
        scheduler=scheduler,
        loss=joint_loss(config.one("losses"), dataset.target, dataset.targets[train_rows]),
        batch_transforms=[bound.build() for bound in config.many("batch_transforms")],
        scaler=scaler,
        plan=plan,
        stored=stored,
        targets=torch.from_numpy(dataset.targets).to(device),
        columns=torch.from_numpy(dataset.columns.train).to(device) if dataset.columns else None,
        train_rows=train_rows,
        valid_rows=valid_rows,
        loader=make_loader(images, batches, 0 if stored else run.workers, device.type == "cuda"),
        epoch_batches=batches,
        steps_per_epoch=steps,
        splitter=BatchSplitter(
            run.session.warn, on_more=split_all_ranks(run.ranks, run.member_folder(member), run.identity.member(member))
        ),
        progress=Progress.start(device, len(dataset.target.classes)),
    )


def _rows_of(run: Run, member: Member) -> tuple[Array, Array]:
    """Return the readable rows that train a member, and those that validate it."""
    readable = run.images.train.by_row.counts > 0
    validates = (run.dataset.folds == member.fold) & (member.fold != ALL_ROWS)
    return np.flatnonzero(~validates & readable), np.flatnonzero(validates & readable)


def epoch_order(run: Run, rows: Array, seed: int) -> Array:
    """Return the rows of an epoch in the order that the sampler draws them."""
    generator = torch.Generator().manual_seed(seed)
    sampler = run.config.one("samplers").build(run.dataset.labels[rows], generator)
    return rows[np.fromiter((int(position) for position in sampler), np.int64)]


def _batches_in(rows: Array, run: Run) -> int:
    """Return the number of batches in an epoch; a sampler may draw more or fewer rows than there are."""
    settings = run.config.training
    draws = len(epoch_order(run, rows, seed=0))
    return max(1, draws // settings.batch_size) if settings.drop_last else -(-draws // settings.batch_size)
