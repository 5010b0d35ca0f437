"""Compare what would be written with the sample submission's own cells: numbers, names, and what joins labels."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from compete.submission.check import CheckResult
from compete.text import did_you_mean, format_first

if TYPE_CHECKING:
    import pandas as pd

    from compete.config.load import Config
    from compete.types import Target

NUMBER, INTEGER = r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", r"\s*[+-]?\d+\s*"
JOINTS = re.compile(r" ?[|;,] ?| ")
MOST_CELLS, MOST_CLASSES = 1000, 5


def compare_cells(frame: pd.DataFrame, sample: pd.DataFrame, classes: Sequence[str], joint: str) -> CheckResult:
    """Return how the sample's cells differ in kind from those to be written, a `frame` of the sample's rows.

    `joint` is what joins the labels in a cell; labels that the sample certainly joins otherwise are a problem, all else
    is a warning, since the cells of a sample may stand for nothing.
    """
    problems: list[str] = []
    warnings: list[str] = []
    for name in list(sample.columns)[1:]:
        asked, given = _distinct(sample[name]), _distinct(frame[name])
        if asked and given and asked != given:
            other = _other_joint(asked, classes, joint)
            problems += [f"column '{name}': {other}"] if other else []
            if not other:
                warnings += _kind_warnings(str(name), _split(asked, joint), _split(given, joint), classes)
    return CheckResult(problems, warnings)


def _distinct(cells: pd.Series[Any]) -> list[str]:
    filled = cells.dropna().astype(str)
    return [str(cell) for cell in filled[filled.str.strip() != ""].unique()[:MOST_CELLS]]


def _split(cells: Sequence[str], joint: str) -> list[str]:
    return [label for cell in cells for label in (cell.split(joint) if joint else [cell])]


def _other_joint(asked: Sequence[str], classes: Sequence[str], joint: str) -> str:
    """Say by what the sample joins labels, if that is certain and not `joint`."""
    known = set(classes)
    if not joint or any(known.issuperset(cell.split(joint)) for cell in asked if joint in cell):
        return ""
    for cell in asked:
        for other in {match[0] for match in JOINTS.finditer(cell)} - {joint}:
            if cell not in known and known.issuperset(cell.split(other)):
                return (
                    f"the sample submission joins labels by {other!r} ('{cell}'), but {joint!r} would be written. "
                    f'Set [submission] separator = "{other}".'
                )
    return ""


def _kind_warnings(name: str, asked: Sequence[str], given: Sequence[str], classes: Sequence[str]) -> Iterator[str]:
    asked_numbers, given_numbers = _all(asked, NUMBER), _all(given, NUMBER)
    asked_integers, given_integers = _all(asked, INTEGER), _all(given, INTEGER)
    start, written = f"[submission] column '{name}': the sample submission's cells", f"would be written ('{given[0]}')"
    if asked_integers and not given_numbers:
        order = format_first([f"{number} {label}" for number, label in enumerate(classes)], MOST_CLASSES)
        yield (
            f"{start} are integers ('{asked[0]}'), but names {written}. If class numbers are asked for, set numbers = "
            f"true and leave out [checks] allowed: {order}; [target] classes sets another order."
        )
    elif (asked_numbers and not given_numbers) or (not asked_integers and asked_numbers and given_integers):
        yield (
            f"{start} are fractions ('{asked[0]}'), but labels {written}. If probabilities are asked for, set name = "
            '"probabilities", or for one class [target] name = "binary" and [submission] name = "positive".'
        )
    elif given_integers and not asked_numbers:
        yield (
            f"{start} are names ('{asked[0]}'), but integers {written}. If names are asked for, give them to the "
            "training rows, as a column of their table."
        )
    elif given_numbers and not asked_numbers:
        yield (
            f"{start} are names ('{asked[0]}'), but numbers {written}. If labels are asked for, set [submission] "
            'name = "label" with a [target] of labels.'
        )
    elif not asked_numbers and not set(asked) & {*classes, *given}:
        yield f"{start} are no label of the training rows: {format_first(asked)}.{_near(asked, classes)}"


def _near(asked: Sequence[str], classes: Sequence[str]) -> str:
    same = {unicodedata.normalize("NFC", label): label for label in classes}
    for cell in asked:
        if unicodedata.normalize("NFC", cell) in same:
            return f" '{cell}' is a label, but in another Unicode form (NFC or NFD): its bytes differ."
    return did_you_mean(asked[0], classes)


def _all(cells: Sequence[str], pattern: str) -> bool:
    return all(re.fullmatch(pattern, cell) for cell in cells)


def joining(config: Config, target: Target) -> str:
    """Return what joins several labels in a cell of the submission, or nothing where a cell has one."""
    options = config.one("submissions").options
    return (options["separator"] or target.separator or " ") if "separator" in options else ""


def separator_problems(config: Config, target: Target) -> Iterator[str]:
    """Compare both separators here: the check splits cells only if it knows the labels."""
    joined, split = joining(config, target), config.checks.separator
    if joined and split and joined != split:
        yield f"labels are joined by separator = {joined!r}, but [checks] separator = {split!r}. Set both to the same."
