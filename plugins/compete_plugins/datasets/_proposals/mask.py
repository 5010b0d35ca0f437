"""Recognise the mask competition by its layout."""

from __future__ import annotations

from compete import Basis, Proposal, Scan

from .._heads import read_head
from .._mask import INFO, LISTING

HEAD_ROWS = 50


def propose_mask(scan: Scan) -> Proposal | None:
    """Propose the mask competition's layout, a folder of images for each person listed."""
    if not {LISTING, INFO} <= set(scan.tables):
        return None
    people, sample = (read_head(scan.files, name, scan.tables[name], HEAD_ROWS) for name in (LISTING, INFO))
    if not {"path", "gender", "age"} <= set(people.columns) or not {"ImageID", "ans"} <= set(sample.columns):
        return None
    why = "the mask competition's own layout"
    return Proposal("mask", why=why, basis=Basis.LAYOUT, rows=people.rows)
