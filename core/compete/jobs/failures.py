"""An error of another process, as a record and as the error that this process raises for it."""

from __future__ import annotations

from compete import errors
from compete.errors import CompeteError, UserError, error_location
from compete.jobs.job import Record


def failure_record(error: BaseException) -> Record:
    """Return an error as plain JSON data."""
    if isinstance(error, CompeteError):
        problems = error.problems if isinstance(error, UserError) else [str(error)]
        return {"kind": type(error).__name__, "problems": problems}
    text = str(error).strip()
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return {"kind": "CompeteError", "problems": [f"{said} (at {error_location(error)})"]}


def failure(record: Record) -> CompeteError:
    """Return the error of a record; one of a kind that is not in `compete.errors` keeps its message."""
    kind = getattr(errors, record["kind"], CompeteError)
    if not (isinstance(kind, type) and issubclass(kind, CompeteError)):
        kind = CompeteError
    return kind(record["problems"]) if issubclass(kind, UserError) else kind("\n".join(record["problems"]))
