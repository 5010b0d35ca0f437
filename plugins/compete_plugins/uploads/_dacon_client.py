"""Dacon's own `dacon_submit_api` package, in a process of its own: it has no deadline, and prints the token."""

from __future__ import annotations

import os
from typing import Any

from ._serve import serve


def submit(path: str, competition: str, team: str, message: str) -> dict[str, Any]:
    """Submit a file; return `isSubmitted` and `detail`."""
    from dacon_submit_api import dacon_submit_api  # type: ignore[import-not-found]

    answer = dacon_submit_api.post_submission_file(path, os.environ["DACON_TOKEN"], competition, team, message)
    return {"submitted": bool(answer.get("isSubmitted")), "detail": str(answer.get("detail", ""))}


def _explain(error: BaseException) -> dict[str, Any]:
    if isinstance(error, ModuleNotFoundError):
        return {"kind": "missing", "message": str(error.name)}
    return {"kind": "fault", "message": type(error).__name__}  # its text may repeat the form, token included


if __name__ == "__main__":
    serve({"submit": submit}, _explain)
