"""Every extension point, by stage.

A plugin is a module (or object) with functions marked `@compete.hookimpl` and named as below. A `register_*`
hook takes nothing and returns `{name: component}`. A component is a callable: its **positional parameters**
are what the runner passes, its **keyword-only parameters** are the options of its TOML table (typed; a default
makes one optional), and its docstring is what `compete options` prints.

Shape legend, used everywhere: N training rows, B batch, K outputs (logits), C prediction columns (classes),
T test rows, M members, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from compete.reports import StageReport
    from compete.run import Run
    from compete.scores import Scores
    from compete.train.trainer import Trainer
    from compete.types import Epoch, Member, MemberResult

hookspec = pluggy.HookspecMarker("compete")
hookimpl = pluggy.HookimplMarker("compete")

Components = Mapping[str, Callable[..., Any]]

# --- dataset -------------------------------------------------------------------------------------------------


@hookspec
def register_datasets() -> Components:
    """Where rows come from: `(root: Path) -> Tables`.

    Raise `DataError` with every problem at once. Read ids and labels as text; never change the user's files.
    """


@hookspec
def register_readers() -> Components:
    """How a file becomes pixels: `(data: bytes) -> (H, W, C) uint8 array`.

    The name is the file ending without its dot (`"jpg"`), or a name that `[images] reader` chooses.
    Raise `ValueError` when the bytes are no such image; never return another image in its place.
    """


@hookspec
def register_targets() -> Components:
    """What is predicted: `(train: DataFrame) -> Target`."""


@hookspec
def register_folds() -> Components:
    """How rows are split: `(train: DataFrame, labels: (N,) or (N, C), seed: int) -> int64 (N,)`.

    The value is the fold in which the row is validated; -1 means that it only ever trains.
    """


@hookspec
def register_transforms() -> Components:
    """What is done to one image: `() -> Transform`. Several `[[transforms]]` run one after the other."""


@hookspec
def register_batch_transforms() -> Components:
    """What is done to a training batch on the device: `() -> (images, soft targets) -> (images, soft targets)`.

    Images are normalised floats (B, C, H, W); soft targets are (B, K) and sum to one within each head. Draw
    random numbers from torch's global generator (seeded for every step) and with `device=images.device`.
    """


@hookspec
def register_samplers() -> Components:
    """Which rows an epoch sees: `(labels: (N,), generator: torch.Generator) -> iterable of row numbers`.

    Called anew for each epoch with a freshly seeded generator. N counts the fold's training rows.
    """


# --- model ---------------------------------------------------------------------------------------------------


@hookspec
def register_models() -> Components:
    """The network: `(outputs: int, channels: int) -> nn.Module` giving logits (B, K), no softmax.

    The head is found as the last layer with K outputs, or named by an attribute `head_name` of the module.
    Normalisation constants come from attributes `mean` and `std` where the module has them, else ImageNet's.
    """


# --- loss ----------------------------------------------------------------------------------------------------


@hookspec
def register_heads() -> Components:
    """From features to logits: `(backbone: (width: int) -> nn.Module, columns: int, outputs: int) -> nn.Module`.

    `backbone(width)` builds the `[model]` with that many outputs, and is called once. The module returned gives
    logits (B, K) from images (B, C, H, W) and, where `columns` is above 0, the numbers (B, columns) of `[columns]`
    as a second argument.
    """


@hookspec
def register_losses() -> Components:
    """What is minimised: `(targets: tensor) -> (logits, targets) -> scalar tensor`.

    The first argument holds the encoded targets of this fold's training rows, for class weights. The loss
    itself gets logits (B, K) and either class numbers int64 (B,) or soft targets float (B, K), and returns the mean
    over the batch. With several heads the runner makes one loss for each and adds them.
    """


@hookspec
def register_metrics() -> Components:
    """What is scored: `() -> Metric`, computed over whole out-of-fold arrays, as the platform grades.

    A metric that only looks at the best classes of a row says so with `Metric.top`, and finds them with `top_labels`:
    it can then score thousands of classes, of which the runner keeps the best only (`[inference] keep_top`).
    """


# --- optimizer -----------------------------------------------------------------------------------------------


@hookspec
def register_optimizers() -> Components:
    """How weights move: `(parameter groups: list[dict]) -> torch.optim.Optimizer`."""


@hookspec
def register_schedulers() -> Components:
    """How the learning rate moves: `(optimizer, total_steps: int) -> scheduler`.

    `scheduler.step()` is called after each optimizer step. A scheduler with a method `epoch_end(badness)`
    also hears after every epoch how bad the score was (lower is better).
    """


# --- inference -----------------------------------------------------------------------------------------------


@hookspec
def register_tta() -> Components:
    """Views of a batch: `() -> (images (B, C, H, W)) -> list of extra views` of that shape.

    The untouched image is always the first view; predictions are averaged over all of them.
    """


@hookspec
def register_ensembles() -> Components:
    """How members become one: `(oof (M, N, C), labels, test (M, T, C), metric) -> (oof (N, C), test (T, C))`.

    OOF rows that a member did not validate are NaN. Rows that nobody validated stay NaN. A component with the attribute
    `row_by_row = True` needs neither labels nor other rows for a row, and may be given some rows and classes only.
    """


@hookspec
def register_postprocessors() -> Components:
    """What is fitted on OOF and applied to test: `(oof (N, C), labels, metric) -> (predictions) -> predictions`.

    A component with the attribute `needs_classes = True` gets the classes' names as a fourth argument.
    """


@hookspec
def register_submissions() -> Components:
    """The file's cells: `(sample: DataFrame, predictions: DataFrame, target: Target) -> DataFrame`.

    Predictions are indexed by id with one column per class, and already in the sample's row order. A component with
    the attribute `ids_of_its_own = True` writes other ids than the test table's, such as one row for each image and
    class; it gets the predictions in the test table's order. Before training it is tried, as post-processing is, on
    made-up predictions for the sample's first rows.
    """


@hookspec
def register_uploads() -> Components:
    """How a file reaches a platform: `() -> Uploader`, the functions that `compete.leaderboard.platform` describes.

    Building it sends nothing. Only `compete submit` and `compete download` use it, when the user asks.
    """


# --- any stage -----------------------------------------------------------------------------------------------


@hookspec
def register_callbacks() -> Components:
    """An object with event hooks: `() -> object`, registered for one run.

    State that must survive a kill goes through `state_dict()` and `load_state_dict(state)`: tensors, numbers and text.
    """


@hookspec
def register_executors() -> Components:
    """Where members run: `(members: list[Member], train: Callable[[Member], MemberResult]) -> list[MemberResult]`."""


@hookspec
def register_demos() -> Components:
    """Demo data: draws a small stand-in data set in a competition's exact layout: `(folder: Path) -> None`."""


# --- decisions: the first plugin that does not return None decides --------------------------------------------


@hookspec(firstresult=True)
def train_member(run: Run, member: Member) -> MemberResult | None:
    """Train one member and write its weights and OOF. None means: leave it to the next plugin, at last to core."""


@hookspec(firstresult=True)
def evaluation_network(trainer: Trainer) -> nn.Module | None:
    """Return the network that validates and predicts instead of the trained one (EMA), or None."""


@hookspec(firstresult=True)
def should_stop(trainer: Trainer) -> bool | None:
    """Return True after an epoch to end the member early; None leaves the question to others."""


# --- events: results are ignored -----------------------------------------------------------------------------


@hookspec
def on_run_start(run: Run) -> None:
    """The TOML is read and the run folder is ours."""


@hookspec
def on_stage(run: Run, report: StageReport) -> None:
    """One of the six stages is prepared; the report, one of `compete.reports`, holds what it found."""


@hookspec
def on_member_start(trainer: Trainer) -> None:
    """A member's network, optimizer and data are built; nothing was trained yet."""


@hookspec
def on_step_end(trainer: Trainer) -> None:
    """An optimizer step was made. Do not read tensors here: that would wait for the device."""


@hookspec
def on_epoch_end(trainer: Trainer, epoch: Epoch) -> None:
    """An epoch was trained and validated."""


@hookspec
def on_member_end(run: Run, result: MemberResult) -> None:
    """A member is finished and on disk."""


@hookspec
def on_progress(run: Run, what: str, done: int, total: int) -> None:
    """Something long went on: images decoded, batches predicted."""


@hookspec
def on_submission_written(run: Run, scores: Scores) -> None:
    """The checked submission and `scores.json` are on disk."""


@hookspec
def on_run_end(run: Run, scores: Scores) -> None:
    """Everything is done, scores and report included."""


@hookspec
def write_report(folder: Path) -> None:
    """Write the report page of a finished run into its folder; `compete report` asks for it."""


@hookspec
def on_run_error(run: Run, error: BaseException) -> None:
    """The run stops here; what was finished is kept."""
