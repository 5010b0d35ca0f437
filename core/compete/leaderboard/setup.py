"""From a run or a CSV file to what submitting needs: its TOML, the platform named there, a checked file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compete.errors import ConfigError, UserError
from compete.identity import digest_file
from compete.leaderboard.platform import CodeEntry, Quota, Receipt, Status, Uploader
from compete.leaderboard.records import Candidate, Record
from compete.scores import SCORES_FILE, Scores, read_scores
from compete.store import read_json
from compete.text import without_secrets
from compete.toml.read import read_table

if TYPE_CHECKING:
    from compete.config.load import Config

RUN_TOML = "config.toml"
SOURCE_FILE = ".downloaded.json"  # `compete download` leaves it with the files
CODE_FOLDER = "code"  # in a run's folder, while it is an entry to a code competition
PROGRAM = "program.py"
ANSWERING = ("check", "quota", "send", "create", "find", "status", "download")
LONGEST_ANSWER = 2000


def find_toml(candidate: Candidate, given: Path | None, record: Record | None = None) -> Path:
    """Return the TOML to use: the one given, the one of an unfinished submission, or the run's own.

    A platform that was added to the competition's TOML after the run is found there.
    """
    if given is not None:
        return given
    # A run's own TOML moves along with its folder; what lies at its old path may be another run's.
    if record is not None and record.config and (candidate.folder is None or Path(record.config).name != RUN_TOML):
        if Path(record.config).is_file():
            return Path(record.config)
        if candidate.folder is None:
            raise UserError(f"{candidate.name}: its TOML {record.config} is gone. Name the TOML with: --config")
    if candidate.folder is None:
        raise UserError(f"{candidate.file} belongs to no run. Name its TOML: --config competitions/<name>.toml")
    own, original = candidate.folder / RUN_TOML, _original_toml(candidate.folder)
    return original if original and read_table(original, "upload") and not read_table(own, "upload") else own


@contextmanager
def open_uploader(toml: Path, candidate: Candidate) -> Iterator[tuple[Candidate, Config, Uploader]]:
    """Read a TOML and open the platform of its `[upload]` table; the candidate gets its competition, if it has none."""
    from compete.config.load import load_config

    config = load_config(toml)
    bound = config.many("uploads")
    if not bound:
        raise ConfigError(_without_platform(toml, config, candidate))
    competition = candidate.competition or config.competition.name
    with _opened(bound[0].build) as uploader:
        yield replace(candidate, competition=competition), config, uploader


def check_code(uploader: Uploader, candidate: Candidate) -> None:
    """Raise `UserError` where the platform runs no code, or there is none to run."""
    if uploader.code is None:
        raise UserError(
            f"{uploader.platform} runs no code: compete submits files to it. Without --code: "
            f"compete submit {candidate.name}"
        )
    if candidate.folder is None:
        raise UserError(f"{candidate.file} is a file of predictions: there is no model to run. Name a run.")


def as_code(uploader: Uploader, candidate: Candidate, model: str) -> tuple[Candidate, Uploader]:
    """Return a run and its platform for an entry of code, whose model is a file in the run's folder `code`."""
    check_code(uploader, candidate)
    assert candidate.folder is not None and uploader.code is not None
    program, file = candidate.folder / CODE_FOLDER / PROGRAM, candidate.folder / CODE_FOLDER / model
    if not program.is_file():
        raise UserError(f"{program} is gone. Begin again with: compete submit {candidate.name} --code --again")
    entry = CodeEntry(candidate.folder.absolute().name, file, program.read_text(encoding="utf-8"))
    return replace(candidate, file=file), _guarded(uploader.code(entry))


def remove_entry(model: Path) -> None:
    """Remove a code entry's model, and the folder unless another entry is in it."""
    model.unlink(missing_ok=True)
    if [file.name for file in model.parent.iterdir()] == [PROGRAM]:
        (model.parent / PROGRAM).unlink()
        model.parent.rmdir()


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
    with _opened(bound.build) as uploader:
        yield uploader


def check_candidate(config: Config, candidate: Candidate) -> list[str]:
    """Check the file against the sample submission; return warnings. Raise `UserError` with every problem.

    A run's file that has not changed since the run checked it needs no check, and no data.
    """
    if not candidate.file.is_file():
        hint = "" if candidate.folder is None else " To finish its run, run `compete run` with its TOML again."
        raise UserError(f"{candidate.file}: no such file.{hint}")
    scores = scores_of(candidate)
    if scores is not None and scores.submission and scores.submission.sha256 == digest_file(candidate.file):
        return []
    from compete.stages.check_file import check_file

    return check_file(config, candidate.file)


def scores_of(candidate: Candidate) -> Scores | None:
    """Return a finished run's scores; None for an unfinished one, and for a CSV file."""
    folder = candidate.folder
    return read_scores(folder) if folder is not None and (folder / SCORES_FILE).is_file() else None


def cv_of(candidate: Candidate) -> str:
    """Describe the run's CV, or return an empty string."""
    scores = scores_of(candidate)
    if scores is None or scores.cv.mean is None:
        return ""
    spread = "" if scores.cv.std is None else f" +- {scores.cv.std:.5f}"
    return f"CV {scores.cv.mean:.5f}{spread} {scores.metric}"


@contextmanager
def _opened(build: Callable[[], Uploader]) -> Iterator[Uploader]:
    uploader = _guarded(build())
    try:
        yield uploader
    finally:
        if uploader.close is not None:
            uploader.close()


def _guarded(uploader: Uploader) -> Uploader:
    """Return the platform with answers and errors that are safe to print and to store: they may repeat a token."""
    offered = {name: function for name in ANSWERING if (function := getattr(uploader, name)) is not None}
    clean: dict[str, Any] = {name: _with_clean_answers(function) for name, function in offered.items()}
    return replace(uploader, **clean)


def _with_clean_answers(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: object) -> object:
        try:
            answer = function(*arguments)
        except Exception as error:
            error.args = _clean(error.args)
            if isinstance(error, UserError):
                error.problems = _clean(error.problems)
            raise
        return replace(answer, **_clean(vars(answer))) if isinstance(answer, Receipt | Status | Quota) else answer

    return call


def _clean(value: Any) -> Any:  # noqa: ANN401 - texts, also in tuples, lists and dictionaries
    if isinstance(value, str):
        return without_secrets(value)[:LONGEST_ANSWER]
    if isinstance(value, dict):
        return {key: _clean(item) for key, item in value.items()}
    return type(value)(map(_clean, value)) if isinstance(value, list | tuple) else value


def _original_toml(folder: Path) -> Path | None:
    """Return the TOML that a run was started with, if it is still there."""
    command = read_json(folder / "environment.json").get("command") or []
    return next((Path(word) for word in command if str(word).endswith(".toml") and Path(word).is_file()), None)


def _without_platform(toml: Path, config: Config, candidate: Candidate) -> str:
    """Show what to add, and where; `compete download` leaves the competition's name with its files."""
    source = read_json(Path(config.competition.root) / SOURCE_FILE)
    original = _original_toml(candidate.folder) if candidate.folder is not None else toml
    repeat = "repeat the command" if original else f"type: compete submit {candidate.name} --config FILE"
    return (
        f"{toml}: has no table [upload], so the platform is unknown. "
        f"Add it to {original or 'the TOML of the competition'} and {repeat}:\n  [upload]\n"
        f'  name = "{source.get("platform", "kaggle")}"\n'
        f'  competition = "{source.get("competition", "the-last-part-of-its-address")}"'
    )
