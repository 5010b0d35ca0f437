"""Where rows come from: tables, folders, JSON, records, and the mask competition."""

from __future__ import annotations

from collections.abc import Callable

from compete import Tables, hookimpl

from ._csv import csv
from ._folder import folder
from ._mask import mask

__all__ = ["csv", "folder", "mask", "register_datasets"]


@hookimpl
def register_datasets() -> dict[str, Callable[..., Tables]]:
    """Every bundled way to read a competition's rows."""
    return {"csv": csv, "folder": folder, "mask": mask}
