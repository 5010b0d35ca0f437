"""What kind of target a column is, by its cells, its name and the sample's: two labels, many, sets, levels, amounts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from compete.draft.findings import Goal
from compete.errors import DataError
from compete.files.proposals import Choice
from compete.text import format_list, name_words, plain_name

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = ("|", ";", ",", " ")  # a space last: it is also inside labels that others separate
MOST_LEVELS, MANY_VALUES, DENSE = 10, 30, 0.7
MOSTLY_ALONE = 0.3  # of the labels of sets, which also occur alone
LEVEL_WORDS = {"diagnosis", "grade", "level", "severity", "stage", "rating", "quality", "degree", "rank", "score"}
CLASS_WORDS = {"id", "label", "class", "category", "species", "breed", "type", "code"}
YES = ("1", "yes", "true", "positive", "present", "malignant", "abnormal", "sick", "fake")
OPEN_SET = re.compile(r"(new|unknown|other|unseen)([_ -].*)?", re.IGNORECASE)
NUMBER, WHOLE = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", r"-?\d+"


def one_column_goal(column: str, cells: pd.Series[str], sample: pd.DataFrame, sampled: bool = True) -> Goal:
    """Return the goal that a column with two labels or more makes; `sample` has one column beside its ids.

    Unless it is `sampled`, from a sample submission, its cells are empty, and labels are to be written.
    """
    refuse_decimal_commas(column, cells)
    asked, counts = sample.iloc[:, 1], label_counts(cells)
    if len(counts) == 2 and sampled and not _asks_for_labels(asked, counts):
        return _binary(column, counts, asked, str(sample.columns[1]))
    found, todo = _label_sets(column, cells)
    if found:
        return _tokens(column, cells, found, asked, todo)
    whole = _all_match(cells, WHOLE)
    if _all_match(cells, NUMBER) and _is_amount(column, cells, whole, asked):
        return _regression(column, cells, asked)
    if whole and _is_level(column, counts):
        return _ordinal(column, counts)
    return replace(label_goal(column, cells, asked), todo=todo)


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
    unless_said = (
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
        unless_said=unless_said if _all_match(asked, r"[01]") else "",
    )


def _label_sets(column: str, cells: pd.Series[str]) -> tuple[str, tuple[str, ...]]:
    """Return what separates several labels in a cell, or nothing, and what is unsure about it.

    Labels of a set also occur alone; words of a name that never do are no labels, whatever they combine to.
    """
    distinct = [str(cell) for cell in cells.unique()]
    for separator in SEPARATORS:
        sets = [[part.strip() for part in cell.split(separator)] for cell in distinct]
        labels = {label for parts in sets for label in parts}
        several = [parts for parts in sets if len(parts) > 1]
        if not several or "" in labels or any(len(set(parts)) < len(parts) for parts in several):
            continue
        numeric = all(re.fullmatch(r"\d+", label) for label in labels)
        if not numeric and len(labels) >= len(distinct):
            continue
        written, todo = _as_written(column, distinct, separator)
        example = next(cell for cell in distinct if separator in cell)
        alone = len(labels & set(distinct)) / len(labels)
        if numeric and separator == "," and max(map(len, sets)) == 2:
            todo += (f"[target]: is '{example}' of column '{column}' two labels, or a number with a decimal comma?",)
        elif not numeric and not alone and separator == " ":
            return "", (_taken_whole(column, example),)
        elif not numeric and alone < MOSTLY_ALONE:
            todo += (f"[target]: is '{example}' of column '{column}' several labels, and not one name?",)
        return written, todo
    return "", tuple(_perhaps_several(column, distinct))


def _perhaps_several(column: str, cells: Sequence[str]) -> Iterator[str]:
    """Yield a doubt about cells that look like lists, or join by any sign what other cells hold alone."""
    alone = set(cells)
    for cell in cells:
        listed = re.fullmatch(r"[\[({].*[\])}]", cell)
        parts = [part for part in re.split(r"[^\w-]+|_", cell) if part]
        if listed or (len(parts) > 1 and " ".join(parts) != cell and alone.issuperset(parts)):
            yield (
                f"[target]: '{cell}' of column '{column}' is taken for one label. If it is several, write them into "
                'one cell with a separator between them, such as "a b", and set [target] name = "tokens" and '
                '[submission] name = "tokens".'
            )
            return


def _as_written(column: str, cells: Sequence[str], separator: str) -> tuple[str, tuple[str, ...]]:
    """Return a separator with the spaces around it; without any, and what to ask, where cells have several forms."""
    if separator == " ":
        return separator, ()
    forms = Counter(re.findall(rf" ?{re.escape(separator)} ?", "\n".join(cells)))
    if len(forms) == 1:
        return next(iter(forms)), ()
    return separator, (
        f"[submission] separator: column '{column}' has {format_list(map(repr, forms))}; which is right?",
    )


def _taken_whole(column: str, example: str) -> str:
    return (
        f"[target]: '{example}' of column '{column}' is taken for one label, since none of its words is ever a label "
        'alone. If it is several, set [target] name = "tokens" and [submission] name = "tokens".'
    )


def refuse_decimal_commas(column: str, cells: pd.Series[str]) -> None:
    """Raise `DataError` for numbers with a decimal comma, which nothing here reads, and which look like label sets."""
    if _all_match(cells, r"[+-]?\d+,\d+"):
        raise DataError(
            f"column '{column}' holds numbers with a decimal comma, such as '{cells.iloc[0]}'. Save the table with "
            "decimal points. If they are two labels each, separate these by another sign than a comma."
        )


def _tokens(column: str, cells: pd.Series[str], separator: str, asked: pd.Series[str], todo: tuple[str, ...]) -> Goal:
    lists = cells.str.split(separator.strip() or separator, regex=False)
    counts = label_counts(lists.explode().str.strip())
    joined = _sample_separator(asked, counts) or separator
    other = {joined, separator} != {" "}
    why = f"up to {lists.map(len).max()} of {len(counts)} labels in a cell, separated by '{separator}'"
    as_sample = "as in the sample submission's cells" if joined != separator else ""
    return Goal(
        kind="tokens",
        columns=(column,),
        target=(
            Choice("name", "tokens", why),
            Choice("column", column),
            *([] if separator == " " else [Choice("separator", separator)]),
        ),
        submission=(
            Choice("name", "tokens"),
            *([Choice("separator", joined, as_sample)] if other else []),
        ),
        counts=counts,
        separator=joined,
        todo=todo,
    )


def _sample_separator(asked: pd.Series[str], labels: Mapping[str, int]) -> str:
    """Return what joins known labels in the sample's cells, or nothing where each has one."""
    cells = "\n".join(map(str, asked.unique()))
    forms = Counter(re.findall(r" ?[|;,] ?| ", cells))
    for form, _ in forms.most_common():
        parts = [cell.split(form) for cell in cells.split("\n") if form in cell]
        if all(part in labels for cell in parts for part in cell):
            return str(form)
    return ""


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


def label_goal(column: str, cells: pd.Series[str], asked: pd.Series[str]) -> Goal:
    """Return the goal of one label for each row."""
    counts, whole = label_counts(cells), _all_match(cells, WHOLE)
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
