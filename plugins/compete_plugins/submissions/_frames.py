"""What every submission needs: the sample's rows with other cells, and named complaints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from compete import ConfigError, SubmissionError, did_you_mean, format_list

Array = np.ndarray[Any, Any]
Cells = Mapping[str, Sequence[Any] | Array]
SHOWN = 5


def fill(sample: pd.DataFrame, predictions: pd.DataFrame, cells: Cells) -> pd.DataFrame:
    """Return the sample with some columns replaced; rows, columns and their order are the sample's.

    Predictions that do not follow the sample's rows are a `SubmissionError`: cells never go by order alone.
    """
    ids = sample.iloc[:, 0].astype(str).to_numpy()
    predicted = predictions.index.astype(str).to_numpy()
    if len(ids) != len(predicted):
        raise SubmissionError(f"the sample has {len(ids)} rows, but there are {len(predicted)} predictions.")
    differ = np.flatnonzero(ids != predicted)
    if len(differ):
        row = differ[0]
        raise SubmissionError(
            f"row {row + 1} of the sample is '{ids[row]}', but that of the predictions is '{predicted[row]}'."
        )
    return replace(sample, cells)


def replace(sample: pd.DataFrame, cells: Cells) -> pd.DataFrame:
    """Return the sample with some columns replaced, whatever their type was."""
    columns = {name: cells.get(name, sample[name].to_numpy()) for name in sample.columns}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(sample)))


def answer_column(sample: pd.DataFrame, column: str | None) -> str:
    """Return the column to fill: the one named, else the only one beside the ids."""
    names = [str(name) for name in sample.columns[1:]]
    if column is not None and column not in names:
        raise ConfigError(
            f"[submission] column = '{column}': the sample has no such column.{did_you_mean(column, names)} "
            f"Columns: {format_list(names)}."
        )
    if column is None and len(names) != 1:
        raise ConfigError(
            f"[submission] the sample has {len(names)} columns beside its ids ({format_list(names)}); "
            "say with 'column' which one to fill."
        )
    return names[0] if column is None else column


def class_column(predictions: pd.DataFrame, name: str | None) -> Array:
    """Return the predictions (T,) of the class named, else of the only one."""
    names = [str(column) for column in predictions.columns]
    if name is None and len(names) != 1:
        raise ConfigError(
            f"[submission] there are {len(names)} classes ({format_list(names)}); set 'positive' to the one to write."
        )
    if name is not None and name not in names:
        raise ConfigError(
            f"[submission] positive = '{name}': there is no such class.{did_you_mean(name, names)} "
            f"Classes: {format_list(names)}."
        )
    return predictions.iloc[:, 0 if name is None else names.index(name)].to_numpy()


def class_columns(sample: pd.DataFrame, predictions: pd.DataFrame) -> Array:
    """Return the predictions of the classes that the sample has columns for, in its order, float64 (T, columns)."""
    names = [str(column) for column in predictions.columns]
    wanted = [str(column) for column in sample.columns[1:]]
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise SubmissionError(
            f"the sample's column '{name}' is no class.{did_you_mean(name, names)} Classes: {format_list(names)}."
            for name in unknown
        )
    return predictions.to_numpy(dtype=np.float64)[:, [names.index(name) for name in wanted]]


def refuse_left_out(sample: pd.DataFrame, predictions: pd.DataFrame) -> None:
    """Raise `SubmissionError` for classes that the sample has no column for: without them rows sum to less than one."""
    wanted = [str(column) for column in sample.columns[1:]]
    names = [str(name) for name in predictions.columns]
    left_out = [name for name in names if name not in wanted]
    problems = [
        f"class '{name}' is no column of the sample.{did_you_mean(name, wanted)} Mend the label, or write "
        "[submission] normalise = true to leave it out (false: and to leave the others as they are)."
        for name in left_out[:SHOWN]
    ]
    if len(left_out) > SHOWN:
        problems.append(f"No column of the sample either: {len(left_out) - SHOWN} more of the {len(names)} classes.")
    if problems:
        raise SubmissionError(problems)


def sum_to_one(predictions: Array) -> bool:
    """Return whether rows (T, C) are class probabilities."""
    return predictions.shape[1] > 1 and np.allclose(predictions.sum(axis=1, dtype=np.float64), 1, atol=1e-3)


def rounded(values: Array, digits: int) -> Array:
    """Round to significant digits, so that the smallest probabilities keep their order; whole numbers stay as they are.

    Fixed decimals would write many of a rare class's probabilities as 0, and ties cost AUC.
    """
    if np.issubdtype(values.dtype, np.integer):
        return values
    exact = values.astype(np.float64)
    size = np.floor(np.log10(np.abs(exact), out=np.zeros_like(exact), where=exact != 0))
    scale = 10.0 ** np.minimum(digits - 1 - size, 300)  # float64 ends at 1e308
    return np.asarray(np.rint(exact * scale) / scale)
