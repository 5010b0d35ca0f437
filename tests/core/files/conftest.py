"""What the tests of files share: a root, and a `Files` with its cache beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from compete.files.root import Files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def files(root: Path, tmp_path: Path) -> Files:
    return Files(root, tmp_path / "cache")


@pytest.fixture
def listed(files: Files, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that `files` was asked to list."""
    asked: list[str] = []
    real: Callable[[str], list[str]] = files.list

    def ask(folder: str) -> list[str]:
        asked.append(folder)
        return real(folder)

    monkeypatch.setattr(files, "list", ask)
    return asked
