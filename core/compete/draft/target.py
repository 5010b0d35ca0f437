"""What is predicted: the columns that hold what the sample submission asks for, and the goal that they make."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from compete.draft.findings import Goal, Source
from compete.draft.kinds import label_counts, label_goal, one_column_goal
from compete.errors import DataError
from compete.files.proposals import LABEL_NAMES, Choice, columns_called_label, columns_of_numbers, columns_that_repeat
from compete.text import format_first, format_list, plain_name, same_name

if TYPE_CHECKING:
    import pandas as pd

ENOUGH_LABELS = 0.5


def find_goal(source: Source) -> Goal:
    """Return what the sample submission asks for. Raise `DataError` where no column of the training rows has it."""
    asked = [str(name) for name in source.sample.columns[1:]]
    if not asked:
        raise DataError(
            f"{source.sample_name} has one column only; a sample submission has ids and what is to be predicted."
        )
    if len(asked) > 1:
        return _several_columns(source, asked)
    column, todo = _label_column(source, asked[0]) if source.sampled else _unasked_column(source)
    cells = source.train[column]
    filled = cells[cells.str.strip() != ""]
    if filled.nunique() < 2:
        raise DataError(f"column '{column}' of the training rows holds one value only: '{''.join(filled.unique())}'.")
    if source.named and not source.sampled:
        return label_goal(column, filled, source.sample.iloc[:, 1])
    goal = one_column_goal(column, filled, source.sample, source.sampled)
    return replace(goal, todo=(*todo, *goal.todo))


def _several_columns(source: Source, asked: list[str]) -> Goal:
    """Return the goal of a sample submission with several columns: they are columns of the rows, or one's labels."""
    if set(asked) <= set(source.train.columns):
        return _columns_goal(source.train[asked], source.sample_name)
    for column in map(str, source.train.columns):
        labels = set(source.train[column].unique())
        if len(labels & set(asked)) >= max(2, ENOUGH_LABELS * len(asked)):
            return _label_goal(column, source.train[column], asked, labels)
    raise DataError(
        f"{source.sample_name} asks for {len(asked)} columns ({format_list(asked, 5)}), but the training rows have "
        "neither such columns nor a column with these labels. Their columns: "
        f"{format_list(map(str, source.train.columns))}."
    )


def _label_goal(column: str, cells: pd.Series[str], asked: list[str], labels: set[str]) -> Goal:
    """Return the goal where each label of a column has a column in the sample submission."""
    unknown = sorted(set(asked) - labels)
    classes = [Choice("classes", asked, f"the sample's columns; no row has the label {format_list(unknown, 3)}")]
    why = f"the sample submission's columns are its {len(asked)} labels"
    return Goal(
        kind="label",
        columns=(column,),
        target=(Choice("name", "label"), Choice("column", column, why), *(classes if unknown else [])),
        submission=(Choice("name", "probabilities", "one column for each class"),),
        counts=label_counts(cells),
    )


def _columns_goal(table: pd.DataFrame, sample_name: str) -> Goal:
    """Return the goal where the sample's columns are the rows' own: one-hot, independent, or votes."""
    import numpy as np

    from compete.data.columns import cell_numbers

    names = [str(name) for name in table.columns]
    values = np.stack([cell_numbers(table[name]) for name in names], axis=1)
    if np.isnan(values).any():
        bad = names[int(np.isnan(values).any(axis=0).argmax())]
        raise DataError(f"column '{bad}', which {sample_name} asks for, has non-numeric cells.")
    sums = values.sum(axis=1)
    if not np.isin(values, (0, 1)).all():
        kind, why = "votes", "numbers of votes for each class"
    elif (sums == 1).all():
        kind, why = "one_hot", "each row has exactly one 1"
    else:
        kind, why = "columns", f"independent of each other: a row has {sums.min():.0f} to {sums.max():.0f} of them"
    return Goal(
        kind=kind,
        columns=tuple(names),
        target=(Choice("name", kind, why), Choice("columns", names, "those of the sample submission")),
        submission=(Choice("name", "probabilities", "one column for each"),),
        counts={name: int(count) for name, count in zip(names, values.sum(axis=0), strict=True) if count},
    )


def _label_column(source: Source, asked: str) -> tuple[str, list[str]]:
    """Return the training rows' column that holds what the sample's only column asks for, and what is unsure of it."""
    if source.label:
        return source.label, []
    columns = [str(name) for name in source.train.columns if name != source.id]
    found = same_name(columns, asked, also_without_id=True)
    if found:
        return found, []
    columns = [name for name in columns if name not in source.test.columns] or columns
    if not columns:
        raise DataError(f"the training rows have no column but their ids, so nothing to learn '{asked}' from.")
    best = next((name for name in columns if plain_name(name) in LABEL_NAMES), columns[0])
    if len(columns) == 1:
        return best, []
    return best, [f"[target] column: '{best}' is a guess for '{asked}', which the training rows do not have."]


def _unasked_column(source: Source) -> tuple[str, list[str]]:
    """Return the training rows' label column where no sample submission asks for one, and what is unsure of it.

    It is the one that its name says, else one whose values repeat or are numbers, those that the test rows lack first.
    """
    if source.label:
        return source.label, []
    named = columns_called_label(source.train, {*source.used, source.id})
    repeating = columns_that_repeat(source.train, {*source.used, source.id})
    found = named or list(dict.fromkeys(repeating + columns_of_numbers(source.train, {*source.used, source.id})))
    found.sort(key=lambda name: name in source.test and not (source.test[name] == "").all())
    if len(named) == 1:
        return named[0], []
    if not found:
        raise DataError(
            "no column of the training rows is called like a label, or holds values that repeat or numbers. Columns: "
            f"{format_list(map(str, source.train.columns))}."
        )
    best, *others = found
    why = "by its name" if named else "since its values repeat" if repeating else "since it holds numbers"
    other = f" Or is it {format_first([repr(name) for name in others])}?" if others else ""
    return best, [f"[target] column: '{best}' is taken for the label {why}.{other}"]
