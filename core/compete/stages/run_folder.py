"""A run's folder: a new one, or that of an earlier run with the same configuration."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from compete.config.load import Config
from compete.config.table import FOLDER_NAME
from compete.errors import ConfigError, UserError
from compete.identity import config_key
from compete.jobs.lease import remove_free_litter
from compete.store import file_lock, folder_lock, make_folder, read_json, write_json, write_text
from compete.toml.read import flat_keys, read_toml, write_toml_text

FORMAT = 2
STATE = "run.json"
SUBMISSIONS = Path("submissions")
FOLDS = "folds"
ATTEMPT_FILES = {STATE, "config.toml", "environment.json", "folds.csv", "log.jsonl", "plan.json", ".lock", ".owner"}
PACKAGES = (
    "compete", "torch", "torchvision", "timm", "albumentations", "lightning-fabric",
    "numpy", "pandas", "scikit-learn", "opencv-python-headless", "pillow",
)  # fmt: skip


def competition_folder(config: Config) -> Path:
    """Return the folder of a competition's runs."""
    return SUBMISSIONS / config.competition.name


class RunState(BaseModel):
    """`run.json`: which configuration and data a run is of, and whether it is finished.

    `config`, `data` (training rows) and `test` (test rows and sample) are keys from `identity.py`.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    format: int | None = None
    config: str = ""
    sources: dict[str, str] = {}
    created: FiniteFloat
    finished: bool = False
    data: str | None = None
    test: str | None = None

    def can_be_of(self, data: str, test: str) -> bool:
        """Return whether the run can have these data. A finished one keeps its test set: its results stay as they are.

        One that is unfinished may go on with another: only members' weights exist, and they depend on `data` alone.
        """
        return self.data in (None, data) and (not self.finished or self.test in (None, test))


def read_state(folder: Path) -> RunState | None:
    """Return a run's state, or None if there is none or it is damaged."""
    if not (folder / STATE).is_file():
        return None
    try:
        return RunState.model_validate_json((folder / STATE).read_bytes())
    except (OSError, ValidationError):
        return None


def check_format(folder: Path, state: RunState) -> None:
    """Raise `ConfigError` for a run folder in the format of another version of compete."""
    if state.format != FORMAT:
        raise ConfigError(
            f"{folder} was written in run format {state.format}; this version of compete reads format {FORMAT}. "
            "Start a new run with --fresh, or finish this one with the version that began it."
        )


def claim_folder(
    config: Config, sources: Mapping[str, str], held: ExitStack, choose: Callable[[], Path], shared: bool = False
) -> Path:
    """Choose a run's folder, start it, and hold it until `held` ends, unless it is `shared` with other processes.

    The choice is made under a lock of the competition, so that of two runs that start at one moment, the second sees
    the first one's folder.
    """
    with runs_held(competition_folder(config)):
        folder = choose()
        new = not (folder / STATE).exists() and not shared
        make_folder(folder)
        if not shared:
            held.enter_context(folder_lock(folder))
            remove_free_litter(folder)
        start_folder(folder, config, sources, time.time())
    if new:
        held.enter_context(_forgotten_if_wrong(folder))
    return folder


@contextmanager
def runs_held(parent: Path) -> Iterator[None]:
    """Hold the list of a competition's runs, and the files about a run that several processes write."""
    make_folder(parent)
    with file_lock(parent / ".runs.lock"):
        yield


@contextmanager
def _forgotten_if_wrong(folder: Path) -> Iterator[None]:
    """Forget a run that wrong input stops before it trains: it takes no number, and is not compared with later runs."""
    try:
        yield
    except UserError:
        with suppress(OSError), runs_held(folder.parent):
            forget_attempt(folder)
        raise


def choose_folder(config: Config, sources: Mapping[str, str], name: str | None, fresh: bool) -> Path:
    """Return the run's folder: the named one, the newest of the same configuration, or a new one.

    Raise `ConfigError` with the differences if the named folder has a run of another configuration.
    """
    parent = competition_folder(config)
    if name is not None:
        return _named_folder(parent, config, sources, name, fresh)
    known = None if fresh else find_run(config, sources)
    return known or next_folder(parent)


def find_run(
    config: Config, sources: Mapping[str, str], suits: Callable[[RunState], bool] = lambda _state: True
) -> Path | None:
    """Return the run of this configuration that suits: the TOML's own folder, else the newest."""
    key, folders = config_key(config, sources), list(run_folders(competition_folder(config)))
    folders.sort(key=lambda folder: folder.resolve() == config.path.parent.resolve())
    for folder in reversed(folders):
        state = read_state(folder)
        if state is not None and state.config == key and suits(state):
            check_format(folder, state)
            return folder
    return None


def damaged_runs(folders: Iterable[Path]) -> list[str]:
    """Return a warning for each run whose state is damaged."""
    return [
        f"{folder / STATE} is damaged: the run is passed over, though its finished members can be reused"
        for folder in folders
        if read_state(folder) is None
    ]


def _named_folder(parent: Path, config: Config, sources: Mapping[str, str], name: str, fresh: bool) -> Path:
    folder = parent / name
    if not (folder / STATE).exists():
        return folder
    if fresh:
        raise ConfigError(f"--name {name}: {folder} exists, and --fresh never overwrites a run. Choose another name.")
    state = read_state(folder)
    if state is None:
        raise ConfigError(f"--name {name}: {folder / STATE} is damaged. Choose another name.")
    check_format(folder, state)
    if state.config != config_key(config, sources):
        changes = "\n  ".join(changed_since(folder, config, sources))
        raise ConfigError(
            f"--name {name}: {folder} has a run of another configuration. Choose another name. Changed:\n  {changes}"
        )
    return folder


def next_folder(parent: Path, variant: str = "") -> Path:
    """Return the next free run folder: run-001, run-002, ... A folder with only hidden files is free.

    A number is not free while variants of an earlier run have it, such as run-001-small. `variant`, such as "-small",
    gets the newest number where only other variants have it.
    """
    used = {p.name for p in parent.glob("run-*/") if any(not file.name.startswith(".") for file in p.iterdir())}
    newest = max((int(found[1]) for name in used if (found := re.match(r"run-(\d+)(-|$)", name))), default=0)
    shared = variant and newest and not used & {f"run-{newest:03d}", f"run-{newest:03d}{variant}"}
    return parent / f"run-{newest if shared else newest + 1:03d}{variant}"


def run_folders(parent: Path) -> Iterator[Path]:
    """Yield the run folders of a competition, oldest first."""
    if parent.is_dir():
        states = [(read_state(file.parent), file.parent) for file in parent.glob(f"*/{STATE}")]
        yield from (
            folder for _, folder in sorted((state.created if state else 0.0, folder) for state, folder in states)
        )


def start_folder(folder: Path, config: Config, sources: Mapping[str, str], created: float) -> None:
    """Make the folder, and write what is known before training."""
    make_folder(folder)
    if not (folder / STATE).exists():  # first: a later attempt finds the folder by it
        state = RunState(format=FORMAT, config=config_key(config, sources), sources=dict(sources), created=created)
        write_json(folder / STATE, state.model_dump(exclude_none=True))
    if not (folder / "config.toml").exists():
        write_text(folder / "config.toml", write_toml_text(config.resolved()))


def forget_attempt(folder: Path) -> None:
    """Remove a run folder that has no results, only the record of the attempt."""
    if {file.name for file in folder.iterdir()} <= ATTEMPT_FILES:
        for file in list(folder.iterdir()):
            file.unlink()
        folder.rmdir()


def update_state(folder: Path, **changes: object) -> None:
    """Change entries of run.json."""
    with runs_held(folder.parent):
        write_json(folder / STATE, {**read_json(folder / STATE), **changes})


def changed_since(folder: Path, config: Config, sources: Mapping[str, str]) -> list[str]:
    """Return what differs from the configuration of an earlier run: `training.epochs: 3 -> 5`, `file a.py`."""
    try:
        before = flat_keys(read_toml(folder / "config.toml")[0])
    except ConfigError:
        return []
    now = flat_keys(_plain_toml(config))
    keys = sorted(before.keys() | now.keys())
    settings = [
        f"{key}: {_setting(before, key)} -> {_setting(now, key)}" for key in keys if before.get(key) != now.get(key)
    ]
    state = read_state(folder)
    then = state.sources if state else {}
    return settings + [f"file {name}" for name, digest in sources.items() if then.get(name, digest) != digest]


def environment(config: Config, device: str, precision: str) -> dict[str, Any]:
    """Return what else may affect results: versions, device, command, git state."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "plugins": {plugin.name: plugin.source for plugin in config.plugins.loaded if plugin.source != "bundled"},
        "device": device,
        "precision": precision,
        "command": ["compete", *sys.argv[1:]],
        "git": _git_state(),
    }


def check_name(name: str | None) -> None:
    """Raise `ConfigError` for a name, if one is given, that is not a run folder's."""
    if name is not None and (name == FOLDS or not re.fullmatch(FOLDER_NAME, name)):
        raise ConfigError(
            f"--name {name}: use letters, digits, '.', '_' and '-', with a letter or digit first; "
            f"'{FOLDS}' is reserved for the competition's folds."
        )


def _plain_toml(config: Config) -> dict[str, Any]:
    return tomllib.loads(write_toml_text(config.resolved()))


def _setting(flat: Mapping[str, object], key: str) -> str:
    return repr(flat[key]) if key in flat else "(not set)"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_state() -> dict[str, Any]:
    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    commit = git("rev-parse", "HEAD")
    return {"commit": commit, "changed_files": len((git("status", "--porcelain") or "").splitlines())} if commit else {}
