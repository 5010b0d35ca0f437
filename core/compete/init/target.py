"""What is predicted and how it is written: the target's columns and kind, and the form of the submission."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from compete.errors import DataError, choices
from compete.init.findings import Goal, Key, Source, Table
from compete.init.source_csv import plain_name

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = (" ", ",", ";", "|")
MOST_LEVELS, MANY_VALUES = 10, 30
LABEL_NAMES = ("label", "labels", "target", "class", "category", "categoryid", "classid", "species", "breed", "y")
LEVEL_NAMES = ("diagnosis", "grade", "level", "severity", "stage", "rating", "quality", "degree", "rank", "score")
CLASS_NAMES = ("id", "label", "class", "category", "species", "breed", "type", "code")
YES = ("1", "yes", "true", "positive", "present", "malignant", "abnormal", "sick", "fake")
OPEN_SET = re.compile(r"(new|unknown|other|unseen)([_ -].*)?", re.IGNORECASE)
NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"


def find_goal(source: Source, sample: Table) -> Goal:
    """Return what the sample submission asks for. Raise `DataError` where no column of the training rows has it."""
    asked = sample.columns[1:]
    if not asked:
        raise DataError(f"{sample.name} has one column only; a sample submission has ids and what is to be predicted.")
    if len(asked) > 1:
        return _several_columns(source, sample, asked)
    column, todo = _label_column(source, asked[0])
    cells = source.train[column]
    filled = cells[cells.str.strip() != ""]
    if filled.nunique() < 2:
        raise DataError(f"column '{column}' of the training rows holds one value only: '{''.join(filled.unique())}'.")
    return _with_todo(_one_column(column, filled, sample), todo)


def _with_todo(goal: Goal, todo: Sequence[str]) -> Goal:
    from dataclasses import replace

    return replace(goal, todo=(*todo, *goal.todo))


def _several_columns(source: Source, sample: Table, asked: list[str]) -> Goal:
    """Return the goal of a sample submission with several columns: they are columns of the rows, or one's labels."""
    if set(asked) <= set(source.train.columns):
        return _columns_goal(source.train[asked], sample)
    for column in source.train.columns:
        labels = set(source.train[column].unique())
        if len(labels & set(asked)) >= max(2, 0.5 * len(asked)):
            return _label_goal(column, source.train[column], asked, labels)
    raise DataError(
        f"{sample.name} asks for {len(asked)} columns ({choices(asked, 5)}), but the training rows have neither such "
        f"columns nor a column with these labels. Their columns: {choices(map(str, source.train.columns))}."
    )


def _label_goal(column: str, cells: pd.Series[str], asked: list[str], labels: set[str]) -> Goal:
    """Return the goal where each label of a column has a column in the sample submission."""
    unknown = sorted(set(asked) - labels)
    classes = [Key("classes", asked, f"the sample's columns; no row has the label {choices(unknown, 3)}")]
    why = f"the sample submission's columns are its {len(asked)} labels"
    return Goal(
        kind="label",
        columns=(column,),
        target=(Key("name", "label"), Key("column", column, why), *(classes if unknown else [])),
        submission=(Key("name", "probabilities", "one column for each class"),),
        counts=_counts(cells),
    )


def _columns_goal(table: pd.DataFrame, sample: Table) -> Goal:
    """Return the goal where the sample's columns are the rows' own: one-hot, independent, or votes."""
    import numpy as np
    import pandas as pd

    names = tuple(str(name) for name in table.columns)
    values = np.stack([pd.to_numeric(table[name], errors="coerce") for name in names], axis=1)
    if np.isnan(values).any():
        bad = names[int(np.isnan(values).any(axis=0).argmax())]
        raise DataError(f"column '{bad}', which {sample.name} asks for, does not hold numbers only.")
    sums = values.sum(axis=1)
    if not np.isin(values, (0, 1)).all():
        kind, why = "votes", "numbers of votes for each class"
    elif (sums == 1).all():
        kind, why = "one_hot", "each row has exactly one 1"
    else:
        kind, why = (
            "columns",
            f"independent: {np.mean(sums == 0):.0%} of the rows have no 1, some have {int(sums.max())}",
        )
    return Goal(
        kind=kind,
        columns=names,
        target=(Key("name", kind, why), Key("columns", list(names), "those of the sample submission")),
        submission=(Key("name", "probabilities", "one column for each"),),
        counts={name: int(count) for name, count in zip(names, values.sum(axis=0), strict=True) if count},
    )


def _label_column(source: Source, asked: str) -> tuple[str, list[str]]:
    """Return the training rows' column that holds what the sample's only column asks for, and what is unsure of it."""
    if source.label:
        return source.label, []
    columns = [str(name) for name in source.train.columns if name != source.id_column]
    for same in (str, plain_name, _without_id):
        found = [name for name in columns if same(name) == same(asked)]
        if found:
            return found[0], []
    if source.has_test_columns:
        columns = [name for name in columns if name not in source.test.columns] or columns
    named = [name for name in columns if plain_name(name) in LABEL_NAMES]
    if not columns:
        raise DataError(f"the training rows have no column beside their ids, so nothing to learn '{asked}' from.")
    best = (named or columns)[0]
    if len(columns) == 1:
        return best, []
    return best, [f"[target] column: '{best}' is a guess for '{asked}', which the training rows do not have."]


def _without_id(name: str) -> str:
    return plain_name(name).removesuffix("id")


def _one_column(column: str, cells: pd.Series[str], sample: Table) -> Goal:
    asked = sample.frame.iloc[:, 1]
    counts = _counts(cells)
    numeric, whole = _all_match(cells, NUMBER), _all_match(cells, r"-?\d+")
    if len(counts) == 2:
        return _binary(column, counts, asked, sample.columns[1])
    separator = _token_separator(cells, counts)
    if separator:
        return _tokens(column, cells, separator)
    if numeric and _is_amount(column, cells, whole, asked):
        return _regression(column, cells, whole, asked)
    if whole and _is_level(column, counts):
        return _ordinal(column, counts)
    return _label(column, counts, whole, asked)


def _binary(column: str, counts: Mapping[str, int], asked: pd.Series[str], name: str) -> Goal:
    labels = list(counts)
    yes = next((label for word in (*YES, plain_name(name)) for label in labels if label.lower() == word), None)
    if set(asked.unique()) & set(labels) and not _all_match(asked, NUMBER):
        return _label(column, counts, False, asked)
    todo = []
    if yes is None:
        yes = sorted(labels)[-1]
        todo.append(f"[target] positive: is '{yes}' the class whose probability is asked for, and not {labels}?")
    if _all_match(asked, r"[01]"):
        todo.append(
            "[submission]: probabilities are written; the sample holds 0 and 1 only, so if the metric is accuracy "
            'or F1, set [target] name = "label" and [submission] name = "label".'
        )
    shown = ", ".join(f"{label} ({count})" for label, count in counts.items())
    positive = int(yes) if yes.isdigit() else yes
    return Goal(
        kind="binary",
        columns=(column,),
        target=(Key("name", "binary", f"two labels: {shown}"), Key("column", column), Key("positive", positive)),
        submission=(Key("name", "positive", f"the probability of '{yes}'"),),
        counts=counts,
        todo=tuple(todo),
    )


def _token_separator(cells: pd.Series[str], counts: Mapping[str, int]) -> str:
    """Return what separates several labels in a cell, or nothing: names with spaces are not made of fewer parts."""
    for separator in SEPARATORS:
        if not cells.str.contains(separator, regex=False).any():
            continue
        tokens = {token.strip() for cell in counts for token in cell.split(separator)}
        if len(tokens) < len(counts) or _all_match(cells, rf"\d+({re.escape(separator)}\d+)*"):
            return separator
    return ""


def _tokens(column: str, cells: pd.Series[str], separator: str) -> Goal:
    lists = cells.str.split(separator, regex=False)
    counts = lists.explode().str.strip().value_counts()
    why = f"up to {lists.map(len).max()} of {len(counts)} labels in a cell, separated by '{separator}'"
    keys = (Key("column", column), *([] if separator == " " else [Key("separator", separator)]))
    return Goal(
        kind="tokens",
        columns=(column,),
        target=(Key("name", "tokens", why), *keys),
        submission=(Key("name", "tokens"), *keys[1:]),
        counts={str(name): int(count) for name, count in counts.items()},
    )


def _is_amount(column: str, cells: pd.Series[str], whole: bool, asked: pd.Series[str]) -> bool:
    """Tell whether numbers are amounts rather than names of classes."""
    if not whole:
        return True
    if _all_match(asked, NUMBER) and asked.str.contains(".", regex=False).any() and not _all_match(asked, r"\d+\.0*"):
        return True
    values = cells.astype(float)
    dense = cells.nunique() >= 0.7 * (values.max() - values.min() + 1)
    return cells.nunique() > MANY_VALUES and dense and not _words(column) & set(CLASS_NAMES)


def _words(column: str) -> set[str]:
    """Return the words in a column's name: `PatientID`, `hotel_id`."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", column)}


def _regression(column: str, cells: pd.Series[str], whole: bool, asked: pd.Series[str]) -> Goal:
    values = cells.astype(float)
    low, high = float(values.min()), float(values.max())
    sure = not whole or asked.str.contains(".", regex=False).any()
    todo = [] if sure else [f"[target]: '{column}' is taken for an amount; if its numbers name classes, use 'label'."]
    return Goal(
        kind="regression",
        columns=(column,),
        target=(
            Key("name", "regression", f"numbers from {low:g} to {high:g}, {cells.nunique()} different ones"),
            Key("column", column),
            Key("low", low, "the least and the greatest training value; predictions stay between them"),
            Key("high", high),
        ),
        submission=(Key("name", "value"),),
        bounds=(low, high),
        todo=tuple(todo),
    )


def _is_level(column: str, counts: Mapping[str, int]) -> bool:
    """Tell whether labels 0 to k - 1 look like levels: the column is called so."""
    levels = sorted(int(label) for label in counts)
    if levels != list(range(len(levels))) or len(levels) > MOST_LEVELS:
        return False
    return bool(_words(column) & set(LEVEL_NAMES))


def _ordinal(column: str, counts: Mapping[str, int]) -> Goal:
    return Goal(
        kind="ordinal",
        columns=(column,),
        target=(
            Key("name", "ordinal", f"levels 0 to {len(counts) - 1}; a guess by the column's name"),
            Key("column", column),
        ),
        submission=(Key("name", "value", "the cut points below make levels of predicted numbers"),),
        counts=counts,
        whole=True,
        todo=(f"[target]: '{column}' is taken for levels in order; if they are just classes, use name = \"label\".",),
    )


def _label(column: str, counts: Mapping[str, int], whole: bool, asked: pd.Series[str]) -> Goal:
    places = asked.str.split().map(len)
    ranked = int(places.max()) if len(places) and places.min() == places.max() > 1 and whole_names(counts) else 0
    keys: tuple[Key, ...] = (Key("name", "label"),)
    if ranked:
        keys = (Key("name", "top_k", f"the sample's cells hold {ranked} labels each"), Key("k", ranked), *_open(counts))
    return Goal(
        kind="label",
        columns=(column,),
        target=(Key("name", "label", f"{len(counts)} classes"), Key("column", column)),
        submission=keys,
        counts=counts,
        whole=whole and not ranked,
        ranked=ranked,
    )


def whole_names(counts: Mapping[str, int]) -> bool:
    """Tell whether no label has a space in it."""
    return not any(" " in label for label in counts)


def _open(counts: Mapping[str, int]) -> Iterator[Key]:
    """Yield the label for what the training rows do not have, if one is called so."""
    for label in counts:
        if OPEN_SET.fullmatch(label):
            yield Key("open_set", label, "by its name, the label for what the training rows do not have")
            return


def _counts(cells: pd.Series[str]) -> dict[str, int]:
    return {str(label): int(count) for label, count in cells.value_counts().items() if label}


def _all_match(cells: pd.Series[str], pattern: str) -> bool:
    return bool(len(cells)) and bool(cells.str.strip().str.fullmatch(pattern).all())
