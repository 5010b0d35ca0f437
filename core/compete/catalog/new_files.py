"""Write a file to start from: a copy of a gallery TOML, or a plugin of any kind with its test."""

from __future__ import annotations

import inspect
import keyword
import textwrap
from importlib.resources import files
from pathlib import Path

from compete import hookspecs
from compete.config.registry import PREFIX, kinds, singular
from compete.errors import UserError
from compete.store import write_text
from compete.text import format_first, unknown_name
from compete.toml.gallery import gallery, recipes
from compete.toml.slots import SLOTS

NAME = "my_component"  # in the templates
DIVIDER = "# --- test ---\n"

PLUGIN = '''\
"""{title}

{contract}
"""

{imports}

{component}

@hookimpl
def {hook}():
    """Offer the component by its name in the TOML."""
    return {{"{name}": {name}}}
'''


def explanation() -> list[str]:
    """Return what `compete new` can write."""
    return [
        "compete new NAME [FILE]           copy a competition's TOML to edit; `compete competitions` lists them",
        "compete new --plugin KIND [FILE]  write a plugin with its test",
        f"kinds: {format_first([singular(kind) for kind in kinds()], most=40)}",
        "For data of your own: compete init FOLDER",
    ]


def copy_toml(name: str, file: Path | None) -> list[str]:
    """Copy a TOML of the gallery or a recipe, and return the next steps."""
    shipped = gallery() | recipes()
    name = name.removesuffix(".toml")
    if name not in shipped:
        raise UserError(unknown_name("competition", name, shipped) + " For data of your own: compete init FOLDER")
    file = _with_suffix(file or Path(f"{Path(name).name}.toml"), ".toml")
    _refuse_existing(file)
    write_text(file, shipped[name].read_text("utf-8"))
    return [f"{file}: a copy of the gallery's {name}", f"next: edit it, then compete run {file}"]


def write_plugin(given: str, file: Path | None) -> list[str]:
    """Write a plugin of a kind and its test, and return the next steps."""
    kind = kind_of(given)
    file = _with_suffix(file or Path(f"my_{singular(kind)}.py"), ".py")
    name, test = file.stem, file.with_name(f"test_{file.name}")
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UserError(f"{file}: its test imports it, so the name must be a Python name, such as my_{singular(kind)}")
    _refuse_existing(file, test)
    component, _, tests = _template(kind).replace(NAME, name).partition(DIVIDER)
    write_text(file, _plugin_text(kind, name, component))
    write_text(test, f'"""Test of {file.name}: python -m pytest {test}."""\n\n{tests}')
    return [
        f"{file}: a {singular(kind).replace('_', ' ')} that works, to edit",
        f"{test}: its test. Run it: python -m pytest {test}",
        _next_step(kind, name, file),
    ]


def kind_of(given: str) -> str:
    """Return the kind that is meant by its name, the name of one, or its table: losses, loss, [loss]."""
    word = given.strip("[]")
    spellings = {**{singular(kind): kind for kind in kinds()}, **{slot.table: kind for kind, slot in SLOTS.items()}}
    kind = word if word in kinds() else spellings.get(word)
    if kind is None:
        raise UserError(unknown_name("kind of plugin", given, [singular(kind) for kind in kinds()]))
    return kind


def _template(kind: str) -> str:
    return (files("compete.catalog") / "templates" / f"{kind}.txt").read_text("utf-8")


def _plugin_text(kind: str, name: str, component: str) -> str:
    """Return a plugin's text: the hook's contract, the template's component, and its registration."""
    hook = PREFIX + kind
    first, _, rest = (inspect.getdoc(getattr(hookspecs, hook)) or "").partition("\n")
    what, _, contract = first.partition(": ")
    imports, _, body = component.partition("\n\n\n")
    return PLUGIN.format(
        title=f"{what}: {name}.",
        contract="\n".join([*textwrap.wrap(f"The contract: {contract}", 100), rest]).rstrip(),
        imports=imports,
        component="\n" + body,
        hook=hook,
        name=name,
    )


def _next_step(kind: str, name: str, file: Path) -> str:
    """Return how a TOML, or a command, uses the plugin."""
    if kind == "demos":
        return f"next: compete demo {name} data/{name} --plugin {file}"
    listed = f'plugins = ["{file}"] at the top of a TOML'
    if kind == "readers":
        return f'next: {listed}, and reader = "{name}" in [images]'
    table = SLOTS[kind].table
    return f'next: {listed}, and name = "{name}" in {f"[[{table}]]" if SLOTS[kind].repeats else f"[{table}]"}'


def _with_suffix(file: Path, suffix: str) -> Path:
    return file if file.suffix == suffix else file.with_name(file.name + suffix)


def _refuse_existing(*paths: Path) -> None:
    for path in paths:
        if path.exists():
            raise UserError(f"{path} is there already, and is kept. Name another file.")
