"""The lines that each stage shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import singledispatch

from compete import (
    ImagesReport,
    NetworkReport,
    OptimizationReport,
    PlanReport,
    RowsReport,
    StageReport,
    TrainingReport,
    format_list,
    plural,
)

FROZEN_SHOWN = 4
RATES_SPANNED = 4  # that many or more are shown as a span


@singledispatch
def stage_lines(report: StageReport) -> Iterator[str]:
    """Yield what to show of a stage's report, line by line."""
    raise NotImplementedError(type(report))


@stage_lines.register
def _(report: RowsReport) -> Iterator[str]:
    groups = "" if report.groups is None else f" in {plural(report.groups, 'group')}"
    yield f"{plural(report.train_rows, 'training row')}{groups}, {plural(report.test_rows, 'test row')}"
    outputs = plural(report.outputs, "class", "classes") if report.outputs > 1 else "1 output"
    if report.class_rows is not None:
        fewest, most = report.class_rows
        outputs += f", {_span(report.class_rows)} rows per class (imbalance {most / fewest:.0f}:1)"
    yield f"target {report.target}: {outputs}"
    folds = f"{plural(len(report.fold_rows), 'fold')} of {_span(report.fold_rows)} rows"
    yield f"folds {report.folds}: {folds}, key {report.folds_key}"


@stage_lines.register
def _(report: ImagesReport) -> Iterator[str]:
    cached = ", decoded once into a cache" if report.cached else ""
    yield (
        f"{report.train_images:,} training and {report.test_images:,} test images"
        f" at {report.height} x {report.width} pixels{cached}"
    )
    yield f"augmentation: {_joined((*report.transforms, *report.batch_transforms))}"
    yield f"sampler: {report.sampler}"
    if report.columns:
        yield f"columns: {plural(report.columns, 'input')} beside the images of a row"


@stage_lines.register
def _(report: NetworkReport) -> Iterator[str]:
    head = "" if report.head == "linear" else f", head {report.head}"
    name = f"{report.model} {report.backbone}".strip()
    yield f"model {name}: {_millions(report.parameters)} parameters, {plural(report.outputs, 'output')}{head}"
    for number, (epoch, trained, added) in enumerate(report.schedule):
        yield f"from epoch {epoch} {_millions(trained)} of the parameters are trained: {'and ' * bool(number)}{added}"
    if report.frozen and not report.schedule:
        frozen = format_list(report.frozen, FROZEN_SHOWN)
        yield f"{_millions(report.trained)} of the parameters are trained; frozen: {frozen}"
    yield from report.notes


@stage_lines.register
def _(report: OptimizationReport) -> Iterator[str]:
    heads = f" for each of {report.heads} heads" if report.heads > 1 else ""
    yield f"loss {report.loss}{heads}; metric {report.metric}"
    if not report.learning_rates:
        yield "optimizer none: the head is fitted at once"
        return
    rates = list(dict.fromkeys(f"{rate:.1e}" for rate in report.learning_rates))
    shown = " and ".join(rates) if len(rates) < RATES_SPANNED else f"{rates[0]} to {rates[-1]} in {len(rates)} groups"
    yield f"optimizer {report.optimizer}, learning rate {shown}"
    yield f"scheduler {report.scheduler}"
    batches = f", {report.accumulation_steps} batches per step" if report.accumulation_steps > 1 else ""
    yield f"batches of {plural(report.batch_size, 'image')}{batches}"


@stage_lines.register
def _(report: PlanReport) -> Iterator[str]:
    amount = " x ".join(
        plural(*part) for part in ((report.folds, "fold"), (report.seeds, "seed"), (report.epochs, "epoch"))
    )
    yield f"{amount} on {report.device}, {report.precision}"
    yield f"TTA {_joined(report.tta)}; ensemble {report.ensemble}; submission {report.submission or 'none'}"
    if report.finished:
        yield f"already finished: {format_list(report.finished)}"
    yield from report.notes


@stage_lines.register
def _(report: TrainingReport) -> Iterator[str]:
    yield f"run folder {report.folder}"
    yield from report.notes


def _joined(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _millions(count: int) -> str:
    return f"{count / 1e6:.2f} M" if count >= 10_000 else f"{count:,}"


def _span(numbers: Iterable[int]) -> str:
    least, most = min(numbers), max(numbers)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"
