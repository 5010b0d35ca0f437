"""`compete init --from-ini`: an old program's .ini becomes a TOML, with a TODO for each key that has no place there."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compete.catalog.ini import FALSE_AS_TEXT, TRUE, TRUTH, Entry, expand, in_force, read_ini, slip
from compete.catalog.ini_names import KEYS, NOT_NEEDED, VALUES, Place
from compete.config.load import check_config
from compete.config.plugins import load_plugins
from compete.config.registry import Registry
from compete.config.settings import CORE_TABLES
from compete.draft import default_output, write_toml
from compete.draft.findings import Section
from compete.draft.output import toml_text
from compete.errors import ConfigError, UserError
from compete.files.proposals import Choice
from compete.store import write_text
from compete.text import did_you_mean, format_list, plural
from compete.toml.slots import SLOTS

HEAD = "Converted by `compete init --from-ini` from {ini}. Each line says where it comes from."
ORDER = ("competition", "dataset", "folds", "images", "metric", "model", "loss", "optimizer", "scheduler", "training",
         "inference")  # fmt: skip
DEFAULTS: dict[tuple[str, str], tuple[object, str]] = {
    ("competition", "root"): ("data", "[competition] root: where is the data? The .ini does not say"),
    ("dataset", "name"): (
        "folder", "[dataset]: taken for folders named by label. `compete init DATA_FOLDER -o other.toml` finds out"
    ),
    ("metric", "name"): ("accuracy", "[metric] name: the .ini has none. Read how the competition is scored"),
    ("model", "name"): ("timm", "[model]: the .ini has no known one, so this is a ResNet-18 of timm"),
}  # fmt: skip


@dataclass
class _Converted:
    """The TOML's data, the entry that each key comes from, what is wrong, and what is left to do."""

    data: dict[str, dict[str, Any]] = field(default_factory=dict)
    origin: dict[tuple[str, str], Entry] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    todo: list[str] = field(default_factory=list)

    def put(self, table: str, key: str, value: object, entry: Entry) -> None:
        """Set a key, once."""
        other = self.origin.get((table, key))
        if other is not None and self.data[table][key] != value:
            same = f"sets [{table}] {key}, which {other.key} = {other.value} on line {other.line} sets already"
            if other.section == entry.section:
                self.problems.append(f"{entry.where}: {same}. Remove one")
            else:
                self.later(entry, same)
            return
        self.data.setdefault(table, {})[key] = value
        self.origin.setdefault((table, key), entry)

    def later(self, entry: Entry, text: str) -> None:
        """Leave an entry to the user."""
        self.todo.append(f"{entry.where}: {text}")


def first_toml(
    folder: Path | None, output: Path | None, plugins: Sequence[Path], ini: Path | None, timed: bool = True
) -> list[str]:
    """Write a TOML from a competition's folder or from an .ini, and return what to print; `timed` times a step."""
    if ini is not None:
        if folder is not None or plugins:
            raise UserError("--from-ini FILE converts a file: give no folder and no --plugin with it")
        return convert_ini(ini, output)
    if folder is None:
        raise UserError("name the folder of the competition's files: compete init FOLDER")
    return write_toml(folder, output, plugins, timed).lines


def convert_ini(ini: Path, output: Path | None = None) -> list[str]:
    """Write the TOML of an .ini, and return what to print. Raise `UserError` with every problem, and write nothing."""
    path = output or default_output(Path(ini.stem))
    if path.exists():
        raise UserError(f"{path} exists already. Name another file with -o, or remove it.")
    entries, problems = read_ini(ini)
    registry = load_plugins().registry
    found = _Converted(problems=problems)
    for entry in in_force(entries):
        _convert(entry, entries, found, registry)
    _finish(found, registry, ini)
    problems = found.problems or _refused(found)
    if problems:
        raise UserError([*sorted(problems, key=_line), f"{plural(len(problems), 'problem')}: {path} was not written"])
    write_text(path, toml_text(HEAD.format(ini=ini), found.todo, _sections(found)))
    taken = [f"{entry.where} -> [{table}] {key}" for (table, key), entry in found.origin.items()]
    todo = [f"TODO {item}" for item in found.todo]
    return [f"{path}: written", *taken, *todo, f"next: edit {path}, then compete run {path}"]


def _line(problem: str) -> int:
    number = problem.split(":")[1:2]
    return int(number[0]) if number and number[0].isdigit() else 0


def _convert(entry: Entry, entries: list[Entry], found: _Converted, registry: Registry) -> None:
    name = re.sub(r"[\s-]+", "_", entry.key)
    if name in ("name", "type") and entry.section.lower() in KEYS:  # [optimizer] name = adam
        name = entry.section.lower()
    place = KEYS.get(name)
    value, problem = expand(entry, entries)
    problem = problem or slip(value, place.kind if place else "str")
    if problem:
        found.problems.append(f"{entry.where}: {problem}")
    elif place is None:
        reason = NOT_NEEDED.get(name) or f"no such key in a TOML.{did_you_mean(name, KEYS)}"
        found.later(entry, f"{reason}; {TRUTH}" if value in FALSE_AS_TEXT else reason)
    elif place.kind in _READ:
        _READ[place.kind](place, value, entry, found, registry)
    elif value.lower() in VALUES[place.kind]:
        found.put(place.table, place.key, VALUES[place.kind][value.lower()], entry)
    else:
        known = VALUES[place.kind]
        near = did_you_mean(value, known)
        found.later(entry, f"unknown {place.kind}.{near} Known: {format_list(set(known.values()))}")


def _number(place: Place, value: str, entry: Entry, found: _Converted, _: Registry) -> None:
    found.put(place.table, place.key, int(value) if place.kind == "int" else float(value), entry)


def _text(place: Place, value: str, entry: Entry, found: _Converted, _: Registry) -> None:
    found.put(place.table, place.key, value, entry)


def _switch(place: Place, value: str, entry: Entry, found: _Converted, _: Registry) -> None:
    found.put(place.table, place.key, value.lower() in TRUE, entry)


def _size(place: Place, value: str, entry: Entry, found: _Converted, _: Registry) -> None:
    found.put(place.table, place.key, [int(value)] * 2, entry)


def _device(place: Place, value: str, entry: Entry, found: _Converted, _: Registry) -> None:
    words = {"cpu": "cpu", "cuda": "cuda", "gpu": "cuda", "cuda:0": "cuda", "auto": "auto", "mps": "mps"}
    if entry.key == "device" and value.lower() in words:
        found.put(place.table, place.key, words[value.lower()], entry)
    elif value.isdigit() or value.lower().startswith("cuda"):
        found.later(entry, "a GPU's number, or off? Write device = cpu or cuda; CUDA_VISIBLE_DEVICES chooses a GPU")
    elif problem := slip(value, "bool"):
        found.problems.append(f"{entry.where}: {problem}")
    else:
        found.put(place.table, place.key, "auto" if value.lower() in TRUE else "cpu", entry)


def _precision(place: Place, value: str, entry: Entry, found: _Converted, _: Registry) -> None:
    if problem := slip(value, "bool"):
        found.problems.append(f"{entry.where}: {problem}")
    else:
        found.put(place.table, place.key, "16-mixed" if value.lower() in TRUE else "32-true", entry)
        if value.lower() in TRUE:
            found.later(entry, '[training] precision = "16-mixed" needs a GPU; "auto" chooses')


def _model(_place: Place, value: str, entry: Entry, found: _Converted, registry: Registry) -> None:
    names = {name: component.traits.backbones for name, component in registry["models"].items()}
    offered = {name: backbones.names() for name, backbones in names.items() if backbones is not None}
    for model in ("torchvision", "timm"):  # old programs call torchvision's by these names
        if value.lower() in offered.get(model, ()):
            found.put("model", "name", model, entry)
            found.put("model", "backbone", value.lower(), entry)
            return
    if value.lower() in registry["models"]:
        found.put("model", "name", value.lower(), entry)
    else:
        known = {name for model in offered.values() for name in model}
        near = did_you_mean(value, known)
        found.later(entry, f'unknown model.{near} `compete models` lists them; your own: [model] name = "file"')


_READ = {"int": _number, "float": _number, "str": _text, "bool": _switch, "size": _size, "device": _device,
         "precision": _precision, "model": _model}  # fmt: skip


def _finish(found: _Converted, registry: Registry, ini: Path) -> None:
    """Bring what belongs together into the TOML's form, and add what it needs and the .ini does not say."""
    found.data.setdefault("competition", {})["name"] = default_output(Path(ini.stem)).stem
    _join_size(found)
    _join_folders(found)
    _join_folds(found)
    _join_schedule(found)
    for (table, key), (value, todo) in DEFAULTS.items():
        if key not in found.data.setdefault(table, {}):
            found.data[table][key] = value
            found.todo.append(todo)
    _leave_out_unknown_options(found, registry)


def _take(found: _Converted, table: str, key: str) -> tuple[Any, Entry | None]:
    return found.data.get(table, {}).pop(key, None), found.origin.pop((table, key), None)


def _join_size(found: _Converted) -> None:
    (height, of_height), (width, of_width) = (_take(found, "images", key) for key in ("height", "width"))
    entry = of_height or of_width
    if of_height and of_width:
        found.put("images", "size", [height, width], of_height)
    elif entry is not None:
        found.later(entry, "height and width come together: [images] size = [height, width]")


def _join_folders(found: _Converted) -> None:
    """Make `train` and `test` relative to the root, which is where both lie if the .ini does not say."""
    dataset, competition = found.data.get("dataset", {}), found.data.setdefault("competition", {})
    paths = {key: posixpath.normpath(value) for key, value in dataset.items()}
    if not paths:
        return
    if "root" not in competition:
        folders = [posixpath.dirname(path) or "." for path in paths.values()]
        mixed = len(set(map(posixpath.isabs, folders))) > 1
        competition["root"] = "." if mixed else posixpath.commonpath(folders) or "."
    root = posixpath.normpath(competition["root"])
    for key, path in paths.items():
        below = posixpath.relpath(path, root) if posixpath.isabs(path) == posixpath.isabs(root) else path
        dataset[key] = path if below.startswith("..") else below


def _join_folds(found: _Converted) -> None:
    share, entry = _take(found, "folds", "share")
    if entry is None:
        return
    if "n" in found.data.get("folds", {}):
        found.later(entry, f"with {found.data['folds']['n']} folds each validates its own share")
        return
    found.put("folds", "name", "holdout", entry)
    found.put("folds", "share", share, entry)


def _join_schedule(found: _Converted) -> None:
    """A rate that falls every so many epochs is one that falls after a share of all steps."""
    every, entry = _take(found, "scheduler", "every")
    scheduler, epochs = found.data.get("scheduler", {}), found.data.get("training", {}).get("epochs", 10)
    if entry is not None and 0 < every < epochs and scheduler.get("name", "step") == "step":
        found.put("scheduler", "name", "step", entry)
        found.put("scheduler", "every_share", round(every / epochs, 4), entry)
    elif entry is not None:
        found.later(entry, f"of {plural(epochs, 'epoch')}: no rate would fall by it; [scheduler] step has every_share")
    if scheduler.get("name") == "step" and "every_share" not in scheduler:
        _, of_name = _take(found, "scheduler", "name")
        if of_name is not None:
            found.later(of_name, "[scheduler] step needs every_share or milestones, shares of all steps")


def _leave_out_unknown_options(found: _Converted, registry: Registry) -> None:
    """Leave what the chosen component has no option for to the user."""
    for kind, slot in SLOTS.items():
        table = found.data.get(slot.table)
        if not table:
            continue
        name = str(table.get("name", slot.default))
        if name not in registry[kind]:
            continue
        for key in sorted(set(table) - {"name"} - registry[kind][name].option_names):
            _, entry = _take(found, slot.table, key)
            if entry is not None:
                found.later(entry, f"[{slot.table}] {name} has no option {key}")


def _refused(found: _Converted) -> list[str]:
    """Return what a TOML with these values would be refused for, at the .ini's lines."""
    try:
        check_config(found.data)
    except ConfigError as error:
        return [_at_line(problem, found.origin) for problem in error.problems]
    return []


def _at_line(problem: str, origin: Mapping[tuple[str, str], Entry]) -> str:
    place = problem.partition(":")[0]
    for (table, key), entry in origin.items():
        if place.startswith(f"[{table}] {key}"):
            return f"{entry.where}: {problem}"
    return problem


def _sections(found: _Converted) -> list[Section]:
    order = [*ORDER, *CORE_TABLES]
    tables = sorted((name for name, table in found.data.items() if table), key=order.index)
    return [
        Section(name, tuple(Choice(key, value, _why(found, name, key)) for key, value in _name_first(found.data[name])))
        for name in tables
    ]


def _name_first(table: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted(table.items(), key=lambda item: item[0] != "name")


def _why(found: _Converted, table: str, key: str) -> str:
    entry = found.origin.get((table, key))
    return f"line {entry.line}: {entry.key} = {entry.value}" if entry else ""
