"""The house rules that a machine can check."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from compete.config.plugins import BUNDLED
from conftest import load_module

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core/compete"
PLUGINS = ROOT / "plugins/compete_plugins"
SOURCES = sorted([*CORE.rglob("*.py"), *PLUGINS.rglob("*.py")])

# Data goes one way: a part may import only from those before it, in the order that docs/architecture.md states.
drawing = load_module(ROOT / "docs/draw_architecture.py")
LEVEL = {part: number for number, parts in enumerate(drawing.order()) for part in parts}
MODULES, ARROWS = drawing.modules(), drawing.arrows()
MOST_FILES = 12


def imports(path: Path) -> set[str]:
    return {name for name in drawing.imports(path) if name.split(".")[0] in ("compete", "compete_plugins")}


@pytest.mark.parametrize("path", sorted(PLUGINS.rglob("*.py")), ids=lambda p: str(p.relative_to(PLUGINS)))
def test_bundled_plugins_import_only_what_any_plugin_may(path):
    assert imports(path) <= {"compete"}


def test_core_imports_no_plugin_and_nothing_above_it():
    wrong = []
    for module, path in MODULES.items():
        assert not any(name.startswith("compete_plugins") for name in imports(path)), module
        for other in ARROWS[module]:
            own, used = module.split(".")[0], other.split(".")[0]
            if own != used and LEVEL[own] <= LEVEL[used]:
                wrong.append(f"{module} imports {other}")
    assert not wrong


def test_no_modules_import_each_other_in_a_circle():
    left = dict(ARROWS)
    while free := [module for module, used in left.items() if not used & set(left)]:
        for module in free:
            del left[module]
    assert not left


def test_every_part_of_the_core_has_its_place_in_the_order():
    assert {module.split(".")[0] for module in MODULES} == set(LEVEL)


def test_the_picture_is_drawn_from_these_imports():
    assert (ROOT / "docs/architecture.svg").read_text() == drawing.draw(), "run `make docs`"


def test_a_longer_way_implies_an_arrow():
    graph = {"cli": {"run", "data", "text"}, "run": {"data"}, "data": {"text"}, "text": set()}
    assert drawing.reduced(graph) == {"cli": {"run"}, "run": {"data"}, "data": {"text"}, "text": set()}


def test_no_folder_of_the_core_is_crowded():
    folders = [CORE, *(path for path in CORE.rglob("*") if path.is_dir() and path.name != "__pycache__")]
    assert not {folder.name: n for folder in folders if (n := len(list(folder.glob("*.py")))) > MOST_FILES}


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


def test_what_results_depend_on_is_hashed_in_one_file():
    """Others may name a temporary place by a digest, or check bytes that were written or fetched; none sums up settings or data."""
    hashing = {module for module, path in MODULES.items() if re.search(r"\bhashlib\b", path.read_text())}
    assert hashing == {"identity", "files.places.tars", "files.unpacking", "submission.csv_file"}


UNSAFE = {"eval", "pickle.load", "pickle.loads", "pickle.Unpickler", "yaml.load", "marshal.loads", "pd.read_pickle", "joblib.load", "torch.hub.load"}  # fmt: skip


def test_no_file_can_run_code_when_it_is_read():
    """A TOML, weights, tables and images come from strangers: torch loads tensors only, NumPy no objects."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name, options = ast.unparse(node.func), {o.arg: ast.unparse(o.value) for o in node.keywords}
                assert name not in UNSAFE, f"{path}:{node.lineno}"
                assert name != "torch.load" or options.get("weights_only") == "True", f"{path}:{node.lineno}"
                assert options.get("allow_pickle", "False") == "False", f"{path}:{node.lineno}"
