"""What every dataset does with its rows: ids, images, groups, and the check against the sample submission."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import pandas as pd

from compete import (
    IMAGE_EXTENSIONS,
    DataError,
    Files,
    PathTemplate,
    did_you_mean,
    format_first,
    format_list,
    path_template,
    plural,
)

__all__ = ["IMAGE_EXTENSIONS", "Files", "PathTemplate", "path_template"]

Duplicates = Literal["error", "keep", "first"]
Templates = str | tuple[str, ...]
Replace = Mapping[str, Mapping[str, str]]
MissingImages = Literal["error", "skip"]
Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]


# Of how many columns values are looked at, and how often a value is there on average: labels, not ids.
MOST_COLUMNS, MOST_VALUES, ROWS_OF_A_VALUE = 200, 20, 5


class Problems(list[str]):
    """Problems found so far, raised together."""

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Add the problems of a `DataError` instead of letting it pass."""
        try:
            yield
        except DataError as error:
            self.extend(error.problems)

    def raise_if_any(self) -> None:
        """Raise one `DataError` with all of them."""
        if self:
            raise DataError(self)


def is_image(path: str, extensions: Iterable[str] = IMAGE_EXTENSIONS) -> bool:
    """Return whether a file is an image, by its extension."""
    return path.rpartition(".")[2].lower() in extensions


def check_template(option: str, templates: Templates) -> Iterator[str]:
    """Yield what is wrong with one template or several before any table is read."""
    if not templates and not isinstance(templates, str):
        yield f"{option} = []: names no template."
    for text in listed(templates):
        try:
            path_template(text)
        except DataError as error:
            yield f"{option} = {error}"


def check_regex(option: str, pattern: str) -> Iterator[str]:
    """Yield why a regular expression cannot be used."""
    try:
        re.compile(pattern)
    except re.error as error:
        yield f"{option} = '{pattern}' is not a regular expression: {error}."


def check_group(group: str, pattern: str) -> Iterator[str]:
    """Yield what is wrong with the options that say where the group is."""
    yield from check_template("group", group)
    yield from check_regex("group_pattern", pattern)
    if pattern and not group:
        yield "group_pattern needs group: the column, or template, that it is searched in."


def keep_unique(ids: pd.Series[str], policy: Duplicates, where: str, hint: str = "") -> pd.Series[str]:
    """Return the ids made unique by a policy; `first` leaves out later rows, so use the result's index."""
    empty = ids == ""
    if empty.any():
        raise DataError(
            f"{where}: {empty.sum()} rows have an empty id, the first is row {empty.to_numpy().argmax() + 1}."
        )
    repeated = ids.duplicated()
    if not repeated.any() or policy == "first":
        return ids[~repeated]
    if policy == "error":
        raise DataError(
            f"{where}: {repeated.sum()} rows repeat an id of an earlier row: "
            f"{format_first(ids[repeated].unique().tolist())}.{hint}"
        )
    number = ids.groupby(ids).cumcount() + 1
    return ids.where(~repeated, ids + "#" + number.astype(str))


def need_column(table: pd.DataFrame, column: str, where: str, option: str = "") -> None:
    """Raise `DataError` with the nearest name when a table lacks a column, which an option may have named."""
    if column not in table.columns:
        known = [str(name) for name in table.columns]
        lack = f"{option} = '{column}': {where} has no such column." if option else f"{where} has no column '{column}'."
        raise DataError(f"{lack}{did_you_mean(column, known)} Its columns: {format_list(known)}.")


def replaced(replace: Replace | None, where: str, tables: list[pd.DataFrame], notes: list[str]) -> list[pd.DataFrame]:
    """Return tables with cells spelled another way: `{column: {cell: what becomes of it}}`.

    Raise `DataError` for a column that the first table, `where`, lacks, and for a cell that no table has.
    """
    problems = Problems()
    for column, spellings in (replace or {}).items():
        with problems.collecting():
            need_column(tables[0], column, where, "replace")
            cells = pd.concat([table[column] for table in tables if column in table]).astype(str)
            counts = cells[cells.isin(spellings)].value_counts()
            if lacking := [repr(cell) for cell in spellings if cell not in counts]:
                near = did_you_mean(lacking[0][1:-1], cells.unique().tolist()[:1000])
                raise DataError(f"replace.{column}: no cell is {format_first(lacking)}.{near}")
            shown = format_first([f"{cell!r} by {new!r}" for cell, new in spellings.items()])
            notes.append(f"{plural(int(counts.sum()), 'cell')} of {column} replaced: {shown}.")
            tables = [_spelled(table, column, spellings) for table in tables]
    problems.raise_if_any()
    return tables


def _spelled(table: pd.DataFrame, column: str, spellings: Mapping[str, str]) -> pd.DataFrame:
    return table.assign(**{column: table[column].replace(dict(spellings))}) if column in table else table


def group_of(table: pd.DataFrame, group: str, pattern: str, where: str, option: str = "group") -> pd.Series[str]:
    """Return each row's group: a column, or a template over columns, and what `pattern` finds in it."""
    if "{" not in group:
        need_column(table, group, where, option)
        values = table[group]
    else:
        values = path_template(group, table.columns).fill(table)
    return extract(values, pattern, "group_pattern", f"the rows of {where}") if pattern else values


def extract(values: pd.Series[str], pattern: str, option: str, where: str) -> pd.Series[str]:
    """Return what the pattern's first part (or the whole of it) finds in each text; all must match."""
    expression = pattern if re.compile(pattern).groups else f"({pattern})"
    found: pd.Series[str] = values.astype(str).str.extract(expression).iloc[:, 0]
    refuse_unmatched(values, found, option, pattern, where)
    return found


def refuse_unmatched(values: pd.Series[str], found: pd.Series[str], option: str, pattern: str, where: str) -> None:
    """Raise `DataError` with the share that a regular expression fits, and examples that it does not."""
    unmatched = values[found.isna()]
    if len(unmatched):
        raise DataError(
            f"{option} = '{pattern}' fits {1 - len(unmatched) / len(values):.1%} of {where}; "
            f"not, for example, {format_first(unmatched.tolist())}."
        )


def image_paths(
    table: pd.DataFrame,
    templates: Templates,
    files: Files,
    separator: str = "",
    option: str = "image",
    where: str = "",
    notes: list[str] | None = None,
) -> pd.Series[Any]:
    """Return each row's path; with a separator, a list: one path for each value of a cell that holds several.

    Of several templates the first that finds a file counts, which is noted where a later one finds another.
    """
    try:
        parsed = [path_template(text, table.columns) for text in listed(templates)]
        if separator:
            return _several_paths(table, parsed, files, separator, notes)
        return pd.Series(_first_there(table, parsed, files, notes), index=table.index, dtype=object)
    except DataError as error:
        place = f"{where}: {option}" if where else option
        raise DataError(f"{place} = {problem}" for problem in error.problems) from error


def listed(templates: Templates) -> tuple[str, ...]:
    """Return one template or several as several."""
    return (templates,) if isinstance(templates, str) else templates


def _first_there(
    table: pd.DataFrame, templates: Sequence[PathTemplate], files: Files, notes: list[str] | None
) -> list[str]:
    """Return the path of each row by the first template that finds a file, or else by the first of all."""
    paths = templates[0].apply(table, files)
    if len(templates) == 1:
        return paths
    found, twice = files.present(paths), list[str]()
    for template in templates[1:]:
        more = template.apply(table, files)
        there = files.present(more)
        twice += [f"{paths[row]} before {more[row]}" for row in np.flatnonzero(there & found).tolist()]
        for row in np.flatnonzero(there & ~found).tolist():
            paths[row] = more[row]
        found |= there
    if twice and notes is not None:
        share = f"{len(twice) / len(paths):.1%}"
        notes.append(f"{plural(len(twice), 'image')} ({share}) chosen among several files: {format_first(twice)}.")
    return paths


def _several_paths(
    table: pd.DataFrame, templates: Sequence[PathTemplate], files: Files, separator: str, notes: list[str] | None
) -> pd.Series[Any]:
    columns = list(dict.fromkeys(column for template in templates for column in template.columns))
    numbered = table[columns].reset_index(drop=True)
    lists = {
        column: numbered[column].str.split(separator, regex=False)
        for column in columns
        if numbered[column].str.contains(separator, regex=False).any()
    }
    counts = [values.map(len) for values in lists.values()]
    if any((count != counts[0]).any() for count in counts):
        raise DataError(
            f"'{templates[0].text}': the columns {format_list(lists)} hold different numbers of values in a row."
        )
    flat = numbered.assign(**lists).explode(list(lists)) if lists else numbered
    paths = pd.Series(_first_there(flat, templates, files, notes), index=flat.index, dtype=object)
    return paths.groupby(level=0).agg(list).set_axis(table.index)


def values_lost(table: pd.DataFrame, lost: Mask) -> list[str]:
    """Return the values, of columns that hold few, most of whose rows are to be left out: a whole class may go."""
    found = []
    for name, cells in list(table.items())[:MOST_COLUMNS]:
        counts = cells.astype(str).value_counts()
        if len(counts) > max(MOST_VALUES, len(cells) / ROWS_OF_A_VALUE):
            continue
        out = cells[lost].astype(str).value_counts().reindex(counts.index, fill_value=0).astype(int)
        all_of_several, most_of_many = (out == counts) & (counts > 1), (out > counts / 2) & (counts > MOST_VALUES / 5)
        gone = counts[all_of_several | most_of_many]
        if len(gone) and len(gone) < len(counts):
            lost_rows = out.to_dict()
            some = format_first(
                [f"'{value}' ({lost_rows[value]} of {count})" for value, count in gone.to_dict().items()]
            )
            found.append(f"With them go the rows with {name} = {some}.")
    return found


def present(paths: pd.Series[Any], files: Files) -> Mask:
    """Return which rows have all their images (N,)."""
    flat = paths.reset_index(drop=True).explode()
    there = files.present(flat.tolist())
    return np.logical_and.reduceat(there, np.flatnonzero(~flat.index.duplicated())) if len(there) else there


def without_missing(paths: pd.Series[Any], files: Files) -> pd.Series[Any]:
    """Return each row's images that are there: the path, or a list of some of them, or an empty list."""
    flat = paths.explode()
    lost = set(flat[~files.present(flat.tolist())])
    kept = [
        [one for one in path if one not in lost] if isinstance(path, list) else [] if path in lost else path
        for path in paths
    ]
    return pd.Series(kept, index=paths.index, dtype=object)


def missing_message(option: str, paths: pd.Series[Any], there: Mask, files: Files, what: str) -> str:
    """Say which images are missing, how many are there, and what their folder holds instead."""
    wanted: list[str] = paths[~there].explode().tolist()
    missing = [path for path, found in zip(wanted, files.present(wanted), strict=True) if not found]
    folder, _, name = missing[0].rpartition("/")
    names = files.list(folder)
    none = f"There is no folder or archive '{folder}'."
    if files.where.startswith(("http://", "https://")):
        none = "A web server lists no folders" + (": write the ending instead of '.*'." if name.endswith(".*") else ".")
    holds = f"'{folder}' holds {format_first(names)}." if names else none
    # A file that another row names is that row's image, however like the names are.
    taken = {path.rpartition("/")[2] for path in paths.explode().tolist()}
    near = (
        did_you_mean(name, [n for n in names[:1000] if n not in taken])
        if names
        else did_you_mean(folder, files.list(""))
    )
    same = {n.rpartition(".")[2] for n in names if "." in n and n.rpartition(".")[0] in (name, name.rpartition(".")[0])}
    if len(same) == 1:
        ending, place = same.pop(), f"{folder}/" if folder else ""
        cut = f"or, to cut the id's own ending, '{place}{{id[:-4]}}.{ending}'"
        near = f" They end in .{ending}: write '{place}{{id}}.{ending}', {cut}."
    return (
        f"{option}: {int((~there).sum())} of {len(paths)} {what} rows have no image "
        f"({there.mean():.1%} do). Missing: {format_first(missing)}. {holds}{near}"
    )
