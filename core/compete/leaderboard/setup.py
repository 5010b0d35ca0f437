"""From a run or a CSV file to what submitting needs: its TOML, the platform named there, a checked file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from compete.errors import ConfigError, UserError
from compete.identity import digest_file
from compete.leaderboard.ledger import home_of
from compete.leaderboard.platform import Uploader
from compete.leaderboard.records import SUBMISSIONS, Candidate, Record
from compete.leaderboard.rows import upload_table
from compete.store import read_json
from compete.submission.csv_file import read_submission
from compete.text import did_you_mean

if TYPE_CHECKING:
    from compete.config.load import Config

SOURCE_FILE = ".downloaded.json"  # `compete download` leaves it with the files


def find_toml(candidate: Candidate, given: Path | None, record: Record | None = None) -> Path:
    """Return the TOML to use: the one given, the one of an unfinished submission, or the run's own.

    A platform that was added to the competition's TOML after the run is found there.
    """
    if given is not None:
        return given
    if record is not None and record.config:
        return Path(record.config)
    if candidate.folder is not None:
        own, begun_with = candidate.folder / "config.toml", _begun_with(candidate.folder)
        return begun_with if begun_with is not None and upload_table(begun_with) and not upload_table(own) else own
    raise UserError(f"{candidate.file} belongs to no run. Say where it goes: --config competitions/<name>.toml")


@contextmanager
def open_uploader(toml: Path, candidate: Candidate) -> Iterator[tuple[Config, Uploader]]:
    """Read a TOML and open the platform of its `[upload]` table, to which the candidate goes."""
    from compete.config.load import load_config

    config = load_config(toml)
    bound = config.many("uploads")
    if not bound:
        raise ConfigError(_without_platform(toml, config, candidate))
    with opened(bound[0].build) as uploader:
        yield config, uploader


@contextmanager
def open_platform(name: str, competition: str) -> Iterator[Uploader]:
    """Open a platform by its name, without a TOML."""
    from compete.config.options import bind
    from compete.config.plugins import load_plugins
    from compete.config.registry import find

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
    """Return the candidate with the competition's name, which only a run in its place has from its path."""
    return candidate if home_of(candidate) is not None else replace(candidate, competition=config.competition.name)


def check_candidate(config: Config, candidate: Candidate) -> list[str]:
    """Check the file against the sample submission; return warnings. Raise `UserError` with every problem.

    A run's file that has not changed since the run checked it is only read, so that the data need not be there.
    """
    if not candidate.file.is_file():
        raise UserError(f"{candidate.file}: there is no such file. {_unfinished_hint(candidate)}")
    if _checked_before(candidate):
        read_submission(candidate.file)
        return []
    from compete.stages.check_file import check_file

    return check_file(config, candidate.file)


def describe(candidate: Candidate, uploader: Uploader, message: str) -> Iterator[str]:
    """Yield what would be sent, for --dry-run."""
    yield f"platform     {uploader.platform}, competition {uploader.competition}"
    yield f"file         {candidate.file}, {candidate.file.stat().st_size:,} bytes"
    yield f"rows         {len(read_submission(candidate.file)):,}"
    yield f"SHA-256      {digest_file(candidate.file)}"
    yield f"message      {message}"


def cv_of(candidate: Candidate) -> str:
    """Return the run's CV in words, or an empty text."""
    scores = read_json(candidate.folder / "scores.json") if candidate.folder is not None else {}
    cv = scores.get("cv") or {}
    if cv.get("mean") is None:
        return ""
    spread = "" if cv.get("std") is None else f" +- {cv['std']:.5f}"
    return f"CV {cv['mean']:.5f}{spread} {scores.get('metric', '')}".strip()


def root_of(candidate: Candidate) -> Path:
    """Return the submissions folder whose ledger a candidate belongs to."""
    home = home_of(candidate)
    return SUBMISSIONS if home is None or home == SUBMISSIONS.absolute() else home


def upload_lines(platform: str, competition: str) -> list[str]:
    """Return the lines of a TOML that say where its runs are submitted."""
    return ["[upload]", f'name = "{platform}"', f'competition = "{competition}"']


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
    return bool(submission.get("sha256") == digest_file(candidate.file))


def _unfinished_hint(candidate: Candidate) -> str:
    return "" if candidate.folder is None else "Is the run finished? `compete run` with its TOML goes on with it."


def _begun_with(folder: Path) -> Path | None:
    """Return the TOML that a run was begun with, if it is still there."""
    command = read_json(folder / "environment.json").get("command") or []
    return next((Path(word) for word in command if str(word).endswith(".toml") and Path(word).is_file()), None)


def _without_platform(toml: Path, config: Config, candidate: Candidate) -> str:
    """Say what to write where: the competition is known where `compete download` brought its files."""
    source = read_json(Path(config.competition.root) / SOURCE_FILE)
    begun_with = _begun_with(candidate.folder) if candidate.folder is not None else toml
    repeat = "repeat the command" if begun_with else f"type: compete submit {candidate.name} --config FILE"
    lines = upload_lines(source.get("platform", "kaggle"), source.get("competition", "the-last-part-of-its-address"))
    return "\n  ".join(
        [
            f"{toml}: has no table [upload], so it is not known where to submit. "
            f"Write it into {begun_with or 'the TOML of the competition'} and {repeat}:",
            *lines,
        ]
    )
