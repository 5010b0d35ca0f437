"""How the bundled datasets would read a folder, for `compete init`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace

from compete import DataError, Proposal, Scan

from .._common import Problems
from .._tables import sample_names
from .class_folders import FILE_NAMES, propose_class_folders
from .coco import propose_coco
from .csv import propose_csv
from .folder import propose_folder
from .mask import propose_mask
from .records import propose_records, read_json_heads
from .sample import no_sample, read_sample
from .shards import propose_parquet
from .tables import propose_tables
from .voc import propose_voc


def proposals(scan: Scan) -> list[Proposal]:
    """Return what each bundled dataset proposes. Raise `DataError` with every reason where none does."""
    mask = propose_mask(scan)
    if mask is not None:
        return [mask]
    sample = read_sample(scan)
    if sample is None:
        return _without_sample(scan)
    found, problems = _asked(
        [
            lambda: propose_csv(scan, sample),
            lambda: propose_records(scan, sample, read_json_heads(scan)),
            lambda: propose_coco(scan, sample, read_json_heads(scan)),
            lambda: propose_folder(scan, sample),
        ]
    )
    if not found and not sample_names([sample.name]):  # it may only be called so: `notes on my submission.csv`
        with suppress(DataError):
            return [_without_notice(proposal, sample.name) for proposal in _without_sample(scan)]
    if not found:
        problems.raise_if_any()
    return found


def _without_notice(proposal: Proposal, name: str) -> Proposal:
    doubt = f"[submission]: {name} is not taken for a sample submission: no dataset reads its rows. Is it one?"
    return replace(proposal, todo=(doubt, *proposal.todo))


def _without_sample(scan: Scan) -> list[Proposal]:
    """Return the proposals that need no sample submission; class folders win over a table without labels."""
    found, problems = _asked(
        [
            lambda: propose_class_folders(scan),
            lambda: propose_parquet(scan),
            lambda: propose_coco(scan, None, read_json_heads(scan)),
            lambda: propose_voc(scan),
        ]
    )
    guessed = all(todo.startswith(FILE_NAMES) for proposal in found for todo in proposal.todo[:1] or [""])
    tables, more = _asked([lambda: propose_tables(scan, labelled=not guessed)])
    if not found and not tables:
        raise DataError([*dict.fromkeys([*problems, *more]), *([no_sample(scan)] if scan.tables else [])])
    return [*tables, *found]


def _asked(propose: Iterable[Callable[[], Proposal | None]]) -> tuple[list[Proposal], Problems]:
    """Return what is proposed, and the reasons of those that propose nothing."""
    problems, found = Problems(), list[Proposal]()
    for each in propose:
        with problems.collecting():
            proposal = each()
            found += [proposal] if proposal else []
    return found, problems
