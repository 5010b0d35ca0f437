"""Ask every dataset plugin how it would read a folder, and choose the best proposal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from compete.config.options import bind
from compete.config.registry import find
from compete.draft.findings import Source
from compete.errors import ConfigError, DataError, PluginError, code_of_others, error_location
from compete.files.extensions import READABLE, SPREADSHEETS, files_instead_of_images, unread_files
from compete.files.proposals import Basis, Choice, Excerpt, Proposal
from compete.files.scan import spread
from compete.text import format_list, plural

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from compete.config.plugins import Plugins
    from compete.config.registry import Component
    from compete.files.scan import Scan
    from compete.types import Tables

MOST_IMAGES = 60  # whose sizes are looked at
NO_SAMPLE = "none"  # as a dataset's option `sample`


def find_source(scan: Scan, plugins: Plugins) -> Source:
    """Return the rows of the best proposal. Raise `DataError` with every dataset's reasons where there is none."""
    found, problems = _ask(scan, plugins)
    if not found:
        raise DataError([*_nothing_found(scan, problems), *scan.unopened])
    found = [_counted(proposal, scan, plugins) for proposal in found]
    best, *others = sorted(found, key=lambda proposal: (proposal.basis, proposal.rows), reverse=True)
    rivals = [other for other in others if other.basis == best.basis]
    return _source(best, rivals, scan, plugins)


def _counted(proposal: Proposal, scan: Scan, plugins: Plugins) -> Proposal:
    """Return a proposal with its training rows, read from the dataset where it counts none itself."""
    if proposal.rows or proposal.excerpt is not None:
        return proposal
    options = {option.name: option.value for option in proposal.options}
    tables = _tables(find(plugins.registry, "datasets", proposal.dataset), options, scan.files.root)
    return replace(proposal, rows=len(tables.train))


def _ask(scan: Scan, plugins: Plugins) -> tuple[list[Proposal], list[str]]:
    """Return all proposals, and what kept datasets from making one."""
    found: list[Proposal] = []
    problems: list[str] = []
    for implementation in reversed(plugins.manager.hook.propose_dataset.get_hookimpls()):
        owner = implementation.plugin_name
        try:
            with code_of_others(partial(_raised, owner)):
                found += _proposals(implementation.function, scan, owner)
        except DataError as error:
            problems += error.problems
    return found, list(dict.fromkeys(problems))


def _raised(owner: str, error: BaseException) -> PluginError:
    return PluginError(f"plugin {owner}: propose_dataset raised {error!r} at {error_location(error)}")


def _proposals(propose: Callable[..., Any], scan: Scan, owner: str) -> list[Proposal]:
    """Ask one plugin; the wrong type is its author's mistake."""
    returned = propose(scan=scan)
    proposals = returned if isinstance(returned, list) else [] if returned is None else [returned]
    for proposal in proposals:
        if not isinstance(proposal, Proposal):
            raise PluginError(
                f"plugin {owner}: propose_dataset must return a Proposal, a list of them or None, "
                f"not {type(proposal).__name__}"
            )
        wrong = [option for option in proposal.options if not isinstance(option, Choice)]
        if wrong:
            raise PluginError(
                f"plugin {owner}: propose_dataset: the options of a Proposal must be Choices, not {wrong[0]!r}"
            )
    return proposals


def _nothing_found(scan: Scan, problems: Sequence[str]) -> list[str]:
    """Say why no dataset reads the folder; without images that is reason enough."""
    sheets = unread_files(scan.others, SPREADSHEETS, "If it holds the labels, save its sheet as CSV.")
    if scan.images or scan.records:
        return [*problems, *sheets] or [f"{scan.files.root}: no dataset plugin knows such a folder."]
    instead = files_instead_of_images(scan.others)
    return [f"{scan.files.root} holds no image ({', '.join(READABLE)}) and no JSON or BSON.{instead}"]


def _source(best: Proposal, rivals: Sequence[Proposal], scan: Scan, plugins: Plugins) -> Source:
    """Complete a proposal by the dataset's own tables, where it has no rows."""
    component = find(plugins.registry, "datasets", best.dataset)
    written = {option.name: option.value for option in best.options}
    group, rows, excerpt = None, best.rows, best.excerpt
    if excerpt is None:
        tables = _tables(component, written, scan.files.root)
        group, rows, excerpt = tables.train.get("group"), len(tables.train), _excerpt(tables)
    return Source(
        **vars(excerpt),
        dataset=best.dataset,
        options=best.options,
        why="; ".join(filter(None, [best.why, *_other_proposals(best, rivals)])),
        rows=rows,
        sample_name=str(written.get("sample") or Source.sample_name),
        sampled=_is_sampled(excerpt.sample, written.get("sample")),
        named=best.basis == Basis.NAMES,
        free=frozenset(component.option_names - set(written)),
        group=group,
        todo=(*_tie(best, rivals), *best.todo),
    )


def _is_sampled(sample: pd.DataFrame, written: object) -> bool:
    """Return whether there is a sample submission: a file is named, or the dataset gives one whose cells say more."""
    return written not in (None, "", NO_SAMPLE) or bool((sample.iloc[:, 1:] != "").to_numpy().any())


def _tables(component: Component, written: Mapping[str, Any], root: Path) -> Tables:
    bound, problems = bind(component, written, "[dataset]")
    if bound is None or problems:
        raise ConfigError(map(str, problems))
    try:
        tables: Tables = bound.build(root)
    except OSError as error:
        raise DataError(f'[dataset] name = "{component.name}": {error}.') from error
    return tables


def _excerpt(tables: Tables) -> Excerpt:
    """Return what every dataset gives, and which column is which; a column called label is the label."""
    images = [image[0] if isinstance(image, list) else image for image in tables.train["image"] if image]
    return Excerpt(
        tables.train.drop(columns="group", errors="ignore").astype(str),
        tables.test,
        tables.sample,
        label="label" if "label" in tables.train else "",
        used=("id", "image"),
        images=tuple(spread(images, MOST_IMAGES)),
    )


def _other_proposals(best: Proposal, rivals: Sequence[Proposal]) -> Iterator[str]:
    for rival in rivals:
        if rival.rows != best.rows:
            yield f"'{rival.dataset}' would read {plural(rival.rows, 'row')}"


def _tie(best: Proposal, rivals: Sequence[Proposal]) -> Iterator[str]:
    equal = [f"'{rival.dataset}'" for rival in rivals if rival.rows == best.rows]
    if equal:
        yield (
            f"[dataset] name: '{best.dataset}' was chosen; {format_list(equal)} would read as many rows "
            f"({best.rows}). Keep the one that fits."
        )
