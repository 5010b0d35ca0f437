"""Check a submission CSV against a competition's sample, without a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from compete.errors import ConfigError, SubmissionError
from compete.stages.prepare import read_tables
from compete.submission.check import check_submission
from compete.submission.csv_file import read_submission

if TYPE_CHECKING:
    from compete.config.load import Config


def check_file(config: Config, path: Path) -> list[str]:
    """Return warnings about a submission file. Raise `SubmissionError` with every problem."""
    tables = read_tables(config)
    if not tables.has_test:
        raise ConfigError("[dataset]: there is no test set and no sample submission to compare a file with")
    frame = read_submission(path, tables.form)
    check = check_submission(frame, tables.sample, **config.checks.submission_rules())
    if check.problems and frame.equals(tables.sample):
        cells = " ".join(check.problems)
        return [f"this is the sample submission itself. Its cells stand for predictions, and would not pass: {cells}"]
    if check.problems:
        raise SubmissionError([f"{path}: {problem}" for problem in check.problems])
    return list(check.warnings)
