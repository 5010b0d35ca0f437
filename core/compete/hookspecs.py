"""Every extension point, by stage.

A plugin is a module (or object) with functions marked `@compete.hookimpl` and named as below. A `register_*` hook
takes nothing and returns `{name: component}`. A component is a callable: its **positional parameters** are what the
runner passes, its **keyword-only parameters** are the options of its TOML table (typed; a default makes one optional),
and its docstring is what `compete options` prints. What else the runner has to know of it, `@compete.component(...)`
declares.

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

    from compete.files.proposals import Proposal
    from compete.files.scan import Scan
    from compete.reports import RunView, StageReport
    from compete.scores import Scores
    from compete.types import Epoch, MemberResult, TrainerView

hookspec = pluggy.HookspecMarker("compete")
hookimpl = pluggy.HookimplMarker("compete")

Components = Mapping[str, Callable[..., Any]]

# --- components, from the dataset to the submission -----------------------------------------------------------


@hookspec
def register_datasets() -> Components:
    """Datasets: where rows come from. `(root: Path) -> Tables`; with `@component(reads_urls=True)` also a URL (str).

    Raise `DataError` with every problem at once. Read ids and labels as text, and never change the user's files.
    """


@hookspec
def propose_dataset(scan: Scan) -> Proposal | list[Proposal] | None:
    """Proposals: how a dataset would read a folder, for `compete init`. None: not at all; `DataError`: nearly."""


@hookspec
def register_readers() -> Components:
    """Readers: how a file becomes pixels. `(data: bytes) -> (H, W, channels) uint8, or float32 in 0..1`.

    The name is a file extension (`"jpg"`) or one that `[images] reader` chooses. Keyword-only parameters are `[images]`
    settings (`channels`, `layout` ...) and `note(text)`, which counts. Raise `ValueError` for bytes of another kind.
    """


@hookspec
def register_targets() -> Components:
    """Targets: what is predicted. `(train: DataFrame) -> Target`."""


@hookspec
def register_folds() -> Components:
    """Folds: `(train: DataFrame, labels: (N,) or (N, C), seed: int) -> int64 (N,)`, the fold that validates a row.

    -1 means that the row only ever trains.
    """


@hookspec
def register_transforms() -> Components:
    """Transforms of one image: `() -> Transform`. Several `[[transforms]]` run one after the other."""


@hookspec
def register_batch_transforms() -> Components:
    """Transforms of a training batch, on the device: `() -> (images, soft targets) -> (images, soft targets)`.

    Images are normalised floats (B, channels, H, W); soft targets are (B, K) and sum to one within each head. Draw
    random numbers from torch's global generator (seeded for every step), with `device=images.device`.
    """


@hookspec
def register_samplers() -> Components:
    """Samplers: which rows an epoch draws. `(labels: (N,), generator: torch.Generator) -> iterable of row numbers`.

    Called for every epoch with a freshly seeded generator. N counts the training rows of the fold.
    """


@hookspec
def register_models() -> Components:
    """Models: the network. `(outputs: int, channels: int) -> nn.Module` giving logits (B, K), without a softmax.

    The head is the last layer with K outputs; `NetworkAttributes` lists what a network may say beside. Traits:
    `without_weights` are options that build the bare architecture, which finished members are loaded into; `weights`
    tells which trained weights the options ask for, and `model_input` the size, mean and std of the model's own.
    """


@hookspec
def register_heads() -> Components:
    """Heads: from features to logits. `(backbone: (width: int) -> nn.Module, columns: int, outputs: int) -> nn.Module`.

    `backbone(width)`, called once, builds the `[model]` with that many outputs. The module gives logits (B, K) from
    images (B, channels, H, W) and, if there are any, numbers (B, columns) of `[columns]`; with a `FittedHead` as its
    `fitted_head` it is fitted, not stepped. `@component(gives_cosines=True)`: cosines times an option `scale`.
    """


@hookspec
def register_losses() -> Components:
    """Losses: what is minimised. `(targets: tensor) -> (logits, targets) -> scalar tensor`.

    The first argument holds the targets of the fold's training rows, for class weights. The loss itself gets logits
    (B, K) and either class numbers int64 (B,) or soft targets float (B, K), and returns the mean over the batch. With
    several heads the runner adds one loss for each. `@component(needs_cosines=True)`: it takes cosines times `scale`.
    """


@hookspec
def register_metrics() -> Components:
    """Metrics: what is scored. `() -> Metric`, computed over whole out-of-fold arrays, as the platform grades.

    A metric that only looks at the best classes of a row states how many in `Metric.top`, and finds them with
    `top_labels`; it can then score thousands of classes, of which the runner keeps the best (`[inference] keep_top`).
    """


@hookspec
def register_optimizers() -> Components:
    """Optimizers: how weights move. `(parameter groups: list[dict]) -> torch.optim.Optimizer`.

    If it has a context manager `climbed()`, as SAM does, each step takes its gradients from inside that.
    """


@hookspec
def register_schedulers() -> Components:
    """Schedulers: how the learning rate moves. `(optimizer, total_steps: int) -> scheduler`.

    `scheduler.step()` follows each optimizer step. A method `epoch_end(badness)` is called after every epoch with how
    bad the score was (lower is better).
    """


@hookspec
def register_tta() -> Components:
    """Test-time augmentation: `() -> (images (B, channels, H, W)) -> list of extra views`, averaged with the image."""


@hookspec
def register_ensembles() -> Components:
    """Ensembles: `(oof (M, N, C), labels, test (M, T, C), metric) -> (oof (N, C), test (T, C))`, one of all members.

    OOF rows that a member did not validate are NaN; rows that no member validated stay NaN. `row_by_row`: rows need
    neither labels nor others. `takes_columns`: a fifth argument, (train (N, F), test (T, F)) of `[columns]` or None.
    """


@hookspec
def register_postprocessors() -> Components:
    """Post-processing, fitted on OOF and applied to test: `(oof (N, C), labels, metric) -> predictions -> predictions`.

    `@component(needs_classes=True)`: the names of the classes are passed as a fourth argument.
    """


@hookspec
def register_submissions() -> Components:
    """Submissions: the cells of the file. `(sample: DataFrame, predictions: DataFrame, target: Target) -> DataFrame`.

    Predictions are indexed by id, with one column per class, in the sample's row order. `@component(own_ids=True)`: the
    file has other ids than the test table, such as one row for each image and class; predictions then come in the test
    table's order. Before training it is rehearsed, as post-processing is, on made-up predictions for the first rows.
    """


@hookspec
def register_uploads() -> Components:
    """Uploads: how a file, or code, reaches a platform. `() -> Uploader`, see `compete.leaderboard.platform`.

    Building one sends nothing. Only `compete submit` and `compete download` use it, when the user asks.
    """


@hookspec
def register_callbacks() -> Components:
    """Callbacks: `() -> object` with event hooks, registered for one run; one with `needs_scores` forbids a refit.

    State that must survive a kill goes through `state_dict()` and `load_state_dict(state)`: tensors, numbers and text.
    """


@hookspec
def register_hooks() -> Components:
    """Module hooks: what is watched inside a network. `() -> object` with event hooks, registered for one run.

    They must not change a result. A method `match(network)` may raise `ConfigError` before any image is read.
    """


@hookspec
def register_executors() -> Components:
    """Executors: where members are trained. `(members, train: TrainMember) -> list[MemberResult]`, in their order.

    `train(member)` skips a finished one and returns its result. In any process that sees the run's folder,
    `compete.run_job(job, report)` does `train.job(member)`, and `train.replay(record)` shows here what it reports.
    """


@hookspec
def register_demos() -> Components:
    """Demo data: a small stand-in, drawn in a competition's exact layout. `(folder: Path) -> None`."""


# --- decisions: the first plugin that does not return None decides --------------------------------------------


@hookspec(firstresult=True)
def evaluation_network(trainer: TrainerView) -> nn.Module | None:
    """Return the network that validates and predicts instead of the trained one (EMA), or None."""


@hookspec(firstresult=True)
def should_stop(trainer: TrainerView) -> bool | None:
    """Return True after an epoch to end the member early; None leaves the decision to others."""


# --- events: results are ignored -----------------------------------------------------------------------------


@hookspec
def on_run_start(run: RunView) -> None:
    """The TOML is read, and the run folder is locked."""


@hookspec
def on_stage(run: RunView, report: StageReport) -> None:
    """One of the six stages is prepared; the report, one of `compete.reports`, holds what it found."""


@hookspec
def on_member_start(trainer: TrainerView) -> None:
    """A member's network, optimizer and data are built; nothing is trained yet."""


@hookspec
def on_step_end(trainer: TrainerView) -> None:
    """An optimizer step was made. Do not read tensors here: that would wait for the device."""


@hookspec
def on_epoch_end(trainer: TrainerView, epoch: Epoch) -> None:
    """An epoch was trained and validated."""


@hookspec
def on_training_end(trainer: TrainerView) -> None:
    """A member's last epoch is over, also of one that stopped early; its weights are chosen, but not yet on disk."""


@hookspec
def explain_non_finite(trainer: TrainerView, step: int) -> str | None:
    """Where NaN or infinity came from in an epoch's first bad step (0: after the last), to end a message's sentence."""


@hookspec
def on_member_end(run: RunView, result: MemberResult) -> None:
    """A member is finished and on disk."""


@hookspec
def on_progress(run: RunView, what: str, done: int, total: int) -> None:
    """Something long made progress: images decoded, batches predicted."""


@hookspec
def on_submission_written(run: RunView, scores: Scores) -> None:
    """The checked submission and the scores are on disk."""


@hookspec
def on_run_end(run: RunView, scores: Scores) -> None:
    """The run is finished."""


@hookspec
def write_report(folder: Path) -> None:
    """Write the report page of a finished run into its folder; `compete report` calls this."""


@hookspec
def on_run_error(run: RunView, error: BaseException) -> None:
    """The run stops here; what was finished is kept."""
