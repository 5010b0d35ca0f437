"""What the reliability tests share: the command line as a user meets it, a small disk, and the page with the results.

Tests say with `@pytest.mark.promise("row of the page")` what they prove; each case counts once, or as often as it tells
the fixture `count`. `COMPETE_RELIABILITY=docs/reliability.md pytest tests/reliability` writes the page, and
`COMPETE_THOROUGH=20` makes every random test that many times longer.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

PATIENCE_SECONDS = 240  # far more than anything takes, however busy the machine
THOROUGH = int(os.environ.get("COMPETE_THOROUGH", "1"))
NAMES = {"passed": "held", "failed": "BROKEN", "skipped": "not tried here"}


@dataclass
class Row:
    """A promise: how many cases held, broke or could not be tried here, and the slowest of those that were timed."""

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0

    def add(self, outcome: str, count: int = 1, slowest: float = 0.0) -> None:
        self.outcomes[outcome] += count
        self.slowest = max(slowest, self.slowest)

    def result(self) -> str:
        parts = [f"{NAMES[name]} {times:,}" for name, times in self.outcomes.items()]
        result = ", ".join(parts) if len(parts) > 1 else NAMES[min(self.outcomes)]
        return f"{result}; the slowest took {self.slowest:.1g} s" if self.slowest else result


class Page:
    """Collects how often each promise was tried, and writes the page at the end."""

    def __init__(self) -> None:
        self.rows: dict[tuple[Path, str], dict[str, Row]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
        report = yield
        marker = item.get_closest_marker("promise")
        if marker and (report.when == "call" or report.outcome != "passed"):
            told = dict(item.user_properties) if report.outcome == "passed" else {}
            part = self.rows.setdefault((item.path, item.module.__doc__.split("\n\n")[0]), {})
            part.setdefault(marker.args[0], Row()).add(report.outcome, **told)
        return report

    def pytest_sessionfinish(self) -> None:
        path = os.environ.get("COMPETE_RELIABILITY")
        if path and self.rows:
            text = Path(__file__).with_name("page.md").read_text()
            where = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, COMPETE_THOROUGH={THOROUGH}"
            Path(path).write_text(text.replace("{where}", where).replace("{tables}", "\n".join(self._tables()).strip()))

    def _tables(self) -> Iterator[str]:
        for (file, title), rows in self.rows.items():
            yield f"\n### {title}\n"
            yield f"In [{file.name}](../tests/reliability/{file.name}).\n"
            yield "| promise | n | result |"
            yield "|---|---|---|"
            for promise, row in rows.items():
                yield f"| {promise} | {row.outcomes.total():,} | {row.result()} |"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "promise(text): a row of docs/reliability.md that this test proves")
    config.pluginmanager.register(Page())


@pytest.fixture
def count(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Tell how many cases this test tried, and how many seconds of the processor the slowest took, for the page."""

    def count(n: int, slowest: float | None = None) -> None:
        told = {"count": n} if slowest is None else {"count": n, "slowest": slowest}
        request.node.user_properties.extend(told.items())

    return count


@pytest.fixture
def thorough() -> int:
    """How many times longer than usual the random tests are to be."""
    return THOROUGH


@pytest.fixture
def fuzz(thorough: int) -> Callable[[int], settings]:
    """Return the settings of a random test of so many examples: other ones each time where it is to be thorough."""

    def of(examples: int) -> settings:
        return settings(
            max_examples=examples * thorough,
            deadline=None,
            derandomize=thorough == 1,
            database=None,
            suppress_health_check=list(HealthCheck),
        )

    return of


@pytest.fixture(scope="session")
def children() -> Iterator[multiprocessing.context.ForkServerContext]:
    """Where child processes come from that have everything imported; their functions are in children.py."""
    here = str(Path(__file__).parent)
    paths = os.environ.get("PYTHONPATH", "")
    # The server imports by name what it is to preload, and learns of no path but these.
    os.environ["PYTHONPATH"] = os.pathsep.join([here, *filter(None, [paths])])
    sys.path.insert(0, here)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["children"])
    yield context
    sys.path.remove(here)
    os.environ["PYTHONPATH"] = paths


@dataclass
class Command:
    """A command under way in a child process."""

    process: multiprocessing.process.BaseProcess
    output: Path

    @property
    def text(self) -> str:
        """Everything it wrote so far, stdout and stderr together."""
        return self.output.read_text() if self.output.exists() else ""

    def wait_for(self, text: str) -> None:
        """Wait until it has written this."""
        end = time.monotonic() + PATIENCE_SECONDS
        while text not in self.text:
            assert self.process.is_alive(), f"it ended without '{text}':\n{self.text}"
            assert time.monotonic() < end, f"it never wrote '{text}':\n{self.text}"
            time.sleep(0.01)

    def end(self) -> int:
        """Wait for its end and return its exit status; a traceback is never right."""
        self.process.join(PATIENCE_SECONDS)
        assert self.process.exitcode is not None, f"it does not end:\n{self.text}"
        assert "Traceback" not in self.text, self.text
        return self.process.exitcode


@pytest.fixture
def start(children, tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """Start a command of the command line in the working directory: `start("run", "tiny.toml", limits={}, env={})`."""
    from children import command

    started: list[Command] = []

    def start(*arguments: str, limits: dict[int, int] | None = None, env: dict[str, str] | None = None) -> Command:
        output = tmp_path / f"output{len(started)}.txt"
        process = children.Process(target=command, args=(os.getcwd(), str(output), arguments, limits or {}, env or {}))
        process.start()
        started.append(Command(process, output))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.join()


@pytest.fixture
def compete(start) -> Callable[..., tuple[int, str]]:
    """Run a command to its end; return its exit status and what it wrote."""

    def run(*arguments: str, **options: dict) -> tuple[int, str]:
        command = start(*arguments, **options)
        return command.end(), command.text

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
