"""The house rules that a machine can check."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from compete.config.plugins import BUNDLED

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core/compete"
PLUGINS = ROOT / "plugins/compete_plugins"
SOURCES = sorted([*CORE.rglob("*.py"), *PLUGINS.rglob("*.py")])

# Data goes one way: a module may import only from those in lines above its own.
LAYERS = [
    "errors",
    "types",
    "topk",
    "hookspecs leaderboard.platform",
    "registry typetext",
    "plugins options",
    "settings tomlfile templates slots",
    "config store archives unpacking",
    "files",
    "columns imagecache images runs losses loaders network device inference memory finite submission postprocessing tables",
    "foldfile runfolder prediction trainer runlog",
    "rehearsal rowchecks",
    "preparation checkpoints",
    "training checking",
    "members",
    "blending",
    "finishing",
    "runner listing",
    "leaderboard.records leaderboard.limits leaderboard.retry",
    "leaderboard.rows",
    "leaderboard.ledger",
    "leaderboard.creating leaderboard.standings",
    "leaderboard.submitting leaderboard.setup leaderboard.download",
    "leaderboard.flow",
    "leaderboard.commands",
    "cli",
]


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.split(".")[0] in ("compete", "compete_plugins")}


def runtime_imports(path: Path) -> set[str]:
    """Imports that happen: not those for type checkers only."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    found = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module and n.level == 0}
    return {name for name in found if name.startswith("compete")}


@pytest.mark.parametrize("path", sorted(PLUGINS.rglob("*.py")), ids=lambda p: str(p.relative_to(PLUGINS)))
def test_bundled_plugins_import_only_what_any_plugin_may(path):
    assert imports(path) <= {"compete"}


@pytest.mark.parametrize("path", sorted(CORE.rglob("*.py")), ids=lambda p: str(p.relative_to(CORE)))
def test_core_imports_no_plugin_and_nothing_above_it(path):
    level = {name: number for number, line in enumerate(LAYERS) for name in line.split()}
    for module in runtime_imports(path):
        assert not module.startswith("compete_plugins")
        name, own = module.removeprefix("compete."), ".".join(path.relative_to(CORE).with_suffix("").parts)
        if own in level and name in level:
            assert level[name] <= level[own], f"{path.name} imports {module}, which stands above it"


def test_every_core_module_has_its_layer():
    placed = {name for line in LAYERS for name in line.split()}
    modules = {".".join(p.relative_to(CORE).with_suffix("").parts) for p in CORE.rglob("*.py") if "init" not in p.parts}
    assert {m for m in modules if not m.endswith("__init__")} == placed


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.name)
def test_a_file_has_one_subject_and_short_functions(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            doc = ast.get_docstring(node, clean=False) or ""
            assert node.end_lineno - node.lineno + 1 - len(doc.splitlines()) <= 60, node.name


def test_bundled_plugins_are_all_there_and_named_as_strings_only():
    on_disk = {f"compete_plugins.{p.stem}" for p in PLUGINS.iterdir() if not p.name.startswith(("_", "py."))}
    assert on_disk == set(BUNDLED)


def test_help_answers_at_once_and_without_torch():
    code = "import sys, compete.cli; print([m for m in ('torch', 'pandas', 'kaggle') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_machine_path_is_in_the_project():
    pattern = re.compile(r"/work/|/root/|/home/\w")
    tracked = [p for d in ("core", "plugins", "competitions", "docs", "bench") for p in (ROOT / d).rglob("*")]
    texts = [p for p in tracked if p.suffix in {".py", ".md", ".toml", ".j2"}]
    assert not [p for p in texts if pattern.search(p.read_text())]
