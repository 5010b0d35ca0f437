"""Predict other images with a finished run, and write their submission."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from compete.api.blended import FinishedBlend
from compete.api.caller import warn
from compete.api.finished import FinishedRun, dataset_with, with_rows
from compete.api.given import Given, Inputs, given_rows
from compete.data.images import ImageSet, open_image_set
from compete.errors import DataError, SubmissionError
from compete.predict.parquet import prediction_columns, write_predictions
from compete.predict.postprocessing import submission_frame
from compete.predict.rows import predict_rows
from compete.predict.top_k import join_rows
from compete.session import OpenRun, RunRows
from compete.stages.blend import join_members
from compete.stages.open_images import make_decoder
from compete.submission.check import check_submission
from compete.submission.csv_file import PLAIN, read_submission, write_submission
from compete.text import format_first, plural
from compete.types import TopK

if TYPE_CHECKING:
    from compete.types import Predictions, SampleForm

Sample: TypeAlias = "str | PathLike[str] | pd.DataFrame | None"
BATCHES_AT_ONCE = 64  # decoded into a temporary cache together: whole batches, so that they are those of one pass


@dataclass(frozen=True)
class NewPredictions:
    """Predictions of other rows (T, C): the blend, and what post-processing made of it."""

    run: RunRows
    blended: Predictions
    processed: Predictions


def predict_images(finished: FinishedRun | FinishedBlend, images: Inputs, root: Path) -> pd.DataFrame:
    """Return a table by id: a column for each class, as in `test.parquet`, and the decoded label."""
    done = predict_any(finished, images, root)
    target = done.run.target
    columns = {**prediction_columns(done.blended, target.classes), "label": _labels(done)}
    return pd.DataFrame(columns, index=pd.Index(done.run.tables.test["id"].tolist(), name="id"))


def write_submission_of(
    finished: FinishedRun | FinishedBlend, path: Path, images: Inputs, sample: Sample, root: Path
) -> pd.DataFrame:
    """Write and return the submission of other images. Raise `SubmissionError` with every problem."""
    given = _given(finished, images, root)
    wanted = _sample(finished.run, given.rows, sample)
    return write_checked_submission(predict_any(finished, images, root), path, wanted)


def write_both(
    finished: FinishedRun | FinishedBlend,
    folder: Path,
    images: Inputs,
    sample: Sample,
    root: Path,
    form: SampleForm = PLAIN,
) -> pd.DataFrame:
    """Write `test.parquet`, in the order of the run's own test rows if they are these, and the submission."""
    done = predict_any(finished, images, root)
    ids, own = pd.Index(done.run.tables.test["id"]), finished.run.tables.test["id"]
    order = ids.get_indexer(own) if set(ids) == set(own) else np.arange(len(ids))
    write_predictions(folder / "test.parquet", ids[order].tolist(), done.blended[order], done.run.target.classes)
    wanted = _sample(finished.run, done.run.tables.test, sample)
    return write_checked_submission(done, folder / "submission.csv", wanted, form)


def write_checked_submission(
    done: NewPredictions, path: Path, wanted: pd.DataFrame, form: SampleForm = PLAIN
) -> pd.DataFrame:
    """Write and return the rows that a sample submission wants. Raise `SubmissionError` with every problem."""
    ids = done.run.tables.test["id"]
    if ids.duplicated().any():
        twice = format_first(ids[ids.duplicated()].unique().tolist())
        raise SubmissionError(f"ids are there more than once: {twice}")
    config, rows = done.run.config, replace(done.run.tables, sample=wanted, form=form)
    frame = submission_frame(config, rows, done.processed, done.run.target)
    check = check_submission(frame, wanted, **config.checks.submission_rules())
    if check.problems:
        raise SubmissionError(check.problems)
    for warning in check.warnings:
        warn(f"submission: {warning}")
    write_submission(frame, path, form)
    return read_submission(path, form)


def _sample(run: RunRows, rows: pd.DataFrame, sample: Sample) -> pd.DataFrame:
    """Return the sample submission, or one with a row for each image and the columns of the run's own."""
    if isinstance(sample, str | PathLike):
        return read_submission(Path(sample))
    if isinstance(sample, pd.DataFrame):
        return sample.astype({sample.columns[0]: str}).reset_index(drop=True)
    if run.config.writes_own_ids or not run.tables.has_test:
        raise SubmissionError("the form of the submission is not known: give the sample submission, sample=...")
    names = run.tables.sample.columns
    return pd.DataFrame({name: rows["id"].tolist() if number == 0 else "" for number, name in enumerate(names)})


def predict_any(finished: FinishedRun | FinishedBlend, images: Inputs, root: Path) -> NewPredictions:
    """Predict with a run's members, or with all runs of a blend."""
    given = _given(finished, images, root)
    if isinstance(finished, FinishedRun):
        return _predict(finished, given)
    found = [predict_any(part, images, root).blended for part in finished.parts]
    parts = [part if isinstance(part, TopK) else np.asarray(part, np.float32) for part in found]
    dataset = dataset_with(finished.run, given.rows)
    _warn_of_comparing(finished, len(given.rows))
    blended = finished.blend(parts, None if dataset.columns is None else dataset.columns.test)
    return NewPredictions(replace(finished.run, dataset=dataset), blended, _processed(finished, blended))


def _given(finished: FinishedRun | FinishedBlend, images: Inputs, root: Path) -> Given:
    run = finished.run
    readers = run.config.plugins.registry["readers"]
    own = run.tables.test if run.tables.has_test else run.tables.train
    given = given_rows(images, root, own, readers, run.config.images.channels)
    if run.dataset.columns is not None and set(given.rows.columns) == {"id", "image"}:
        settings = run.config.columns
        needed = ", ".join([*settings.numeric, *settings.categorical])
        raise DataError(f"this run's network also takes [columns]: give a DataFrame with id, image, {needed}.")
    return given


def _predict(finished: FinishedRun, given: Given) -> NewPredictions:
    """Predict with all members, blend, and post-process; what the run would warn of is warned of."""
    found = [join_rows(parts) for parts in zip(*_in_chunks(finished, given), strict=True)]
    members = [found[number] for number in finished.network_of]
    run = with_rows(finished, given.rows, finished.run.images.test)
    _warn_of_comparing(finished, len(given.rows))
    run.session.warnings.clear()  # those of the run's own rows
    blended = join_members(run, finished.oof, members)[1]
    for message in run.session.warnings:
        warn(message)
    return NewPredictions(run, blended, _processed(finished, blended))


def _warn_of_comparing(finished: FinishedRun | FinishedBlend, rows: int) -> None:
    if rows != len(finished.run.tables.test) and finished.comparing:
        warn(f"{finished.comparing} compares rows with each other: predict a whole test set at once")


def _processed(finished: FinishedRun | FinishedBlend, blended: Predictions) -> Predictions:
    return blended if isinstance(blended, TopK) else finished.postprocess(blended)


def _in_chunks(finished: FinishedRun, given: Given) -> Iterator[list[Predictions]]:
    """Yield each member's predictions (rows, C), some rows at a time."""
    size = BATCHES_AT_ONCE * finished.run.config.prediction_batch
    whole = with_rows(finished, given.rows, finished.run.images.test)  # encodes the columns of all rows together
    for start in range(0, len(given.rows), size):
        with TemporaryDirectory(prefix="compete-") as cache:
            rows = given.rows.iloc[start : start + size]
            run = replace(
                whole, images=replace(whole.images, test=_open_images(whole, Given(rows, given.files), cache))
            )
            inputs = run.test_inputs
            if inputs.columns is not None:
                inputs = replace(inputs, columns=inputs.columns[start : start + size])
            predictor, numbers = run.predictor(tta=True), np.arange(len(rows))
            yield predict_rows(predictor, finished.networks, finished.scalers, inputs, numbers)


def _open_images(run: OpenRun, given: Given, cache: str) -> ImageSet:
    """Open the images as the run does, in a cache of their own. Raise `DataError` with all that are unreadable."""
    config = run.config
    decoder = make_decoder(config, [bound.build() for bound in config.many("transforms")], given.files)
    decoder = replace(decoder, settings=config.images.model_copy(update={"cache_dir": cache}))
    images = open_image_set(given.rows, decoder, "images", run.session.progress("decode images"))
    if images.unreadable and config.images.unreadable == "error":
        reasons = list(images.unreadable.values())
        raise DataError(f"{plural(len(reasons), 'image')} cannot be read:\n  {format_first(reasons, 20)}")
    return images


def _labels(done: NewPredictions) -> list[Any]:
    """Return each row's label, in the competition's spelling; of the best classes, a few rows at a time."""
    processed, decode = done.processed, done.run.target.decode
    if not isinstance(processed, TopK):
        return list(decode(processed))
    return [label for row in range(len(processed)) for label in decode(processed[row : row + 1].dense())]
