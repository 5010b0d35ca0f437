"""Files that survive anything: atomic writes, checkpoints with a spare, and the lock of a run folder."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import torch

from compete.errors import CompeteError, RunBusyError

CHECKPOINT = "checkpoint.pt"
SPARE = "checkpoint.previous.pt"


def write_atomic(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file so that a reader sees the old content or the new one, never half of it.

    The content goes to a temporary neighbour, is flushed to the disk and renamed; a failed write leaves no
    trace. Raise `CompeteError` naming the path when the disk refuses.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise CompeteError(f"cannot write {path}: {error.strerror or error}. What was there before is kept.") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes atomically."""
    write_atomic(path, lambda file: file.write(data))


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, data: object) -> None:
    """Write JSON atomically; NaN becomes null, which every reader understands."""
    write_text(path, json.dumps(_plain(data), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON file's object, or an empty dict when there is none or it is broken."""
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def append_line(path: Path, data: Mapping[str, Any]) -> None:
    """Append one JSON line to a log."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(_plain(data), ensure_ascii=False, allow_nan=False) + "\n")


def fingerprint(*parts: object) -> str:
    """Return 16 hexadecimal digits that change when any part does."""
    return sha256(json.dumps(_plain(parts), sort_keys=True, default=str).encode()).hexdigest()[:16]


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def save_checkpoint(folder: Path, state: Mapping[str, Any]) -> None:
    """Save a checkpoint and keep the one before it, so that a broken file costs one interval only."""
    current = folder / CHECKPOINT
    if current.exists():
        spare = folder / SPARE
        with suppress(FileNotFoundError):
            spare.unlink()
        os.link(current, spare)  # both names hold the old one until the new one replaces `current`
    write_atomic(current, lambda file: torch.save(dict(state), file))


def load_checkpoint(folder: Path, say: Callable[[str], None]) -> dict[str, Any] | None:
    """Return the newest readable checkpoint, or None; `say` hears about one that is broken."""
    for name in (CHECKPOINT, SPARE):
        path = folder / name
        if not path.exists():
            continue
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file can raise nearly anything
            say(f"{path} cannot be read ({type(error).__name__}); the checkpoint before it is used")
        else:
            return state
    return None


def drop_checkpoints(folder: Path) -> None:
    """Remove the checkpoints of a finished member."""
    for name in (CHECKPOINT, SPARE):
        (folder / name).unlink(missing_ok=True)


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold a run folder. Raise `RunBusyError` with the owner's process and host when another process does.

    The lock is the operating system's, so it goes with its process however that ends.
    """
    path = folder / ".lock"
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            owner = file.read().strip() or "another process"
            raise RunBusyError(
                f"{folder} is in use by {owner}. Wait for it, or start another run with --fresh."
            ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _plain(value: Any) -> Any:  # noqa: ANN401 - any data at all
    """Turn tuples, NumPy numbers and NaN into what JSON knows."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return str(value) if isinstance(value, Path) else value
