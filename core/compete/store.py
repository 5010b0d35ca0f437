"""Files that survive anything: atomic writes, checkpoints with a spare, and locks."""

from __future__ import annotations

import glob
import json
import os
import re
import socket
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from errno import ENOSPC
from pathlib import Path
from typing import IO, Any

from filelock import AcquireReturnProxy, FileLock, Timeout

from compete.errors import CompeteError, RunBusyError

CHECKPOINT = "checkpoint.pt"
FRESH = "checkpoint.new.pt"
SPARE = "checkpoint.previous.pt"
_VARIABLE = re.compile(r"\$([A-Za-z_]\w*|\{\w+\})")
NEWEST_FIRST = (CHECKPOINT, FRESH, SPARE)  # FRESH is only there when a save was cut off after it was written


def write_atomic(path: Path, write: Callable[[IO[bytes]], object], *, private: bool = False) -> None:
    """Write a file so that a reader sees the old content or the new one, never half of it.

    The content goes to a temporary neighbour, is flushed to the disk and renamed; a failed write leaves no
    trace. Only its owner can read a `private` one. Raise `CompeteError` naming the path when the disk refuses.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb", opener=_open_private if private else None) as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:
        refused = error if isinstance(error, OSError) else error.__context__
        if not isinstance(refused, OSError):  # torch.save makes a RuntimeError of a full disk
            raise
        raise cannot_write(path, refused) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def cannot_write(path: Path, error: OSError, advice: str = "") -> CompeteError:
    """Return the error for a path that the disk refuses."""
    return CompeteError(f"cannot write {path}: {error.strerror or error}. What was there before is kept.{advice}")


def expand_path(text: str) -> str:
    """Return a path with `~` and environment variables expanded. Raise `ValueError` for a variable that is not set.

    A path that exists as it is written stays as it is.
    """
    if os.path.exists(text):  # noqa: PTH110 - false for a name that no file can have, where Path raises
        return text
    expanded = os.path.expanduser(os.path.expandvars(text))  # noqa: PTH111 - keeps `~nobody`, where Path raises
    unset = _VARIABLE.search(expanded)
    if unset:
        raise ValueError(f"the environment variable {unset[0]} is not set")
    return expanded


def make_folder(folder: Path) -> None:
    """Make a folder and those above it. Raise `CompeteError` naming it when the disk refuses."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error


def remove_litter(folder: Path, name: str = "", but: Collection[Path] = ()) -> None:
    """Remove the half-written files that a killed process left in a folder and below, of files whose name starts so.

    Whoever calls this holds the lock under which such files are written. Files directly in folders of `but` stay.
    """
    for file in folder.rglob(f".{glob.escape(name)}*.tmp"):
        if file.parent not in but:
            with suppress(OSError):
                file.unlink()


def write_bytes(path: Path, data: bytes, *, private: bool = False) -> None:
    """Write bytes atomically."""
    write_atomic(path, lambda file: file.write(data), private=private)


def write_text(path: Path, text: str, *, private: bool = False) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"), private=private)  # a file name need not be valid text


def write_json(path: Path, data: object, *, private: bool = False) -> None:
    """Write JSON atomically; NaN becomes null, which every reader understands."""
    write_text(path, json.dumps(plain(data), indent=2, ensure_ascii=False, allow_nan=False) + "\n", private=private)


def is_private(path: Path) -> bool:
    """Return whether nobody but us can have read or changed a file, as one that was written `private`."""
    about = path.stat()
    return os.name != "posix" or (about.st_uid == os.getuid() and not about.st_mode & 0o077)


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON file's object, or an empty dict when there is none or it is broken."""
    try:
        data = json.loads(path.read_text("utf-8")) if path.is_file() else {}  # a pipe would never end
    except (OSError, ValueError, RecursionError):  # RecursionError: brackets without end
        return {}
    return data if isinstance(data, dict) else {}


def append_line(path: Path, record: Mapping[str, Any]) -> None:
    """Append one JSON line to a log: the whole line or nothing. Raise `CompeteError` when the disk refuses."""
    line = json.dumps(plain(record), ensure_ascii=False, allow_nan=False) + "\n"
    data = line.encode("utf-8", "backslashreplace")
    try:
        with path.open("ab", buffering=0) as file:
            end = file.tell()
            try:
                if file.write(data) < len(data):  # the disk became full inside the line
                    raise OSError(ENOSPC, os.strerror(ENOSPC))
            except OSError:
                file.truncate(end)
                raise
    except OSError as error:
        raise cannot_write(path, error) from error


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors, numbers and text atomically, and make sure that `load_state` will take them."""
    import torch

    write_atomic(path, lambda file: torch.save(dict(state), file))
    try:
        torch.load(path, map_location="cpu", weights_only=True, mmap=True)  # maps tensors without reading them
    except Exception as error:
        path.unlink(missing_ok=True)
        reason = re.search(r"Unsupported .*", str(error))
        raise CompeteError(
            f"{path} could not be read back ({reason[0] if reason else type(error).__name__}). What a plugin's "
            "state_dict() returns may hold tensors, numbers and text only."
        ) from error


def load_state(path: Path) -> dict[str, Any]:
    """Read what `save_state` wrote; code in the file is not run. A damaged file can raise nearly anything."""
    import torch

    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        raise TypeError(f"holds a {type(state).__name__}")
    return state


def save_checkpoint(folder: Path, state: Mapping[str, Any]) -> None:
    """Save a checkpoint and keep the one before it, so that a broken file costs one interval only."""
    newest, fresh = folder / CHECKPOINT, folder / FRESH
    save_state(fresh, state)
    if newest.exists():
        newest.replace(folder / SPARE)
    fresh.replace(newest)
    _sync_folder(folder)


def load_checkpoint(folder: Path, log: Callable[[str], None]) -> dict[str, Any] | None:
    """Return the newest readable checkpoint, or None; those that are broken are logged."""
    broken: list[str] = []
    state = None
    for path in (folder / name for name in NEWEST_FIRST):
        if state is None and path.exists():
            try:
                state = load_state(path)
            except Exception as error:
                broken.append(f"{path} ({type(error).__name__})")
    if broken:
        then = "its member is trained from scratch" if state is None else "the checkpoint before it is used"
        log(f"cannot be read: {' and '.join(broken)}; {then}")
    return state


def drop_checkpoints(folder: Path) -> None:
    """Remove the checkpoints of a finished member."""
    for name in NEWEST_FIRST:
        (folder / name).unlink(missing_ok=True)


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold a folder. Raise `RunBusyError` with the owner's process and host when another process does.

    The lock is the operating system's, so it goes with its process however that ends; forked processes do not keep it.
    """
    owner = folder / ".owner"
    try:
        lock = _acquire(folder / ".lock", timeout_seconds=0)
    except Timeout as error:
        known = owner.read_text("utf-8") if owner.exists() else "another process"
        raise RunBusyError(f"{folder} is in use by {known}. Wait for it, or start another run with --fresh.") from error
    with lock:
        write_text(owner, f"process {os.getpid()} on {socket.gethostname()}")
        yield


@contextmanager
def file_lock(path: Path, on_wait: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Wait for a lock file, and hold it; `on_wait` is called when another process has it."""
    try:
        lock = _acquire(path, timeout_seconds=0)
    except Timeout:
        on_wait()
        lock = _acquire(path, timeout_seconds=-1)
    with lock:
        yield


def _acquire(path: Path, timeout_seconds: float) -> AcquireReturnProxy[Any]:
    """Return a lock that is held until its `with` block ends; a negative timeout waits for ever."""
    try:
        return FileLock(path, timeout=timeout_seconds).acquire()
    except Timeout:
        raise
    except OSError as error:
        raise cannot_write(path, error) from error


def _sync_folder(folder: Path) -> None:
    if not hasattr(os, "O_DIRECTORY"):  # Windows opens no folder; its journal keeps renames in order
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def plain(value: Any) -> Any:  # noqa: ANN401 - any data at all
    """Turn tuples, NumPy numbers and NaN into what JSON knows."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return str(value) if isinstance(value, Path) else value
