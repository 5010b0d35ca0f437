"""From a run or a CSV file to what submitting needs: its TOML, the platform named there, a checked file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from compete.errors import ConfigError, UserError, did_you_mean
from compete.leaderboard.platform import Uploader
from compete.leaderboard.records import SUBMISSIONS, Candidate, Record
from compete.store import file_hash, read_json
from compete.submission import read_submission

if TYPE_CHECKING:
    from compete.config import Config

UPLOAD_EXAMPLE = '[upload] with name = "kaggle" and competition = "the-name-in-its-address"'


def find_toml(candidate: Candidate, given: Path | None, record: Record | None = None) -> Path:
    """Return the TOML to use: the one given, the one of an unfinished submission, or the run's own."""
    if given is not None:
        return given
    if record is not None and record.config:
        return Path(record.config)
    if candidate.folder is not None:
        return candidate.folder / "config.toml"
    raise UserError(f"{candidate.file} belongs to no run. Say where it goes: --config competitions/<name>.toml")


@contextmanager
def open_uploader(toml: Path) -> Iterator[tuple[Config, Uploader]]:
    """Read a TOML and open the platform of its `[upload]` table."""
    from compete.config import load_config

    config = load_config(toml)
    bound = config.many("uploads")
    if not bound:
        raise ConfigError(
            f"{toml}: has no table [upload], so it is not known where to submit. Add {UPLOAD_EXAMPLE} to the "
            "competition's TOML; for a run that was made before, name that TOML: --config FILE"
        )
    with opened(bound[0].build) as uploader:
        yield config, uploader


@contextmanager
def open_platform(name: str, competition: str) -> Iterator[Uploader]:
    """Open a platform by its name, without a TOML."""
    from compete.options import bind
    from compete.plugins import load_plugins
    from compete.registry import find

    component = find(load_plugins().registry, "uploads", name)
    bound, problems = bind(component, {"competition": competition}, f"{name}:")
    if bound is None or problems:
        raise ConfigError(problems)
    with opened(bound.build) as uploader:
        yield uploader


@contextmanager
def opened(build: Callable[[], Uploader]) -> Iterator[Uploader]:
    """Build an uploader and close it in the end."""
    uploader = build()
    try:
        yield uploader
    finally:
        if uploader.close is not None:
            uploader.close()


def with_competition(candidate: Candidate, config: Config) -> Candidate:
    """Return the candidate with the competition's name, which a CSV file on its own does not have."""
    return candidate if candidate.folder is not None else replace(candidate, competition=config.competition.name)


def check_candidate(config: Config, candidate: Candidate) -> list[str]:
    """Check the file against the sample submission; return warnings. Raise `UserError` with every problem.

    A run's file that has not changed since the run checked it is only read, so that the data need not be there.
    """
    if not candidate.file.is_file():
        raise UserError(f"{candidate.file}: there is no such file. {_unfinished_hint(candidate)}")
    if _checked_before(candidate):
        read_submission(candidate.file)
        return []
    from compete.checking import check_file

    return check_file(config, candidate.file)


def describe(candidate: Candidate, uploader: Uploader, message: str) -> Iterator[str]:
    """Yield what would be sent, for --dry-run."""
    yield f"platform     {uploader.platform}, competition {uploader.competition}"
    yield f"file         {candidate.file}, {candidate.file.stat().st_size:,} bytes"
    yield f"rows         {len(read_submission(candidate.file)):,}"
    yield f"SHA-256      {file_hash(candidate.file)}"
    yield f"message      {message}"


def cv_of(candidate: Candidate) -> str:
    """Return the run's CV in words, or an empty text."""
    scores = read_json(candidate.folder / "scores.json") if candidate.folder is not None else {}
    cv = scores.get("cv") or {}
    if cv.get("mean") is None:
        return ""
    return f"CV {cv['mean']:.5f} +- {cv.get('std') or 0.0:.5f} {scores.get('metric', '')}".strip()


def root_of(candidate: Candidate) -> Path:
    """Return the submissions folder whose ledger a candidate belongs to."""
    return SUBMISSIONS if candidate.folder is None else candidate.folder.absolute().parent.parent


def known_competition(name: str, known: list[str]) -> str:
    """Return the name, or raise `UserError` with the nearest one of the ledger."""
    if name not in known:
        listed = f" There are: {', '.join(known)}." if known else " No run was made yet."
        raise UserError(f"there is no competition '{name}' in the ledger.{did_you_mean(name, known)}{listed}")
    return name


def _checked_before(candidate: Candidate) -> bool:
    if candidate.folder is None:
        return False
    submission = read_json(candidate.folder / "scores.json").get("submission") or {}
    return bool(submission.get("sha256") == file_hash(candidate.file))


def _unfinished_hint(candidate: Candidate) -> str:
    return "" if candidate.folder is None else "Is the run finished? `compete run` with its TOML goes on with it."
