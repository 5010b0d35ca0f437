"""docs/first-plugin.md, done by the letter: one file used at once, then an installed package."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from compete.config.plugins import load_plugins
from compete.config.registry import find

PAGE = Path(__file__).parents[1] / "docs/first-plugin.md"
# What the page's run is cut down to; a class of so few people is in some folds only.
SMALL = [f"--set={value}" for value in ("training.epochs=1", "folds.n=2", "checks.missing_class=warn", "model.width=1")]


def block(marker: str) -> str:
    found = re.search(rf"<!-- {re.escape(marker)} -->\n```\w+\n(.*?)```", PAGE.read_text(), re.S)
    assert found, f"{PAGE} has no block marked {marker}"
    return found[1]


def compete(*arguments: str, path: Path | None = None) -> str:
    code = "from compete.cli import main; main()"
    if path:  # what `pip install --target` wrote
        code = f"import sys; sys.path.insert(0, {str(path)!r}); {code}"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's `my.toml`, in a folder with a few people drawn: the working directory."""
    monkeypatch.chdir(tmp_path)
    draw = find(load_plugins().registry, "demos", "mask").factory
    draw(Path("data/mask"), people=12, test_people=6, size=(24, 32))
    text = (PAGE.parents[1] / "competitions/mask.toml").read_text()
    path = tmp_path / "my.toml"
    path.write_text(block("toml: first line") + re.sub(r"\[loss\]\n(.+\n)+", block("toml: loss"), text))
    return path


def test_one_file(tmp_path, toml):
    (tmp_path / "my_loss.py").write_text(block("file: my_loss.py"))
    commands = [shlex.split(line.removeprefix("$ compete "), comments=True) for line in block("console").splitlines()]
    shown = {command[0]: compete(*command, *(SMALL if command[0] == "run" else ())) for command in commands}
    assert re.search(r"my_loss.py +my_loss.py +register_losses", shown["plugins"])
    assert "share: number, 0 < x <= 1 = 0.5" in shown["options"]
    assert "my.toml: no problem found" in shown["validate"]
    assert (tmp_path / "submissions/mask/run-001/submission.csv").exists()


def test_a_package(tmp_path, toml):
    package = tmp_path / "hard-rows"
    package.mkdir()
    (package / "hard_rows.py").write_text(block("file: my_loss.py"))
    (package / "pyproject.toml").write_text(block("file: pyproject.toml"))
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(package)]
    subprocess.run(install, check=True, capture_output=True)
    toml.write_text(toml.read_text().removeprefix(block("toml: first line")))
    assert re.search(r"hard_rows +package hard-rows +register_losses", compete("plugins", path=site))
    compete("validate", "my.toml", path=site)
