"""What event hooks get of a run: a view of it, and what each of the six stages found, as facts.

`on_stage` passes one of the reports; the console writes the sentences. Counts are plain integers, and components are
named as in the TOML.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from pathlib import Path

STAGES = 6


@dataclass(frozen=True)
class StageReport:
    """What a stage found. Every stage has a report of its own, with its number (1 to 6) and title."""

    number: ClassVar[int]
    title: ClassVar[str]

    def __init_subclass__(cls, *, number: int, title: str) -> None:
        cls.number, cls.title = number, title


@dataclass(frozen=True)
class RowsReport(StageReport, number=1, title="preprocess"):
    """Stage 1: the tables, the target and the folds.

    `groups` counts the values of the column `group`. `outputs` counts the prediction columns C. `class_rows` are the
    fewest and the most training rows in a class, None where rows do not have one class each. `fold_rows` are the
    validation rows of each fold. `note` is the dataset's own, shown with every result.
    """

    train_rows: int
    test_rows: int
    groups: int | None
    target: str
    outputs: int
    class_rows: tuple[int, int] | None
    folds: str
    folds_key: str
    fold_rows: tuple[int, ...]
    note: str = ""


@dataclass(frozen=True)
class ImagesReport(StageReport, number=2, title="load"):
    """Stage 2: the images and what is done to them; `columns` counts the inputs that a row has beside its images."""

    train_images: int
    test_images: int
    height: int
    width: int
    cached: bool
    transforms: tuple[str, ...]
    batch_transforms: tuple[str, ...]
    sampler: str
    columns: int = 0


@dataclass(frozen=True)
class NetworkReport(StageReport, number=3, title="build"):
    """Stage 3: the network; `trained` is how many of its parameters move, `frozen` names the modules that do not.

    `notes` are the network's own lines, such as which weights were read. Where more is trained in later epochs,
    `schedule` has a line for each step: its epoch, how many parameters are trained from then on, and what is new.
    """

    model: str
    backbone: str
    head: str
    outputs: int
    parameters: int
    trained: int
    frozen: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    schedule: tuple[tuple[int, int, str], ...] = ()


@dataclass(frozen=True)
class OptimizationReport(StageReport, number=4, title="loss and optimizer"):
    """Stage 4: what is minimised and how; one learning rate for each that the parameter groups start with."""

    loss: str
    heads: int
    metric: str
    optimizer: str
    learning_rates: tuple[float, ...]
    scheduler: str
    batch_size: int
    accumulation_steps: int = 1


@dataclass(frozen=True)
class PlanReport(StageReport, number=5, title="train and infer settings"):
    """Stage 5: how much is trained, on what, and how predictions are made; `finished` names the members on disk.

    `submission` is the component that makes the file, or None without a test set.
    `notes` are the run's, such as what changed since the last one and which of its members are reused.
    """

    folds: int
    seeds: int
    epochs: int
    device: str
    precision: str
    tta: tuple[str, ...]
    ensemble: str
    submission: str | None
    finished: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingReport(StageReport, number=6, title="run"):
    """Stage 6: members are trained and predict; everything is written into `folder`.

    `notes` are lines about what was done before the first member, such as features of a frozen backbone.
    """

    folder: str
    notes: tuple[str, ...] = ()


class RunView(Protocol):
    """What a plugin may read of a run from its first event on, and the three methods that it may call."""

    @property
    def folder(self) -> Path:
        """The run's folder, `submissions/<competition>/<run>`."""

    @property
    def title(self) -> str:
        """The competition's title or, without one, its name."""

    @property
    def competition(self) -> str:
        """The competition's name, as in the TOML."""

    @property
    def metric_name(self) -> str:
        """The metric's name, as in the TOML."""

    @property
    def device(self) -> str:
        """The device's name, such as "cuda:0"."""

    @property
    def precision(self) -> str:
        """The training precision, such as "bf16-mixed"."""

    @property
    def label(self) -> str:
        """What tells the run from others that train at the same time, such as the name of a variant; else empty."""

    @property
    def together(self) -> dict[str, Any]:
        """What plugins of runs that train at the same time share, each under a name of its own."""

    @property
    def interactive(self) -> bool:
        """Whether the run is in a terminal."""

    @property
    def warnings(self) -> Sequence[str]:
        """The warnings so far."""

    def warn(self, message: str) -> None:
        """Add a warning, which the run reports at its end; a repeated one is added once."""

    def register(self, plugin: object) -> None:
        """Register an object with event hooks for the rest of this run."""

    def progress(self, what: str) -> Callable[[int, int], None]:
        """Return a function `(done, total)` that reports the progress of a long task."""
