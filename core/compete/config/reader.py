"""Read a TOML's tables one by one and collect every problem, with its file and line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from compete.config.options import BoundComponent, bind, json_text, validate
from compete.config.plugins import Plugins, load_plugins
from compete.config.registry import Registry, unknown_component
from compete.config.settings import CORE_TABLES, Competition, elsewhere
from compete.config.table import Table
from compete.config.variants import VariantTable, read_variants
from compete.errors import PluginError, Problem
from compete.files.safety import MOST_BYTES, MOST_CODE_BYTES, NO_FILE, unusable_file
from compete.store import expand_path
from compete.text import did_you_mean, format_list
from compete.toml.gallery import folder_of_first_toml
from compete.toml.read import Lines
from compete.toml.slots import SLOTS, Slot
from compete.urls.stores import masked, masked_in, place_of


class Reader:
    """Collects the problems of one file while its tables are read."""

    def __init__(self, file: str, lines: Lines, overrides: Mapping[tuple[str, ...], str]) -> None:
        self.file, self.lines, self.overrides = file, lines, overrides
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.tables_of: dict[str, str] = {}  # of an option, the table where it has an effect

    def add(self, problem: Problem, *place: str) -> None:
        """Keep a problem, with the override that it comes from or the line of the innermost key that the file has."""
        if problem.is_unknown and problem.key in self.tables_of:
            here = f"unknown option here; it {self.tables_of[problem.key]}"
            problem = replace(problem, message=problem.message.replace("unknown option", here, 1))
        parts = [place[:n] for n in range(len(place), 0, -1)]
        override = next((self.overrides[part] for part in parts if part in self.overrides), None)
        if override is not None:
            self.problems.append(masked_in(str(replace(problem, file=f"--set {override}"))))
            return
        at = next((self.lines[part] for part in parts if part in self.lines), None)
        self.problems.append(masked_in(str(replace(problem, file=self.file, line=at))))

    def plugin_files(self, value: object, folder: Path) -> list[Path]:
        """Return the plugin files named in the TOML."""
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.add(
                Problem("plugins", f'{json_text(value)} must be a list of file names: ["my_loss.py"]'),
                "plugins",
            )
            return []
        files = []
        for written in value:
            name, problem = _expanded(written)
            if problem:
                self.add(Problem(f'plugins "{written}"', problem), "plugins")
                continue
            problem = unusable_file(Path(name), MOST_CODE_BYTES)
            if not problem:
                files.append(Path(name))
                continue
            if problem == NO_FILE:
                beside = folder / name
                hint = f". There is one beside the TOML: write '{beside}'" if beside.is_file() else ""
                problem = f"there is no such file in {Path.cwd()}{hint}"
            self.add(Problem(f'plugins "{name}"', f"{problem}."), "plugins")
        return files

    def plugins(self, files: Sequence[Path]) -> Plugins | None:
        """Load the plugins, or keep the reason why not."""
        try:
            return load_plugins(files)
        except PluginError as error:
            for message in error.problems:
                self.add(Problem("plugins", message), "plugins")
            return None

    def core_table(self, name: str, model: type[Table], data: Mapping[str, Any]) -> Table | None:
        """Read one of the core's own tables."""
        table = data.get(name, {})
        if not isinstance(table, dict):
            self.add(Problem(name, f"must be a table: [{name}]"), name)
            return None
        values, problems = validate(model, table, f"[{name}]")
        for problem in problems:
            self.add(problem, name, problem.key)
        return cast("Table | None", values)

    def components(self, data: Mapping[str, Any], registry: Registry) -> dict[str, tuple[BoundComponent, ...]]:
        """Bind the tables of every kind of component."""
        return {kind: tuple(self.kind(kind, slot, data, registry)) for kind, slot in SLOTS.items()}

    def kind(self, kind: str, slot: Slot, data: Mapping[str, Any], registry: Registry) -> Iterator[BoundComponent]:
        """Bind the table, or tables, of one kind of component."""
        tables = data.get(slot.table)
        if tables is None:
            if slot.required:
                known = format_list(registry[kind])
                self.add(Problem(f"[{slot.table}]", f'the table is missing. Give it a name = "...": {known}.'))
                return
            tables = [] if slot.default is None else [{}]
        elif not slot.repeats or isinstance(tables, dict):
            tables = [tables]
        if not isinstance(tables, list):
            self.add(Problem(slot.table, f"must be a table: [{slot.table}]"), slot.table)
            return
        for number, table in enumerate(tables):
            place = (slot.table, str(number)) if slot.repeats else (slot.table,)
            bound = self.component(kind, slot, table, registry, place)
            if bound is not None:
                yield bound

    def component(
        self, kind: str, slot: Slot, table: object, registry: Registry, place: tuple[str, ...]
    ) -> BoundComponent | None:
        """Bind one component's table."""
        where = f"[[{slot.table}]]" if slot.repeats else f"[{slot.table}]"
        if not isinstance(table, dict):
            self.add(Problem(f"{slot.table} = {json_text(table)}", f"must be a table: {where}"), *place)
            return None
        name = table.get("name", slot.default)
        if not isinstance(name, str) or name not in registry[kind]:
            what = "is required and missing" if name is None else unknown_component(slot.table, name, registry[kind])
            shown = "name" if name is None else f"name = {json_text(name)}"
            hint = f": one of {format_list(registry[kind])}." if name is None else ""
            self.add(Problem(f"{where} {shown}", what + hint), *place, "name")
            return None
        options = {key: value for key, value in table.items() if key != "name"}
        bound, problems = bind(registry[kind][name], options, where)
        for problem in problems:
            self.add(problem, *place, problem.key)
        return None if problems else bound

    def head_of_loss(self, components: Mapping[str, tuple[BoundComponent, ...]]) -> None:
        """Refuse a loss on cosines without a head that gives them, times the scale that the loss expects."""
        for loss, head in zip(components.get("losses", ()), components.get("heads", ()), strict=False):
            if not loss.component.traits.needs_cosines:
                continue
            scale = loss.options.get("scale")
            if not head.component.traits.gives_cosines:
                message = (
                    f'needs cosines, which [head] name = "{head.name}" does not give. Write [head] name = "cosine".'
                )
                self.add(Problem(f'[loss] name = "{loss.name}"', message), "loss", "name")
            elif head.options.get("scale") != scale:
                message = f"must be the scale of the head, {head.options.get('scale')}. Write [head] scale = {scale}."
                self.add(Problem(f"[loss] scale = {scale}", message), "loss", "scale")

    def group_as_label(self, components: Mapping[str, Sequence[BoundComponent]]) -> None:
        """Refuse a target that reads the column `group`: folds keep its rows together, so each class in one fold."""
        for target, dataset in zip(components.get("targets", ()), components.get("datasets", ()), strict=False):
            for key in ("column", "columns"):
                value = target.options.get(key)
                if value != "group" and not (isinstance(value, list | tuple) and "group" in value):
                    continue
                cure = "Give the labels another name in the table."
                if isinstance(dataset.options.get("group"), str):
                    cure = (
                        'Set [dataset] group = "id" (each row alone), or the column of people or places: the table\'s '
                        "own `group` is then called `raw_group`."
                    )
                message = f"folds keep the rows of one `group` together, so it cannot hold the labels. {cure}"
                self.add(Problem(f"[target] {key}", message), "target", key)

    def refit_by_scores(self, components: Mapping[str, Sequence[BoundComponent]], refit: bool) -> None:
        """Refuse a refit beside a callback that chooses weights by scores: a member of all rows has none."""
        for bound in components.get("callbacks", ()) if refit else ():
            if getattr(bound.build(), "needs_scores", False):
                message = (
                    f'[[callbacks]] name = "{bound.name}" chooses weights by the score of the fold, and members of all '
                    "rows have none. Remove it or take another, such as swa; or set refit = false."
                )
                self.add(Problem("[training] refit = true", message), "training", "refit")

    def remote_root(self, components: Mapping[str, Sequence[BoundComponent]], root: str, registry: Registry) -> None:
        """Refuse a URL as the root of a dataset that reads folders of a disk only."""
        for bound in components.get("datasets", ()):
            if isinstance(place_of(root), str) and not bound.component.traits.reads_urls:
                able = format_list(name for name, other in registry["datasets"].items() if other.traits.reads_urls)
                message = f'[dataset] name = "{bound.name}" reads folders of a disk. Those that read a URL: {able}.'
                self.add(Problem(f'[competition] root = "{masked(root)}"', message), "competition", "root")

    def data_files(
        self, components: Mapping[str, Sequence[BoundComponent]], path: Path, competition: Competition | None
    ) -> None:
        """Refuse data files outside the root and the TOML's folder, and what is not a file of bounded size."""
        if competition is None:
            return
        place = place_of(competition.root)
        folders = [*([place] if isinstance(place, Path) else []), path.parent, *folder_of_first_toml(path.parent)]
        for kind, bound in ((kind, bound) for kind, many in components.items() for bound in many):
            for key, value in bound.data_files:
                file = Path(value.partition("#")[0])
                inside = any(file.resolve().is_relative_to(folder.resolve()) for folder in folders)
                outside = "leads outside: a data file lies below [competition] root, or beside the TOML"
                problem = unusable_file(file, MOST_BYTES) if inside else outside
                if problem not in ("", NO_FILE):  # the component says what it looked for
                    where = f"[{SLOTS[kind].table}] {key} = {json_text(value)}"
                    self.add(Problem(where, f"{problem}."), SLOTS[kind].table, key)

    def variants(self, written: object, data: Mapping[str, Any]) -> list[VariantTable]:
        """Read `[[variants]]`."""
        tables, problems = read_variants(written, data)
        for problem, number in problems:
            self.add(problem, "variants", number)
        return tables

    def unknown_tables(self, data: Mapping[str, Any]) -> None:
        """Refuse tables and keys that nobody reads."""
        known = ["plugins", "variants", *CORE_TABLES, *(slot.table for slot in SLOTS.values())]
        for name in data:
            if name not in known:
                inside = [f"{table}.{name}" for table, model in CORE_TABLES.items() if name in model.model_fields]
                hint = f" Did you mean {inside[0]}?" if inside else elsewhere(name) or did_you_mean(name, known)
                tables = f" Tables: {format_list(known, most=40)}."
                self.add(Problem(f"[{name}]", f"unknown table.{hint}{tables}"), name)


def _expanded(path: str) -> tuple[str, str]:
    """Return a path with `~` and environment variables expanded, and what is wrong with it."""
    try:
        return expand_path(path), ""
    except ValueError as error:
        return path, str(error)


def leave_out_replaced(
    data: dict[str, Any], written: Mapping[str, Any], overrides: Iterable[tuple[str, ...]], registry: Registry
) -> Iterator[str]:
    """Drop options of the file that `--set` replaced, and yield a note for each.

    Where `--set table.name=...` chooses another component, those that only the old one has; where `--set` gives one of
    several alternatives, the others.
    """
    given = set(overrides)
    for kind, slot in SLOTS.items():
        table, before = data.get(slot.table), written.get(slot.table)
        if not isinstance(table, dict) or not isinstance(before, dict):
            continue
        chosen = registry[kind].get(str(table.get("name", slot.default)))
        if chosen is None:
            continue
        for key in sorted(set(before) & set(table) - {"name"}):
            if (slot.table, key) in given:
                continue
            replaced = [other for other in chosen.alternatives_to(key) if (slot.table, other) in given and table[other]]
            if replaced and table[key]:
                why = f"--set {slot.table}.{replaced[0]} takes its place"
            elif chosen.name != before.get("name", slot.default) and key not in chosen.option_names:
                why = f"{chosen.name} has no such option"
            else:
                continue
            del table[key]
            yield f"[{slot.table}] {key} left out: {why}"
