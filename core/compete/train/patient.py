"""What the doctor looks at: a fresh trainer, and a small batch of training images, unaugmented."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from compete.model.finetune import set_trainable

if TYPE_CHECKING:
    from compete.train.trainer import Trainer
    from compete.types import Array, Target


@dataclass(frozen=True)
class Patient:
    """A trainer before its first step; `rows` (B,) of its training table, with as many labels as there are.

    `inputs` are the images (B, C, H, W) and, where there are any, the columns (B, F), on the trainer's device.
    """

    trainer: Trainer
    rows: Array
    inputs: tuple[torch.Tensor, ...]

    @classmethod
    def of(cls, trainer: Trainer, most_rows: int) -> Patient:
        """Decode a batch of images for a trainer: rows of different labels first."""
        run = trainer.run
        rows = _spread_labels(trainer.train_rows, run.dataset.labels[trainer.train_rows])[:most_rows]
        return cls(trainer, rows, trainer.decode(rows)[1])

    @property
    def targets(self) -> torch.Tensor:
        """The targets of the loss (B, ...)."""
        return self.trainer.targets[torch.from_numpy(self.rows).to(self.trainer.targets.device)]

    @property
    def labels(self) -> Array:
        """The labels of the metric, (B,) or (B, C)."""
        return self.trainer.run.dataset.labels[self.rows]

    @property
    def target(self) -> Target:
        """The target to predict."""
        return self.trainer.run.target

    def network(self, training: bool = False) -> nn.Module:
        """Return a copy of the network to experiment with; all that is ever trained is trained in it."""
        copy = deepcopy(self.trainer.network)
        set_trainable(copy, self.trainer.plan, self.trainer.epochs)
        return copy.train() if training else copy.eval()


@contextmanager
def unchanged_random_state() -> Iterator[None]:
    """Leave the random generators of Python, NumPy and torch as they were."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def _spread_labels(rows: Array, labels: Array) -> Array:
    """Return the rows in an order that has the first of every label before the second of any."""
    keys = labels if labels.ndim == 1 else labels.argmax(axis=1)
    order = np.argsort(keys, kind="stable")
    ranks = np.empty(len(rows), np.int64)
    starts = np.searchsorted(keys[order], keys[order])
    ranks[order] = np.arange(len(rows)) - starts  # 0 for the first row of its label, 1 for the second, ...
    return rows[np.argsort(ranks, kind="stable")]
