"""After the ensemble: `[[postprocess]]` steps, and the rows of the `[submission]`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd

from compete.errors import SubmissionError
from compete.text import plural
from compete.types import TopK

if TYPE_CHECKING:
    from compete.config.load import Config
    from compete.config.options import BoundComponent
    from compete.types import Array, Metric, Predictions, Tables, Target

Step = Callable[["Array"], "Array"]

MOST_CHUNK_BYTES = 64 << 20


def build_step(bound: BoundComponent, oof: Array, labels: Array, metric: Metric, target: Target) -> Step:
    """Fit one `[[postprocess]]` on OOF (N, C); a component with `needs_classes` also gets the class names."""
    names = [target.classes] if bound.component.traits.needs_classes else []
    step: Step = bound.build(oof, labels, metric, *names)
    return step


def fit_steps(config: Config, oof: Array, labels: Array, metric: Metric, target: Target) -> Step:
    """Fit each `[[postprocess]]` on the OOF that the one before returns; join them into one function."""
    steps: list[Step] = []
    for bound in config.many("postprocessors"):
        step = build_step(bound, oof, labels, metric, target)
        oof = step(oof)
        steps.append(step)

    def apply(predictions: Array) -> Array:
        for step in steps:
            predictions = step(predictions)
        return predictions

    return apply


def submission_frame(config: Config, tables: Tables, predictions: Predictions, target: Target) -> pd.DataFrame:
    """Return the submission for predictions (T, C), its rows matched to the sample submission by id."""
    build, ids = config.one("submissions").build, tables.test["id"]
    columns = pd.Index(target.classes)
    if config.writes_own_ids and not isinstance(predictions, TopK):
        frame: pd.DataFrame = build(tables.sample, pd.DataFrame(predictions, ids.tolist(), columns), target)
        return frame
    rows = pd.Index(ids).get_indexer(tables.sample.iloc[:, 0])  # the test row of each sample row, -1 for none
    if (rows < 0).any():
        raise SubmissionError(f"{plural(int((rows < 0).sum()), 'id')} of the sample submission without a prediction")
    at_once = max(1, MOST_CHUNK_BYTES // (8 * len(columns))) if isinstance(predictions, TopK) else len(rows)
    frames: list[pd.DataFrame] = []
    for start in range(0, len(rows), at_once):
        some = rows[start : start + at_once]
        chunk = predictions[some].dense() if isinstance(predictions, TopK) else predictions[some]
        sample = tables.sample.iloc[start : start + at_once]
        frames.append(build(sample, pd.DataFrame(chunk, ids.iloc[some].tolist(), columns), target))
    return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
