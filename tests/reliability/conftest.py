"""What the reliability tests share: the command line as a user meets it, a small disk, and the page with the results.

Tests say with `@pytest.mark.promise("row of the page")` what they prove; each case counts once, or as often as it tells
the fixture `count`. `COMPETE_RELIABILITY=docs/reliability.md pytest tests/reliability` writes the page, and
`COMPETE_THOROUGH=20` makes every random test that many times longer.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

COMPETE = (sys.executable, "-c", "from compete.cli import main; main()")
THOROUGH = int(os.environ.get("COMPETE_THOROUGH", "1"))
NAMES = {"passed": "held", "failed": "BROKEN", "skipped": "not tried here"}


class Page:
    """Collects how often each promise was tried, and writes the page at the end."""

    def __init__(self) -> None:
        self.tried: dict[str, Counter[str]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
        report = yield
        marker = item.get_closest_marker("promise")
        if marker and (report.when == "call" or report.outcome != "passed"):
            counted = dict(item.user_properties).get("count", 1) if report.outcome == "passed" else 1
            self.tried.setdefault(marker.args[0], Counter())[report.outcome] += counted
        return report

    def pytest_sessionfinish(self) -> None:
        path = os.environ.get("COMPETE_RELIABILITY")
        if path and self.tried:
            intro = Path(__file__).with_name("page.md").read_text()
            where = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
            Path(path).write_text("\n".join([intro.replace("{where}", where), *self._rows(), ""]))

    def _rows(self) -> Iterator[str]:
        yield "| promise | n | result |"
        yield "|---|---|---|"
        for promise, outcomes in self.tried.items():
            result = ", ".join(f"{NAMES[name]} {times}" for name, times in outcomes.items())
            yield f"| {promise} | {outcomes.total()} | {result if len(outcomes) > 1 else NAMES[min(outcomes)]} |"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "promise(text): a row of docs/reliability.md that this test proves")
    config.pluginmanager.register(Page())


@pytest.fixture
def count(request: pytest.FixtureRequest) -> Callable[[int], None]:
    """Tell how many cases this test tried."""
    return lambda n: request.node.user_properties.append(("count", n))


@pytest.fixture
def thorough() -> int:
    """How many times longer than usual the random tests are to be."""
    return THOROUGH


@pytest.fixture
def compete() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line and check that it shows no traceback."""

    def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([*COMPETE, *arguments], capture_output=True, text=True, timeout=300, **options)
        assert "Traceback" not in done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str, str], Path]]:
    """Mount a small tmpfs over a folder: `mounted("disk", "size=1m")`; `remount(options)` goes through it as well."""
    folders: list[Path] = []

    def mount(name: str, options: str) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        again = "remount," if folder in folders else ""
        command = ["mount", "-t", "tmpfs", "-o", again + options, "tmpfs", str(folder)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("a small disk can only be mounted by root, where mounting is allowed")
        if not again:
            folders.append(folder)
        return folder

    yield mount
    for folder in folders:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
