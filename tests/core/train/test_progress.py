"""Progress survives a kill: every field is saved and restored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from compete.model.non_finite import NonFiniteSteps
from compete.store import load_state, save_state
from compete.train.progress import Progress
from compete.types import Epoch

CPU = torch.device("cpu")


def counted() -> NonFiniteSteps:
    steps = NonFiniteSteps.none(CPU)
    steps.note(torch.tensor(False), 3, 8)
    return steps


# A value for each field that differs from that of an untrained member.
TRAINED: dict[str, Callable[[], Any]] = {
    "loss_sum": lambda: torch.tensor(2.5),
    "non_finite": counted,
    "class_draws": lambda: np.array([4, 5]),
    "epoch": lambda: 3,
    "step": lambda: 7,
    "samples_seen": lambda: 56,
    "splits": lambda: 4,
    "devices": lambda: 2,
    "history": lambda: [Epoch(1, 0.7, 0.6, 0.5, 1e-3, 12.0, 0.8, 135)],
    "best_weights": lambda: {"head.bias": torch.tensor([1.0, 2.0])},
    "best_epoch": lambda: 1,
    "best_score": lambda: 0.25,
    "seconds": lambda: 12.0,
}


def comparable(value: Any) -> Any:
    if isinstance(value, NonFiniteSteps):
        return value.state()
    if isinstance(value, dict):
        return {name: comparable(item) for name, item in value.items()}
    return value.tolist() if isinstance(value, torch.Tensor | np.ndarray) else value


def test_every_field_has_a_value_here() -> None:
    assert {field.name for field in fields(Progress)} == TRAINED.keys()


@pytest.mark.parametrize("field", [field.name for field in fields(Progress)])
def test_every_field_survives_a_save(field: str, tmp_path: Path) -> None:
    progress, resumed = Progress.start(CPU, 2), Progress.start(CPU, 2)
    setattr(progress, field, TRAINED[field]())
    assert comparable(getattr(progress, field)) != comparable(getattr(resumed, field))
    save_state(tmp_path / "state.pt", progress.state_dict())
    resumed.load_state_dict(load_state(tmp_path / "state.pt"))
    assert comparable(vars(resumed)) == comparable(vars(progress))


def test_the_next_epoch_starts_its_counts_again() -> None:
    progress = Progress(**{name: value() for name, value in TRAINED.items()})
    progress.next_epoch(Epoch(2, 0.6, 0.5, 0.6, 1e-3, 8.0))
    assert (progress.epoch, progress.step, progress.samples_seen, float(progress.loss_sum)) == (4, 0, 0, 0.0)
    assert progress.non_finite.state() == [0, 0, 0]
    assert len(progress.history) == 2 and progress.seconds == 20.0
    assert progress.class_draws.tolist() == [4, 5] and progress.best_epoch == 1
