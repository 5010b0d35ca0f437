"""Plugins are found, and errors in them name the plugin."""

from __future__ import annotations

from pathlib import Path

import pytest

from compete.config.plugins import load_plugins
from compete.errors import PluginError

GOOD = """
from compete import hookimpl

def half(targets, *, share: float = 0.5):
    "Half a loss."
    return lambda logits, targets: logits.sum() * share

@hookimpl
def register_losses():
    return {"half": half}
"""


def load(tmp_path: Path, text: str, name: str = "mine.py"):
    file = tmp_path / name
    file.write_text(text)
    return load_plugins([file])


def test_a_local_file_is_a_plugin(tmp_path):
    plugins = load(tmp_path, GOOD)
    assert plugins.registry["losses"]["half"].owner == "mine.py"
    assert plugins.loaded[-1].hooks == ("register_losses",)


def test_managers_share_nothing(tmp_path):
    load(tmp_path, GOOD)
    assert "half" not in load_plugins().registry["losses"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            GOOD.replace("register_losses", "register_loses"),
            r"unknown hook 'register_loses'\. Did you mean 'register_losses'",
        ),
        (GOOD.replace("@hookimpl", ""), r"mine.py .* implements no hook. Mark its hook functions"),
        (GOOD.replace('"half": half', '"focal": half'), "two plugins register the losses component 'focal'.*mine.py"),
        (GOOD.replace('{"half": half}', "[half]"), "register_losses must return a dict"),
        (GOOD.replace('"half": half', '"half": 3'), "losses component 'half': 3 is not a function or a class"),
        (GOOD.replace('return {"half"', '1 / 0; return {"half"'), "mine.py: register_losses raised ZeroDivisionError"),
        (GOOD.replace("register_losses()", "register_losses(run)"), r"mine.py .*run"),
        ("import not_there", r"mine.py .*could not be imported: ModuleNotFoundError.*mine.py:1"),
        ("def broken(:", r"mine.py .* is not valid Python: .*mine.py:1"),
        ("import sys\nsys.exit(0)", r"mine.py .*could not be imported: SystemExit\(0\) at .*mine.py:2"),
        ("raise SystemExit", r"mine.py .*could not be imported: SystemExit\(\) at .*mine.py:1"),
        (
            GOOD.replace('return {"half"', 'exit(); return {"half"'),
            r"register_losses raised SystemExit.* at .*mine.py:10",
        ),
    ],
)
def test_errors_name_the_plugin(tmp_path, text, message):
    with pytest.raises(PluginError, match=message):
        load(tmp_path, text)


def test_two_files_of_one_name_are_an_error(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for folder in "ab":
        (tmp_path / folder / "mine.py").write_text(GOOD)
    with pytest.raises(PluginError, match=r"two plugins are named mine.py: .*a/mine.py and .*b/mine.py"):
        load_plugins([tmp_path / "a/mine.py", tmp_path / "b/mine.py"])


def test_an_installed_package_is_found_by_its_entry_point(tmp_path, monkeypatch):
    info = tmp_path / "toy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[compete]\ntoy = toy_losses\n")
    (tmp_path / "toy_losses.py").write_text(GOOD)
    monkeypatch.syspath_prepend(tmp_path)
    plugins = load_plugins()
    assert plugins.registry["losses"]["half"].owner == "toy"
    assert ("toy", "package toy") in [(p.name, p.source) for p in plugins.loaded]
