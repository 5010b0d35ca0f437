"""A finished run, as Python sees it: scores, predictions, submission and report, and predictions of other images."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from html import escape
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from compete.api.caller import state_kept
from compete.errors import CompeteError
from compete.scores import Scores, read_scores
from compete.text import plural, printable

if TYPE_CHECKING:
    import pandas as pd

    from compete.api.blended import FinishedBlend
    from compete.api.finished import FinishedRun
    from compete.api.given import Inputs
    from compete.api.predicting import Sample
    from compete.session import RunRows

REPORT_PIXELS = 800


class Report(PathLike[str]):
    """The path of a run's report page; a notebook shows the page itself."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return str(self.path)

    def _repr_html_(self) -> str:
        if not self.path.is_file():
            command = f"compete report {shlex.quote(str(self.path.parent))}"
            return f"<p>{escape(str(self.path))}: there is no such file. Write it again: {escape(command)}</p>"
        page = escape(self.path.read_text("utf-8"), quote=True)
        style = f"width: 100%; height: {REPORT_PIXELS}px; border: 0"
        return f'<iframe sandbox="" style="{style}" srcdoc="{page}"></iframe>'  # no script of the page may run


@dataclass(frozen=True, repr=False, eq=False)
class Result:
    """A finished run: its folder, scores, notes and warnings; tables are read from the folder when asked for.

    `predict` keeps the members' networks on `device` (default: the TOML's) until the result is gone.
    """

    folder: Path
    scores: Scores
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    device: str | None = None

    @classmethod
    def of(cls, run: RunRows) -> Result:
        """Return the result of a run that has just finished; the run's images and networks can go."""
        session = run.session
        return cls(run.folder, read_scores(run.folder), tuple(session.notes), tuple(session.warnings))

    @cached_property
    def oof(self) -> pd.DataFrame:
        """Out-of-fold predictions by id: the fold, the label, and a column for each class."""
        return self._parquet("oof.parquet")

    @cached_property
    def test(self) -> pd.DataFrame:
        """Predictions of the test rows by id, before post-processing: a column for each class."""
        return self._parquet("test.parquet")

    @cached_property
    def submission(self) -> pd.DataFrame:
        """The submission as the platform reads it: every cell as text."""
        from compete.submission.csv_file import read_submission

        if self.scores.submission is None:
            raise CompeteError(f"{self.folder}: no test set, so no submission; .predict(images) predicts other images")
        return read_submission(self.folder / "submission.csv")

    @property
    def report(self) -> Report:
        """The path of the report page, which a notebook shows."""
        return Report(self.folder / "report.html")

    def predict(self, images: Inputs, *, root: str | PathLike[str] = ".") -> pd.DataFrame:
        """Predict other images with all members, TTA and post-processing, as the run did its test images.

        `images` is a folder or archive of images, a path, a Pillow image or a NumPy array (H, W) or (H, W, C), a list
        of those, or a table: a column `image` (a path, or a list of them), optionally `id`, and the columns of
        `[columns]`. Relative paths in lists and tables are below `root`.

        Return a table by id with the columns of `test`, and `label`, the decoded label after post-processing. Raise
        `DataError` with every image that cannot be read.
        """
        from compete.api.predicting import predict_images

        with state_kept():
            return predict_images(self._finished, images, Path(root).expanduser())

    def write_submission(
        self,
        path: str | PathLike[str],
        images: Inputs,
        *,
        sample: Sample = None,
        root: str | PathLike[str] = ".",
    ) -> pd.DataFrame:
        """Predict other images and write their submission, as for a hidden test set; return it.

        `sample` is the sample submission, as a table or its path. Without one, the file has a row for each image and
        the columns of the run's own sample. Raise `SubmissionError` with every problem.
        """
        from compete.api.predicting import write_submission_of

        with state_kept():
            return write_submission_of(self._finished, Path(path), images, sample, Path(root).expanduser())

    @cached_property
    def _finished(self) -> FinishedRun | FinishedBlend:
        from compete.api.blended import open_any

        return open_any(self.folder, self.scores, self.device)

    def _parquet(self, name: str) -> pd.DataFrame:
        import pandas as pd

        path = self.folder / name
        try:
            return pd.read_parquet(path).set_index("id")
        except FileNotFoundError:
            raise CompeteError(f"{path}: no such file; the run had no test rows, or it was removed") from None
        except Exception as error:  # a damaged parquet file can raise nearly anything
            raise CompeteError(f"{path} cannot be read ({error})") from error

    def _facts(self) -> Iterator[tuple[str, str]]:
        """Yield what the short forms show."""
        scores, cv = self.scores, self.scores.cv
        spread = "" if cv.std is None else f" ± {cv.std:.4f}"
        parts = plural(len(cv.folds), "part" if scores.blend else "member")
        yield "CV", f"{_decimal(cv.mean)}{spread} ({scores.metric}, {parts})"
        after = "" if cv.oof_postprocessed is None else f", {_decimal(cv.oof_postprocessed)} post-processed"
        yield "OOF", _decimal(cv.oof) + after
        yield "folder", str(self.folder)
        yield from (("note", note) for note in (*scores.note.splitlines(), *self.notes))
        yield from (("warning", warning) for warning in self.warnings)
        commands = [f"compete submit {self.folder}"] if any("submit" in command for command in scores.next) else []
        yield "next", "; ".join([".report", ".oof", ".test", ".submission", ".predict(images)", *commands])

    def __repr__(self) -> str:
        lines = [f"{self.scores.title}  {self.scores.run}", *(f"  {name:<8} {text}" for name, text in self._facts())]
        return "\n".join(map(printable, lines))

    def _repr_html_(self) -> str:
        title = escape(printable(f"{self.scores.title}  {self.scores.run}"))
        left = 'style="text-align: left"'
        rows = [
            f"<tr><th {left}>{name}</th><td {left}>{escape(printable(text))}</td></tr>" for name, text in self._facts()
        ]
        return f"<table><caption>{title}</caption>{''.join(rows)}</table>"


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
