"""A competition TOML becomes a frozen `Config`; every problem with it is reported at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from compete.config.options import BoundComponent, tables_of_options, with_model_input
from compete.config.plugins import Plugins
from compete.config.reader import Reader, leave_out_replaced
from compete.config.settings import CORE_TABLES, Blend, Checks, Columns, Competition, Images, Inference, Training
from compete.config.tuning import Finetune, Init, Search
from compete.config.variants import VariantTable
from compete.errors import ConfigError
from compete.toml.gallery import find_toml
from compete.toml.overrides import apply_overrides, override_keys, take_out
from compete.toml.read import Lines, read_toml
from compete.toml.slots import SLOTS

NO_TOML = Path()


@dataclass(frozen=True)
class Config:
    """A checked TOML: the core's tables, the bound components of each kind, and the plugins they came from.

    `path` is `NO_TOML` for data from Python. `written` is the TOML's data without `overrides`, those of the command
    line; `notes` say what they left out.
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
    blend: Blend
    search: Search
    components: Mapping[str, tuple[BoundComponent, ...]]
    plugin_files: tuple[Path, ...]
    plugins: Plugins
    written: Mapping[str, Any]
    overrides: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    variants: tuple[Variant, ...] = ()

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
    def fold_seed(self) -> int:
        """The seed of the folds."""
        return self.training.seed if self.training.fold_seed is None else self.training.fold_seed

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
        if self.variants:
            data["variants"] = [{"name": variant.name, **variant.settings} for variant in self.variants]
        return data


@dataclass(frozen=True)
class Variant:
    """One of `[[variants]]`: its settings as in the TOML, and the whole configuration with them."""

    name: str
    settings: Mapping[str, Any]
    config: Config


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read and check a TOML, or a gallery name. Raise `ConfigError` with every problem at once."""
    path = find_toml(path)
    written, lines = read_toml(path)
    return check_config(written, overrides, path, lines)


def load_run_config(folder: Path, overrides: Sequence[str] = ()) -> Config:
    """Read a run's TOML without the weights it started from, which may be gone: its members have their own."""
    toml = folder / "config.toml"
    model = read_toml(toml)[0].get("model", {})
    without = ['model.weights=""'] if isinstance(model, dict) and model.get("weights") else []
    return load_config(toml, [*without, *overrides])


def check_config(
    written: Mapping[str, Any],
    overrides: Sequence[str] = (),
    path: Path = NO_TOML,
    lines: Lines | None = None,
    without: Iterable[tuple[str, ...]] = (),
) -> Config:
    """Check a TOML's data, of no file by default, `without` some keys. Raise `ConfigError` with every problem."""
    data = apply_overrides(written, overrides)
    several = data.pop("variants", [])
    file = str(path) if path.name else ""
    reader = Reader(file, lines or {}, {override_keys(override): override for override in overrides})
    files = reader.plugin_files(data.get("plugins", []), path.parent)
    plugins = reader.plugins(files)
    if plugins:
        reader.tables_of = tables_of_options(data, plugins.registry)
        reader.notes += leave_out_replaced(data, written, reader.overrides, plugins.registry)
    take_out(data, without)
    core: dict[str, Any] = {name: reader.core_table(name, model, data) for name, model in CORE_TABLES.items()}
    if all(core.values()):
        for problem in (*core["finetune"].conflicts(core["training"].epochs), *core["init"].conflicts()):
            reader.add(problem, problem.where[1 : problem.where.index("]")], problem.key)
    components = reader.components(data, plugins.registry) if plugins else {}
    reader.head_of_loss(components)
    reader.group_as_label(components)
    reader.refit_by_scores(components, bool(core["training"] and core["training"].refit))
    if plugins and core["competition"]:
        reader.remote_root(components, core["competition"].root, plugins.registry)
    reader.data_files(components, path, core["competition"])
    reader.unknown_tables(data)
    tables = reader.variants(several, data)
    if reader.problems or plugins is None:
        raise ConfigError(reader.problems)
    core["images"], notes = with_model_input(core["images"], components["models"][0])
    config = Config(
        path=path,
        **core,
        components=components,
        plugin_files=tuple(files),
        plugins=plugins,
        written=written,
        overrides=tuple(overrides),
        notes=(*reader.notes, *notes),
    )
    return replace(config, variants=tuple(_variants(tables, several, data, path)))


def _variants(
    tables: Sequence[VariantTable], written: Sequence[Mapping[str, Any]], data: Mapping[str, Any], path: Path
) -> Iterator[Variant]:
    """Check the TOML with each variant's settings. Raise `ConfigError` with the problems of all of them."""
    problems, seen = list[str](), dict[str, dict[str, Any]]()
    base = {name: value for name, value in data.items() if name != "ensemble"}  # that is how variants are blended
    for table, settings in zip(tables, written, strict=True):
        try:
            config = check_config(base, table.overrides, path)
        except ConfigError as error:
            problems += [f'[[variants]] name = "{table.name}": {p.removeprefix("--set ")}' for p in error.problems]
            continue
        same = next((name for name, other in seen.items() if other == config.resolved()), None)
        if same is not None:
            problems.append(f'[[variants]] name = "{table.name}": has the settings of "{same}". Change or remove it.')
        seen[table.name] = config.resolved()
        own = {key: value for key, value in settings.items() if key != "name"}
        yield Variant(table.name, own, replace(config, path=NO_TOML, overrides=()))
    if problems:
        raise ConfigError(problems)
