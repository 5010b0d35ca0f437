"""The documentation is true: generated pages are fresh, links lead somewhere, examples run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conftest import load_module

ROOT = Path(__file__).parents[1]
generate = load_module(ROOT / "docs/generate.py")
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


@pytest.mark.parametrize("name", generate.PAGES)
def test_generated_pages_are_fresh(name):
    assert (ROOT / "docs" / name).read_text() == generate.PAGES[name](), "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_to_files(page):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert not [link for link in links if not (page.parent / link).exists()]


def test_every_path_in_the_readme_s_tree_is_there():
    tree = re.search(r"```text\ncompete/\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert tree
    folders: list[str] = []
    for line in tree[1].splitlines():
        indent, name = re.match(r"( *)(\S+)", line).groups()
        folders[len(indent) // 2 - 1 :] = [name]
        path = ROOT.joinpath(*(part.rstrip("/") for part in folders))
        assert path.exists(), path
