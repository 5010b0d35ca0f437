"""Draw into a folder without ever harming one: the work is done beside it and renamed at the end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from secrets import token_hex
from typing import Any

from compete import DataError

NOTE_FILE = "DRAWN.txt"
_OPTIONS = "options: "


def draw_folder(folder: Path, name: str, options: Mapping[str, Any], draw: Callable[[Path], None]) -> None:
    """Let `draw` fill a new folder; do nothing if it already holds what these options draw.

    `draw` gets a temporary neighbour to write into, and writes a note whose lines include `options_line`.
    Raise `DataError` if the folder holds anything else.
    """
    if _is_done(folder, name, options):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{token_hex(4)}.tmp")
    temporary.mkdir()
    try:
        draw(temporary)
        if folder.exists():
            folder.rmdir()  # it is empty; Windows would not rename onto it
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # no longer there after the rename


def options_line(name: str, options: Mapping[str, Any]) -> str:
    """Return the line of the note by which a finished folder is known."""
    return _OPTIONS + json.dumps({"sample": name, **options})


def _is_done(folder: Path, name: str, options: Mapping[str, Any]) -> bool:
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file. Name a new or empty folder to draw into.")
    if not folder.is_dir() or not any(folder.iterdir()):
        return False
    drawn = _drawn_with(folder / NOTE_FILE)
    wanted = {"sample": name, **options}
    if drawn == wanted:
        return True
    if drawn is None:
        raise DataError(f"{folder} is not empty, and nothing in it will be touched. Name a new or empty folder.")
    changed = [f"{key} = {json.dumps(drawn.get(key))}, not {json.dumps(wanted.get(key))}" for key in {**drawn, **wanted}
               if drawn.get(key) != wanted.get(key)]  # fmt: skip
    raise DataError(
        f"{folder} holds drawings made with other options ({'; '.join(changed)}). "
        "Name another folder, or remove this one first."
    )


def _drawn_with(note: Path) -> dict[str, Any] | None:
    """Return the options in a note, or None if there is no such note."""
    if not note.is_file():
        return None
    for line in note.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith(_OPTIONS):
            try:
                found = json.loads(line.removeprefix(_OPTIONS))
            except ValueError:
                return None
            return found if isinstance(found, dict) else None
    return None
