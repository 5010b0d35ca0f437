"""The documentation is true: generated pages are fresh, links lead somewhere, examples run."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from compete.advice.facts import Facts, Weights
from compete.advice.models import CANDIDATES, Model
from compete.advice.recipe import recipe
from compete.config.load import load_config
from conftest import load_module

ROOT = Path(__file__).parents[1]
generate = load_module(ROOT / "docs/generate.py")
screenshots = load_module(ROOT / "docs/screenshots.py")
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
OVERRIDDEN = [
    line.removeprefix("$ compete run ").partition("  #")[0]
    for page in PAGES
    for line in page.read_text().splitlines()
    if line.startswith("$ compete run ") and "--set" in line
]


def test_the_modules_that_the_architecture_names_are_there():
    named = set(re.findall(r"`(\w+(?:/\w+)*\.py)`", (ROOT / "docs/architecture.md").read_text()))
    there = {name for name in named for base in ("core/compete", "core", ".") if (ROOT / base / name).exists()}
    assert len(named) > 20 and not named - there


WINNING = (ROOT / "docs/winning.md").read_text()
TROUBLE = (ROOT / "docs/troubleshooting.md").read_text()


@pytest.mark.parametrize("override", sorted(set(re.findall(r"--set \"?([^`\" ]+)", TROUBLE))))
def test_every_override_in_troubleshooting_works(override):
    load_config(ROOT / "competitions/mask.toml", [override])


@pytest.mark.parametrize("name", generate.PAGES)
def test_generated_pages_are_fresh(name):
    assert (ROOT / "docs" / name).read_text() == generate.PAGES[name](), "run `make docs`"


def test_the_tables_of_transfer_learning_are_those_of_the_measurements():
    page = (ROOT / "docs/transfer-learning.md").read_text()
    assert load_module(ROOT / "bench/transfer.py").tables() in page, "run `python bench/transfer.py tables`"


def test_the_tables_of_winning_are_those_of_the_measurements(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "bench")
    winning = load_module(ROOT / "bench/winning.py")
    assert winning.tables() in WINNING, "run `python bench/winning.py tables`"
    assert winning.verdict(pd.Series([0.1, 0.2]), pd.Series([0.1, 0.3])) == "better"
    assert winning.verdict(pd.Series([0.1, 0.2]), pd.Series([0.1, -0.3])) == "not shown"


def test_the_recipe_of_winning_is_what_init_writes():
    (said,) = re.findall(r"```toml\n(.*?)```", WINNING, re.S)
    facts = Facts(rows=1_695, kind="label", metric="macro_f1", side=96, counts={"a": 1_395, "b": 239, "c": 61})
    written = list(recipe(facts, Model(CANDIDATES[0], Weights(CANDIDATES[0].backbone, "cache"), 96)))
    for table, value in tomllib.loads(said).items():
        entries = [{key.name: key.value for key in s.keys} for s in written if s.table == table]
        assert entries == (value if isinstance(value, list) else [value])


@pytest.mark.parametrize("line", sorted(set(re.findall(r"`(--set '[^`]+')`", WINNING))))
def test_every_technique_that_was_measured_can_be_said(line, tmp_path, monkeypatch):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/squeezenet1_1.safetensors").write_bytes(b"read by a run only")
    monkeypatch.chdir(tmp_path)
    load_config(ROOT / "competitions/mask.toml", re.findall(r"--set '([^']+)'", line))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_to_files(page):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert not [link for link in links if not (page.parent / link).exists()]


def test_the_readme_is_one_screen_for_three_readers():
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) <= 66
    assert all(len(block.splitlines()) == 2 for block in re.findall(r"```console\n(.*?)```", readme, re.S))
    assert re.findall(r"^\*\*You (have|enter|write)\b", readme, re.M) == ["have", "enter", "write"]
    assert all(line in readme for line in ("make run", "make test", "pip install -e ."))


def test_every_page_is_in_the_index():
    index = (ROOT / "docs/README.md").read_text()
    assert not [
        page.name for page in (ROOT / "docs").glob("*.md") if f"({page.name})" not in index and page.name != "README.md"
    ]


def test_every_path_in_the_tree_is_there():
    tree = re.search(r"```text\ncompete/\n(.*?)```", (ROOT / "docs/architecture.md").read_text(), re.S)
    assert tree
    folders: list[str] = []
    core = ROOT / "core/compete"
    assert all(f"    {path.parent.name}/ " in tree[1] for path in core.glob("*/__init__.py")), "a folder has no caption"
    for line in tree[1].splitlines():
        indent, name = re.match(r"( *)(\S+)", line).groups()
        folders[len(indent) // 2 - 1 :] = [name]
        path = ROOT.joinpath(*(part.rstrip("/") for part in folders))
        assert path.exists(), path


@pytest.mark.parametrize("line", OVERRIDDEN)
def test_every_override_shown_is_one_that_works(line, monkeypatch):
    monkeypatch.chdir(ROOT)
    file, *arguments = shlex.split(line)
    assert arguments[::2] == ["--set"] * (len(arguments) // 2)
    load_config(Path(file), arguments[1::2])


def test_there_are_overrides_to_try():
    assert len(OVERRIDDEN) >= 3


def test_the_image_of_a_run_shows_its_last_screen_with_a_line_to_spare():
    moving = "fold0 epoch 1\x1b[2Kfold0 epoch 2\x1b[2K"
    log = f"Script started\n{moving}fold0 0.5\n──── Mask  run-001 ────\nCV \x1b[32m0.5\x1b[0m\n  next\n\nScript done\n"
    screen = screenshots.last_screen(log.replace("\n", "\r\n"))
    assert screen == "──── Mask  run-001 ────\nCV \x1b[32m0.5\x1b[0m\n  next"
    drawing = screenshots.terminal(screen)
    assert "run-001" in drawing
    assert len(re.findall(r'id="[^"]*-line-\d+"', drawing)) == 3  # rich draws a box for each line but the last


@pytest.mark.parametrize("task", ["folders", "csv", "groups"])
def test_the_first_hour_counts_the_lines_of_its_scripts(task):
    page = (ROOT / "docs/first-hour.md").read_text()
    tools = ["compete", "fastai", "ultralytics", "autogluon"]
    assert "| lines to write | compete | fastai | Ultralytics | AutoGluon |" in page
    counts = []
    for tool in tools:
        (script,) = (ROOT / "bench/first_hour").glob(f"{task}_{tool}.*")
        lines = [line for line in script.read_text().splitlines() if line.strip() and not line.startswith("#")]
        assert all(len(line) <= 120 for line in lines)
        counts.append(len(lines))
    assert f"\n| {task} | {' | '.join(map(str, counts))} |\n" in page
