"""Find the sample submission."""

from __future__ import annotations

from compete import Scan, format_list

from .._heads import Table, read_head
from .._tables import sample_names


def read_sample(scan: Scan) -> Table | None:
    """Read the table that is called like a sample submission, the shortest name first, or return None for none."""
    names = sample_names(scan.tables) or sample_names(scan.tables, "submission")
    if not names:
        return None
    name = min(names, key=lambda name: (name.count("/"), len(name)))
    return read_head(scan.files, name, scan.tables[name])


def no_sample(scan: Scan) -> str:
    """Say that no sample submission was found, and which tables there are."""
    known = f"The tables there are {format_list(scan.tables)}." if scan.tables else "There is no table at all."
    return (
        f"{scan.files.root} has no sample submission, a table with 'submission' in its name, which would say what to "
        f"predict and in which form. {known}"
    )
