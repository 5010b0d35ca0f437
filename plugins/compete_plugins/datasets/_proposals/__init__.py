"""How the bundled datasets would read a folder, for `compete init`."""

from __future__ import annotations

from compete import Proposal, Scan

from .._common import Problems
from .coco import propose_coco
from .csv import propose_csv
from .folder import propose_folder
from .mask import propose_mask
from .records import propose_records, read_json_heads
from .sample import read_sample


def proposals(scan: Scan) -> list[Proposal]:
    """Return what each bundled dataset proposes. Raise `DataError` with every reason where none does."""
    mask = propose_mask(scan)
    if mask is not None:
        return [mask]
    sample = read_sample(scan)
    problems, found = Problems(), list[Proposal | None]()
    with problems.collecting():
        found.append(propose_csv(scan, sample))
    heads = read_json_heads(scan)
    with problems.collecting():
        found.append(propose_records(scan, sample, heads))
    with problems.collecting():
        found.append(propose_coco(scan, sample, heads))
    with problems.collecting():
        found.append(propose_folder(scan, sample))
    if not any(found):
        problems.raise_if_any()
    return [proposal for proposal in found if proposal is not None]
