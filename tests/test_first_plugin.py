"""docs/first-plugin.md, done by the letter: one file used at once, then an installed package."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs/first-plugin.md"


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
def toml(tiny: Path) -> Path:
    path = tiny / "tiny.toml"
    plugins, _, loss = block("toml").partition("\n")
    names = plugins.removesuffix("]") + ', "tiny_plugin.py"]'
    path.write_text(path.read_text().replace('plugins = ["tiny_plugin.py"]', names) + loss)
    return path


def test_one_file(tiny, toml):
    (tiny / "my_loss.py").write_text(block("file: my_loss.py"))
    assert re.search(r"my_loss.py +my_loss.py +register_losses", compete("plugins", str(toml)))
    assert "share: number, 0 < x <= 1 = 0.5" in compete("options", "loss", "hard_rows", "--file", str(toml))
    compete("run", str(toml))
    assert (tiny / "submissions/tiny/run-001/submission.csv").exists()


def test_a_package(tiny, toml):
    package = tiny / "hard-rows"
    package.mkdir()
    (package / "hard_rows.py").write_text(block("file: my_loss.py"))
    (package / "pyproject.toml").write_text(block("file: pyproject.toml"))
    site = tiny / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(package)]
    subprocess.run(install, check=True, capture_output=True)
    toml.write_text(toml.read_text().replace('"my_loss.py", ', ""))
    assert re.search(r"hard_rows +package hard-rows +register_losses", compete("plugins", path=site))
    compete("validate", str(toml), path=site)
