"""What the tests share: a tiny competition in a folder of its own, and its TOML."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings

settings.register_profile("compete", deadline=None)  # torch's first call takes longer than any deadline
settings.load_profile("compete")

# Tiny tensors: a second thread would only wait for the first. Child processes inherit it.
os.environ["OMP_NUM_THREADS"] = "1"

# What `make check` leaves out: whole runs, the command line in processes of its own, and Kaggle's client.
SLOW = (
    "reliability/",
    "test_gallery.py",
    "test_recipes.py",
    "test_learn.py",
    "test_first_plugin.py",
    "core/catalog/test_new_files.py",
    "core/nodes/",
    "core/ranks/",
    "gpu/",
    "test_install.py",
    "test_streaming.py",
    "test_troubleshooting.py",
    "test_python_page.py",
    "core/blending/test_together.py",
    "core/budget/test_timed_run.py",
    "core/search/test_flow.py",
    "core/study/test_ablation.py",
    "core/test_cli.py",
    "core/api/",
    "core/bundle/",
    "core/draft/test_gallery.py",
    "core/leaderboard/test_commands.py",
    "core/leaderboard/test_newcomer.py",
    "core/leaderboard/test_pairing.py",
    "core/stages/test_runner.py",
    "core/workers/test_main.py",
    "core/workers/test_part.py",
    "plugins/test_executors_",
    "plugins/test_transforms_missing.py",
    "plugins/test_uploads_",
)
MOST_SECONDS = 8  # of the processor; a first import of torch and the other libraries takes up to 4

TINY_PLUGIN = Path(__file__).with_name("tiny_plugin.py")
TINY_TOML = """\
plugins = ["tiny_plugin.py"]

[competition]
name = "tiny"
root = "data"

[dataset]
name = "tiny"

[folds]
name = "stratified_group"
n = 3

[images]
size = [8, 8]

[metric]
name = "macro_f1"

[model]
name = "brightness"

[optimizer]
name = "adamw"
lr = 0.05

[training]
epochs = 2
batch_size = 5
precision = "32-true"
device = "cpu"
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the files in `SLOW`, and leave out those of a GPU where there is none."""
    for item in items:
        if item.get_closest_marker("gpu") and not _has_gpu():
            item.add_marker(pytest.mark.skip(reason="needs a GPU: torch finds no CUDA device (`make gpu` runs these)"))
        if item.path.relative_to(Path(__file__).parent).as_posix().startswith(SLOW):
            item.add_marker("slow")


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[object]:
    """Fail a test that takes long without being marked, by the processor's time: no busy machine changes it."""
    before = sum(os.times()[:4])  # of this process and of its children
    done = yield
    seconds = sum(os.times()[:4]) - before
    if seconds > MOST_SECONDS and pyfuncitem.get_closest_marker("slow") is None:
        pytest.fail(f"took {seconds:.1f} s of the processor: put its file into SLOW of tests/conftest.py")
    return done


def load_module(path: Path) -> ModuleType:
    """Import a file of the tests by its path."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def python_s_own_ctrl_c() -> None:
    """Have tests and their children get Ctrl-C: a shell in the background ignores it, a command has its own handler."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def write_tiny() -> Callable[[Path], None]:
    """Return a function that writes the tiny competition into a folder."""

    def write(folder: Path) -> None:
        shutil.copy(TINY_PLUGIN, folder / "tiny_plugin.py")
        load_module(TINY_PLUGIN).draw_tiny(folder / "data")
        (folder / "tiny.toml").write_text(TINY_TOML)

    return write


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_tiny: Callable[[Path], None]) -> Path:
    """A folder with the tiny competition in it, which is also the working directory.

    Its runs draw no report page, which would take longer than all the rest of them.
    """
    import compete.config.plugins

    bundled = tuple(name for name in compete.config.plugins.BUNDLED if name != "compete_plugins.report")
    monkeypatch.setattr(compete.config.plugins, "BUNDLED", bundled)
    monkeypatch.chdir(tmp_path)
    write_tiny(tmp_path)
    return tmp_path


@pytest.fixture
def make_run(tiny: Path) -> Callable[..., object]:
    """Return a function that prepares a run of the tiny competition, ready to train, with overrides."""
    from compete.config.load import load_config
    from compete.identity import read_sources
    from compete.model.device import make_fabric
    from compete.session import Run, Session
    from compete.stages.runner import assemble

    def make(*overrides: str) -> Run:
        config = load_config(tiny / "tiny.toml", overrides)
        fabric, manager = make_fabric(config.training), config.plugins.new_manager()
        session = Session(config, tiny / "submissions/tiny/test", fabric, manager)
        for bound in (*config.many("callbacks"), *config.many("hooks")):
            session.watch(bound.build())
        return assemble(session, read_sources(config), [], ExitStack())

    return make
