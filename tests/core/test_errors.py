"""The tree of errors in the docstring, and where an error is raised."""

from __future__ import annotations

import re

import pytest

import compete.budget.watch
import compete.leaderboard.platform
import compete.search.trials  # noqa: F401 - their errors belong to the tree
from compete import errors
from compete.errors import is_library


def tree(kind: type) -> list[tuple[str, str]]:
    """Return the classes of `compete` below one, each with the name of its parent."""
    below = [child for child in kind.__subclasses__() if child.__module__.startswith("compete.")]
    return [pair for child in below for pair in [(child.__name__, kind.__name__), *tree(child)]]


def test_the_docstring_shows_every_error_below_its_parent():
    shown, parents = [], {}
    for indent, name in re.findall(r"^( *)(?:[x-] )?(\w+Error)  ", errors.__doc__, re.MULTILINE):
        parents[len(indent)] = name
        shown.append((name, parents.get(len(indent) - 2)))
    assert sorted(shown, key=str) == sorted([("CompeteError", None), *tree(errors.CompeteError)], key=str)


def test_the_location_of_an_error_is_outside_the_libraries():
    try:
        re.compile("(")
    except re.error as error:
        assert errors.error_location(error).startswith(f"{__file__}:")


@pytest.mark.parametrize(
    "file",
    [
        "/home/me/.local/lib/python3.12/site-packages/torch/nn/functional.py",  # pip install --user
        "/usr/lib/python3/dist-packages/numpy/core.py",  # of the distribution
        "/opt/other-venv/lib/python3.12/site-packages/timm/models.py",  # through a .pth
    ],
)
def test_a_package_of_any_environment_is_a_library(file):
    assert is_library(file)
    assert not is_library(file.replace("site-packages", "src").replace("dist-packages", "src"))
