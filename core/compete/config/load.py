"""A competition TOML becomes a frozen `Config`; every problem with it is reported at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from compete.config.gallery import find_toml, folder_of_first_toml
from compete.config.options import BoundComponent, bind, json_text, option_names, validate
from compete.config.plugins import Plugins, load_plugins
from compete.config.registry import Registry
from compete.config.settings import (
    CORE_TABLES,
    Checks,
    Columns,
    Competition,
    Finetune,
    Images,
    Inference,
    Init,
    Table,
    Training,
)
from compete.config.slots import SLOTS, Slot
from compete.config.toml import Lines, apply_overrides, override_keys, read_toml
from compete.errors import ConfigError, PluginError, Problem
from compete.files.safety import MOST_BYTES, MOST_CODE_BYTES, NO_FILE, unusable_file
from compete.store import expand_path
from compete.text import did_you_mean, format_list, unknown_name

NO_TOML = Path()


@dataclass(frozen=True)
class Config:
    """A checked TOML: the core's tables, the bound components of each kind, and the plugins they came from.

    `path` is `NO_TOML` for data from Python. `overrides` are those of the command line; `notes` say what they left out.
    """

    path: Path
    competition: Competition
    images: Images
    columns: Columns
    training: Training
    finetune: Finetune
    init: Init
    inference: Inference
    checks: Checks
    components: Mapping[str, tuple[BoundComponent, ...]]
    plugin_files: tuple[Path, ...]
    plugins: Plugins
    overrides: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def one(self, kind: str) -> BoundComponent:
        """Return the only component of a kind."""
        return self.components[kind][0]

    def many(self, kind: str) -> tuple[BoundComponent, ...]:
        """Return all components of a kind, in the TOML's order."""
        return self.components[kind]

    @property
    def prediction_batch(self) -> int:
        """How many images are predicted at once."""
        return self.inference.batch_size or 2 * self.training.batch_size

    @property
    def writes_own_ids(self) -> bool:
        """Whether the submission's ids are not those of the test table."""
        return self.one("submissions").component.traits.own_ids

    def resolved(self) -> dict[str, Any]:
        """Return the whole configuration as TOML data, defaults included."""
        data: dict[str, Any] = {"plugins": [str(file) for file in self.plugin_files]}
        for table in CORE_TABLES:
            data[table] = getattr(self, table).model_dump()
        for kind, slot in SLOTS.items():
            tables = [{"name": bound.name, **bound.options} for bound in self.components[kind]]
            if slot.repeats:
                data[slot.table] = tables
            elif tables:
                data[slot.table] = tables[0]
        return data


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read and check a TOML, or a gallery name. Raise `ConfigError` with every problem at once."""
    path = find_toml(path)
    written, lines = read_toml(path)
    return check_config(written, overrides, path, lines)


def check_config(
    written: Mapping[str, Any], overrides: Sequence[str] = (), path: Path = NO_TOML, lines: Lines | None = None
) -> Config:
    """Check a TOML's data, of no file by default. Raise `ConfigError` with every problem at once."""
    data = apply_overrides(written, overrides)
    file = str(path) if path.name else ""
    reader = _Reader(file, lines or {}, {override_keys(override): override for override in overrides})
    files = reader.plugin_files(data.get("plugins", []), path.parent)
    plugins = reader.plugins(files)
    core: dict[str, Any] = {name: reader.core_table(name, model, data) for name, model in CORE_TABLES.items()}
    if all(core.values()):
        for problem in (*core["finetune"].conflicts(core["training"].epochs), *core["init"].conflicts()):
            reader.add(problem, problem.where[1 : problem.where.index("]")], problem.key)
    if plugins:
        reader.leave_out_options_of_others(data, written, plugins.registry)
    components = reader.components(data, plugins.registry) if plugins else {}
    reader.head_of_loss(components)
    reader.data_files(components, path, core["competition"])
    reader.unknown_tables(data)
    if reader.problems or plugins is None:
        raise ConfigError(reader.problems)
    return Config(
        path=path,
        **core,
        components=components,
        plugin_files=tuple(files),
        plugins=plugins,
        overrides=tuple(overrides),
        notes=tuple(reader.notes),
    )


class _Reader:
    """Collects the problems of one file while its tables are read."""

    def __init__(self, file: str, lines: Lines, overrides: Mapping[tuple[str, ...], str]) -> None:
        self.file = file
        self.lines = lines
        self.overrides = overrides
        self.problems: list[str] = []
        self.notes: list[str] = []

    def add(self, problem: Problem, *place: str) -> None:
        """Keep a problem, with the override that it comes from or the line of the innermost key that the file has."""
        parts = [place[:n] for n in range(len(place), 0, -1)]
        override = next((self.overrides[part] for part in parts if part in self.overrides), None)
        if override is not None:
            self.problems.append(str(replace(problem, file=f"--set {override}")))
            return
        at = next((self.lines[part] for part in parts if part in self.lines), None)
        self.problems.append(str(replace(problem, file=self.file, line=at)))

    def leave_out_options_of_others(self, data: dict[str, Any], written: Mapping[str, Any], registry: Registry) -> None:
        """Where `--set table.name=...` chooses another component, drop the file's options that only the old one has."""
        for kind, slot in SLOTS.items():
            table, before = data.get(slot.table), written.get(slot.table)
            if not isinstance(table, dict) or not isinstance(before, dict):
                continue
            chosen = registry[kind].get(str(table.get("name", slot.default)))
            if chosen is None or chosen.name == before.get("name", slot.default):
                continue
            for key in sorted(set(before) & set(table) - {"name"} - option_names(chosen)):
                if (slot.table, key) not in self.overrides:
                    del table[key]
                    self.notes.append(f"[{slot.table}] {key} left out: {chosen.name} has no such option")

    def plugin_files(self, value: object, folder: Path) -> list[Path]:
        """Return the plugin files named in the TOML."""
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            message = f'{json_text(value)} must be a list of file names: ["my_loss.py"]'
            self.add(Problem("plugins", message), "plugins")
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
            if problem != NO_FILE:
                self.add(Problem(f'plugins "{name}"', f"{problem}."), "plugins")
                continue
            beside = folder / name
            hint = f" There is one beside the TOML: write '{beside}'." if beside.is_file() else ""
            self.add(Problem(f'plugins "{name}"', f"there is no such file in {Path.cwd()}.{hint}"), "plugins")
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
            what = "is required and missing" if name is None else unknown_name(slot.table, name, registry[kind])
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

    def data_files(
        self, components: Mapping[str, Sequence[BoundComponent]], path: Path, competition: Competition | None
    ) -> None:
        """Refuse data files outside the root and the TOML's folder, and what is not a file of bounded size."""
        if competition is None:
            return
        folders = [Path(competition.root), path.parent, *folder_of_first_toml(path.parent)]
        for kind, bound in ((kind, bound) for kind, many in components.items() for bound in many):
            for key, value in bound.data_files:
                file = Path(value.partition("#")[0])
                inside = any(file.resolve().is_relative_to(folder.resolve()) for folder in folders)
                outside = "leads outside: a data file lies below [competition] root, or beside the TOML"
                problem = unusable_file(file, MOST_BYTES) if inside else outside
                if problem not in ("", NO_FILE):  # the component says what it looked for
                    where = f"[{SLOTS[kind].table}] {key} = {json_text(value)}"
                    self.add(Problem(where, f"{problem}."), SLOTS[kind].table, key)

    def unknown_tables(self, data: Mapping[str, Any]) -> None:
        """Refuse tables and keys that nobody reads."""
        known = ["plugins", *CORE_TABLES, *(slot.table for slot in SLOTS.values())]
        for name in data:
            if name not in known:
                inside = [f"{table}.{name}" for table, model in CORE_TABLES.items() if name in model.model_fields]
                hint = f" Did you mean {inside[0]}?" if inside else did_you_mean(name, known)
                tables = f" Tables: {format_list(known, most=40)}."
                self.add(Problem(f"[{name}]", f"unknown table.{hint}{tables}"), name)


def _expanded(path: str) -> tuple[str, str]:
    """Return a path with `~` and environment variables expanded, and what is wrong with it."""
    try:
        return expand_path(path), ""
    except ValueError as error:
        return path, str(error)
