"""Where rows come from: tables, folders, JSON, XML, records, and the mask competition."""

from __future__ import annotations

from collections.abc import Callable

from compete import Proposal, Scan, Tables, hookimpl

from ._coco import coco
from ._csv import csv
from ._folder import folder
from ._mask import mask
from ._parquet import parquet
from ._proposals import proposals
from ._records import records
from ._voc import voc

__all__ = ["coco", "csv", "folder", "mask", "parquet", "propose_dataset", "records", "register_datasets", "voc"]


@hookimpl
def register_datasets() -> dict[str, Callable[..., Tables]]:
    """Every bundled way to read a competition's rows."""
    return {
        "coco": coco,
        "csv": csv,
        "folder": folder,
        "mask": mask,
        "parquet": parquet,
        "records": records,
        "voc": voc,
    }


@hookimpl
def propose_dataset(scan: Scan) -> list[Proposal]:
    """How the bundled datasets would read a folder."""
    return proposals(scan)
