"""What every submission needs: the sample's rows with other cells, and errors that name columns and classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from compete import ConfigError, SubmissionError, did_you_mean, format_list, plural

Array = np.ndarray[Any, Any]
Cells = Mapping[str, Sequence[Any] | Array]
MOST_NAMED = 5  # classes in one error


def fill(sample: pd.DataFrame, predictions: pd.DataFrame, cells: Cells) -> pd.DataFrame:
    """Return the sample with some columns replaced; rows, columns and their order are the sample's.

    Raise `SubmissionError` unless the predictions have the ids of the sample's rows: cells never go by order alone.
    """
    ids = sample.iloc[:, 0].astype(str).to_numpy()
    predicted = predictions.index.astype(str).to_numpy()
    if len(ids) != len(predicted):
        raise SubmissionError(
            f"the sample has {plural(len(ids), 'row')}, but there are {plural(len(predicted), 'prediction')}."
        )
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


def column_to_fill(sample: pd.DataFrame, column: str | None) -> str:
    """Return the column to fill: the one named, or the only one beside the ids."""
    names = [str(name) for name in sample.columns[1:]]
    if column is not None and column not in names:
        raise ConfigError(
            f"[submission] column = '{column}': unknown column of the sample.{did_you_mean(column, names)} "
            f"Columns: {format_list(names)}."
        )
    if column is None and len(names) != 1:
        raise ConfigError(
            f"[submission] the sample has {len(names)} columns beside its ids ({format_list(names)}); "
            "set 'column' to the one to fill."
        )
    return names[0] if column is None else column


def class_column(predictions: pd.DataFrame, name: str | None) -> Array:
    """Return the predictions (T,) of the class named, or of the only one."""
    names = [str(column) for column in predictions.columns]
    if name is None and len(names) != 1:
        raise ConfigError(
            f"[submission] there are {len(names)} classes ({format_list(names)}); set 'positive' to the one to write."
        )
    if name is not None and name not in names:
        raise ConfigError(
            f"[submission] positive = '{name}': unknown class.{did_you_mean(name, names)} "
            f"Classes: {format_list(names)}."
        )
    return predictions.iloc[:, 0 if name is None else names.index(name)].to_numpy()


def class_columns(sample: pd.DataFrame, predictions: pd.DataFrame) -> Array:
    """Return the predictions of the classes that are columns of the sample, in its order, float64 (T, columns)."""
    names = [str(column) for column in predictions.columns]
    columns = [str(column) for column in sample.columns[1:]]
    unknown = [name for name in columns if name not in names]
    if unknown:
        raise SubmissionError(
            f"the sample's column '{name}' is not a class.{did_you_mean(name, names)} Classes: {format_list(names)}."
            for name in unknown
        )
    # (T, C) -> (T, columns), by name
    return predictions.to_numpy(dtype=np.float64)[:, [names.index(name) for name in columns]]


def refuse_left_out(sample: pd.DataFrame, predictions: pd.DataFrame) -> None:
    """Raise `SubmissionError` for classes without a column in the sample: rows would sum to less than one."""
    columns = [str(column) for column in sample.columns[1:]]
    names = [str(name) for name in predictions.columns]
    left_out = [name for name in names if name not in columns]
    problems = [
        f"class '{name}' is not a column of the sample.{did_you_mean(name, columns)} Fix the label, or set "
        "[submission] normalise = true to leave it out and rescale the others (false: and keep them as they are)."
        for name in left_out[:MOST_NAMED]
    ]
    if len(left_out) > MOST_NAMED:
        more = plural(len(left_out) - MOST_NAMED, "more class", "more classes")
        problems.append(f"{more} of {len(names)} without a column in the sample.")
    if problems:
        raise SubmissionError(problems)


def sum_to_one(predictions: Array) -> bool:
    """Return whether rows (T, C) are class probabilities."""
    return predictions.shape[1] > 1 and np.allclose(predictions.sum(axis=1, dtype=np.float64), 1, atol=1e-3)


def rounded(values: Array, digits: int) -> Array:
    """Round to significant digits, so that the smallest probabilities keep their order; integers are kept.

    Fixed decimals would write many of a rare class's probabilities as 0, and ties cost AUC.
    """
    if np.issubdtype(values.dtype, np.integer):
        return values
    exact = values.astype(np.float64)
    size = np.floor(np.log10(np.abs(exact), out=np.zeros_like(exact), where=exact != 0))
    scale = 10.0 ** np.minimum(digits - 1 - size, 300)  # float64 ends at 1e308
    return np.asarray(np.rint(exact * scale) / scale)
