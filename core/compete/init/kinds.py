"""What kind of target a column is, by its cells, its name and the sample's: two labels, many, sets, levels, amounts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from compete.files.proposals import Choice
from compete.init.findings import Goal
from compete.text import name_words, plain_name

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = (" ", ",", ";", "|")
MOST_LEVELS, MANY_VALUES, DENSE = 10, 30, 0.7
LEVEL_WORDS = {"diagnosis", "grade", "level", "severity", "stage", "rating", "quality", "degree", "rank", "score"}
CLASS_WORDS = {"id", "label", "class", "category", "species", "breed", "type", "code"}
YES = ("1", "yes", "true", "positive", "present", "malignant", "abnormal", "sick", "fake")
OPEN_SET = re.compile(r"(new|unknown|other|unseen)([_ -].*)?", re.IGNORECASE)
NUMBER, WHOLE = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", r"-?\d+"


def one_column_goal(column: str, cells: pd.Series[str], sample: pd.DataFrame) -> Goal:
    """Return the goal that a column with two labels or more makes; `sample` has one column beside its ids."""
    asked, counts = sample.iloc[:, 1], label_counts(cells)
    if len(counts) == 2 and not _asks_for_labels(asked, counts):
        return _binary(column, counts, asked, str(sample.columns[1]))
    separator = _token_separator(cells, counts)
    if separator:
        return _tokens(column, cells, separator)
    whole = _all_match(cells, WHOLE)
    if _all_match(cells, NUMBER) and _is_amount(column, cells, whole, asked):
        return _regression(column, cells, asked)
    if whole and _is_level(column, counts):
        return _ordinal(column, counts)
    return _label(column, counts, whole, asked)


def label_counts(cells: pd.Series[str]) -> dict[str, int]:
    """Return the rows of each label, the most frequent first; empty cells have no label."""
    return {str(label): int(count) for label, count in cells.value_counts().items() if label}


def _asks_for_labels(asked: pd.Series[str], counts: Mapping[str, int]) -> bool:
    """Return whether the sample's cells are labels, and not numbers that may be probabilities."""
    return bool(asked.isin(counts).any()) and not _all_match(asked, NUMBER)


def _binary(column: str, counts: Mapping[str, int], asked: pd.Series[str], name: str) -> Goal:
    labels = sorted(counts)
    yes = next((label for word in (*YES, plain_name(name)) for label in labels if label.lower() == word), labels[-1])
    todo = []
    if yes.lower() not in (*YES, plain_name(name)):
        todo.append(f"[target] positive: is '{yes}' the class whose probability is asked for, and not '{labels[0]}'?")
    if _all_match(asked, r"[01]"):
        todo.append(
            "[submission]: probabilities are written; the sample holds 0 and 1 only, so if the metric is accuracy "
            'or F1, set [target] name = "label" without positive, and [submission] name = "label".'
        )
    shown = ", ".join(f"{label} ({count})" for label, count in counts.items())
    return Goal(
        kind="binary",
        columns=(column,),
        target=(
            Choice("name", "binary", f"two labels: {shown}"),
            Choice("column", column),
            Choice("positive", int(yes) if yes.isdigit() else yes),
        ),
        submission=(Choice("name", "positive", f"the probability of '{yes}'"),),
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
    counts = label_counts(lists.explode().str.strip())
    why = f"up to {lists.map(len).max()} of {len(counts)} labels in a cell, separated by '{separator}'"
    separated = [] if separator == " " else [Choice("separator", separator)]
    return Goal(
        kind="tokens",
        columns=(column,),
        target=(Choice("name", "tokens", why), Choice("column", column), *separated),
        submission=(Choice("name", "tokens"), *separated),
        counts=counts,
        separator=separator,
    )


def _is_amount(column: str, cells: pd.Series[str], whole: bool, asked: pd.Series[str]) -> bool:
    """Return whether numbers are amounts rather than names of classes."""
    if not whole or _has_fractions(asked):
        return True
    values = cells.astype(float)
    dense = cells.nunique() >= DENSE * (values.max() - values.min() + 1)
    return cells.nunique() > MANY_VALUES and dense and not name_words(column) & CLASS_WORDS


def _has_fractions(asked: pd.Series[str]) -> bool:
    return _all_match(asked, NUMBER) and bool(asked.str.contains(".", regex=False).any())


def _regression(column: str, cells: pd.Series[str], asked: pd.Series[str]) -> Goal:
    values = cells.astype(float)
    low, high = float(values.min()), float(values.max())
    sure = _has_fractions(asked) or (values % 1 != 0).any()
    todo = [] if sure else [f"[target]: '{column}' is taken for an amount; if its numbers name classes, use \"label\"."]
    return Goal(
        kind="regression",
        columns=(column,),
        target=(
            Choice("name", "regression", f"numbers from {low:g} to {high:g}, {cells.nunique()} different ones"),
            Choice("column", column),
            Choice("low", low, "the least and the greatest training value; predictions stay between them"),
            Choice("high", high),
        ),
        submission=(Choice("name", "value"),),
        bounds=(low, high),
        todo=tuple(todo),
    )


def _is_level(column: str, counts: Mapping[str, int]) -> bool:
    """Return whether labels 0 to k - 1 look like levels: the column is called so."""
    levels = sorted(int(label) for label in counts)
    return levels == list(range(len(levels))) and len(levels) <= MOST_LEVELS and bool(name_words(column) & LEVEL_WORDS)


def _ordinal(column: str, counts: Mapping[str, int]) -> Goal:
    highest = len(counts) - 1
    return Goal(
        kind="ordinal",
        columns=(column,),
        target=(
            Choice("name", "ordinal", f"levels 0 to {highest}; a guess by the column's name"),
            Choice("column", column),
        ),
        submission=(Choice("name", "value", "the cut points above make levels of predicted numbers"),),
        counts=counts,
        whole=True,
        todo=(f"[target]: '{column}' is taken for levels in order; if they are just classes, use name = \"label\".",),
    )


def _label(column: str, counts: Mapping[str, int], whole: bool, asked: pd.Series[str]) -> Goal:
    ranked = _places(asked) if not any(" " in label for label in counts) else 0
    keys: tuple[Choice, ...] = (Choice("name", "label", "labels as the training rows spell them"),)
    if ranked:
        why = f"the sample's cells hold {ranked} labels each"
        keys = (Choice("name", "top_k", why), Choice("k", ranked))
    return Goal(
        kind="label",
        columns=(column,),
        target=(Choice("name", "label", f"{len(counts)} classes"), Choice("column", column)),
        submission=keys,
        counts=counts,
        whole=whole and not ranked,
        ranked=ranked,
        open_set=next(filter(OPEN_SET.fullmatch, counts), "") if ranked else "",
    )


def _places(asked: pd.Series[str]) -> int:
    """Return how many labels every cell of the sample holds, 0 unless they are several and equally many."""
    places = asked.str.split().map(len)
    return int(places.max()) if places.nunique() == 1 and places.max() > 1 else 0


def _all_match(cells: pd.Series[str], pattern: str) -> bool:
    return bool(len(cells)) and bool(cells.str.strip().str.fullmatch(pattern).all())
