"""Fill a folder all at once or not at all, and never touch one that holds anything else."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex
from typing import Any

from compete import DataError

NOTE_FILE = "DRAWN.txt"
_OPTIONS = "options: "


def fill_folder(folder: Path, options: dict[str, Any], fill: Callable[[Path], str]) -> None:
    """Let `fill` write a new folder and return a note about it; do nothing if these options already filled it.

    Raise `DataError` if the folder holds anything else.
    """
    if _is_filled(folder, options):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{token_hex(4)}.tmp")
    temporary.mkdir()
    try:
        note = fill(temporary)
        (temporary / NOTE_FILE).write_text(f"{note}\n{_OPTIONS}{json.dumps(options)}\n", encoding="utf-8")
        if folder.exists():
            folder.rmdir()  # it is empty; Windows cannot rename onto it
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # already gone after the rename


def _is_filled(folder: Path, wanted: dict[str, Any]) -> bool:
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file. Name a new or empty folder to draw into.")
    if not folder.exists() or not any(folder.iterdir()):
        return False
    try:
        found = dict(json.loads((folder / NOTE_FILE).read_text(encoding="utf-8").rpartition(_OPTIONS)[2]))
    except (OSError, TypeError, ValueError):  # there is no such note, or somebody else wrote it
        raise DataError(f"{folder} is not empty, and its files were left alone. Name a new or empty folder.") from None
    differ = [key for key in {**found, **wanted} if found.get(key) != wanted.get(key)]
    changes = [f"{key} = {json.dumps(found.get(key))}, not {json.dumps(wanted.get(key))}" for key in differ]
    if changes:
        advice = "Name another folder, or remove this one first."
        raise DataError(f"{folder} holds drawings made with other options ({'; '.join(changes)}). {advice}")
    return True
