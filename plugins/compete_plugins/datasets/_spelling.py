"""Names that look alike: Unicode's composed and decomposed forms (NFC, NFD), and file names that are not text.

macOS writes file names decomposed, tables and most other programs composed; for a file system these are two names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from unicodedata import normalize

import pandas as pd

from compete import DataError, foreign_names, plural

from ._common import Files


def composed(text: str) -> str:
    """Return text in Unicode's composed form (NFC)."""
    return normalize("NFC", text)


def by_composed(names: Iterable[str]) -> dict[str, str]:
    """Return the names that are the only ones of their composed form, by it."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(composed(name), []).append(name)
    return {form: several[0] for form, several in found.items() if len(several) == 1}


def as_on_disk(paths: pd.Series[Any], files: Files) -> tuple[pd.Series[Any], int]:
    """Return paths as the folders spell them, where only Unicode's form differs, and how many did.

    Cells may be lists of paths. A path that ends in `.*`, since nothing has its name, gets the extension of the file.
    """
    flat = paths.explode()
    missing = {path for path in flat[~files.present(flat.tolist())] if not str(path).isascii()}
    folders: dict[str, dict[str, str]] = {}
    found = {path: on_disk for path in missing if (on_disk := _on_disk(path, files, folders))}
    if not found:
        return paths, 0
    changed = [
        [found.get(one, one) for one in path] if isinstance(path, list) else found.get(path, path) for path in paths
    ]
    return pd.Series(changed, index=paths.index, dtype=object), int(flat.isin(found).sum())


def _on_disk(path: str, files: Files, folders: dict[str, dict[str, str]]) -> str:
    """Return a path as its folders spell it, or nothing."""
    at = ""
    for part in path.split("/"):
        if at not in folders:
            names = files.list(at)
            stems = {f"{name.rpartition('.')[0]}.*": name for name in names}  # the last of several; refused before
            folders[at] = by_composed(names) | {form: stems[stem] for form, stem in by_composed(stems).items()}
        name = part if part.isascii() else folders[at].get(composed(part), "")
        if not name:
            return ""
        at = f"{at}/{name}" if at else name
    return at


def as_in_sample(ids: pd.Series[str], sample: pd.DataFrame) -> tuple[pd.Series[str], int]:
    """Return test ids as the sample submission spells them, where only Unicode's form differs, and how many did."""
    wanted = sample.iloc[:, 0]
    unknown = [id for id in wanted[~wanted.isin(ids)] if not str(id).isascii()]
    forms = by_composed(unknown)
    changed = ids.map(lambda id: id if id.isascii() else forms.get(composed(id), id))
    return changed, int((changed != ids).sum())


def labels_as_in_sample(labels: pd.Series[str], sample: pd.DataFrame) -> tuple[pd.Series[str], int]:
    """Return labels that are folder names as the sample's columns or cells spell them, and how many rows differed."""
    cells = [str(cell) for column in sample.columns[1:] for cell in sample[column].unique()]
    forms = by_composed(dict.fromkeys([*map(str, sample.columns[1:]), *cells]))
    changed = labels.map(lambda label: label if label.isascii() else forms.get(composed(label), label))
    return changed, int((changed != labels).sum())


def spelling_note(count: int, what: str, where: str) -> list[str]:
    """Return the note on names that were matched across Unicode's forms."""
    if not count:
        return []
    return [f"{plural(count, what)} of {where} matched in another Unicode form (NFC or NFD): only the bytes differ."]


def text_names(paths: Sequence[str], where: str) -> list[str]:
    """Return file names. Raise `DataError` for those whose bytes are not UTF-8: no table can hold them."""
    problem = foreign_names(paths, where or "the root")
    if problem:
        raise DataError(problem)
    return list(paths)
