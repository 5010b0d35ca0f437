"""The doctor's checks of what reaches the network: mixed labels, decoded pixels, loading speed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from compete.train.patient import Patient

MIXES = 12
BatchTransform = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def labels_follow_pixels(patient: Patient) -> Iterator[str]:
    """Mixed labels have the share of the mixed pixels: seen on images of ones and zeros."""
    images = torch.zeros_like(patient.inputs[0])
    images[0] = 1.0
    targets = torch.zeros(len(images), max(2, patient.target.outputs), device=images.device)
    targets[:, 1], targets[0, 0], targets[0, 1] = 1.0, 1.0, 0.0
    for transform, bound in zip(patient.trainer.batch_transforms, _named(patient), strict=True):
        worst = max(_difference(transform, images, targets) for _ in range(MIXES))
        if worst > 0.02:
            yield (
                f"[[batch_transforms]] name = \"{bound}\": the label's share differs from the pixels' by up to "
                f"{worst:.2f}; mix both by the same share"
            )


def _named(patient: Patient) -> list[str]:
    return [bound.name for bound in patient.trainer.run.config.many("batch_transforms")]


def _difference(transform: BatchTransform, images: torch.Tensor, targets: torch.Tensor) -> float:
    mixed, labels = transform(images.clone(), targets.clone())
    return float((mixed.mean(dim=(1, 2, 3)) - labels[:, 0]).abs().max())


def decoding_is_repeatable(patient: Patient) -> Iterator[str]:
    """Reading an image and its fixed transforms give the same pixels for training, validation and test."""
    images, number = patient.trainer.run.images.train.images, int(patient.rows[0])
    number = int(patient.trainer.run.images.train.by_row[number][0])
    if not np.array_equal(images[number], images[number]):
        yield (
            "the same image decoded twice has other pixels: a fixed transform is random. Move it to `random`, where it "
            "augments training images only"
        )


def loading_keeps_up(patient: Patient) -> Iterator[str]:
    """Loading a batch should not take longer than the step on it; a run with a cache decodes nothing then."""
    trainer = patient.trainer
    run, images, network = trainer.run, trainer.run.images.train, patient.network(training=True)
    numbers = [int(images.by_row[row][0]) for row in patient.rows]
    cached = run.config.images.cache
    decoded = {number: images.images[number] for number in numbers} if cached else images.images
    started = time.perf_counter()
    for number in numbers:
        image = decoded[number]
        if run.images.augment is not None:
            run.images.augment(image, 0)
    loading = time.perf_counter() - started
    torch.autograd.backward(trainer.loss(network(*patient.inputs), patient.targets))  # the first one warms up
    started = time.perf_counter()
    torch.autograd.backward(trainer.loss(network(*patient.inputs), patient.targets))
    next(network.parameters()).detach().sum().item()  # waits for the device
    step = time.perf_counter() - started
    processes = max(1, run.workers)
    if loading / processes > step:
        cure = "" if cached else "Set [images] cache = true, or "
        workers = f"[training] workers to {math.ceil(loading / step)}"
        yield (
            f"loading {len(numbers)} images takes {loading * 1000:.0f} ms in one process, a step on them "
            f"{step * 1000:.0f} ms: the loader is the bottleneck. {cure or 'Set '}{workers}"
        )
