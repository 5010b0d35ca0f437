"""Open a finished blend to predict: its runs, and the ensemble and post-processing that were fitted on their OOF."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from compete.api.finished import FinishedRun, config_on, open_finished, what_compares
from compete.blending.blend_runs import blend_test, prepare_blend
from compete.blending.judge import Stack, judge, together
from compete.blending.past_run import blended_runs
from compete.config.settings import Blend
from compete.model.device import make_fabric
from compete.predict.postprocessing import Step, fit_steps
from compete.scores import read_scores
from compete.session import RunRows, Session

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from compete.scores import Scores
    from compete.types import Array, Predictions


@dataclass(frozen=True)
class FinishedBlend:
    """A finished blend: its rows, the runs that it blends, and their OOF side by side."""

    run: RunRows
    parts: list[FinishedRun | FinishedBlend]
    stack: Stack

    @cached_property
    def postprocess(self) -> Step:
        """`[[postprocess]]`, fitted on the blended OOF as the blend did."""
        run, stack = self.run, self.stack
        if not run.config.many("postprocessors"):
            return lambda predictions: predictions
        oof = np.asarray(judge(run.config.one("ensembles"), stack).oof, np.float32)
        return fit_steps(run.config, oof, stack.labels, run.metric, run.target)

    @cached_property
    def comparing(self) -> str:
        """What compares rows with each other; see `what_compares`."""
        test = [] if not self.run.tables.has_test else list(self.stack.test)

        def join(parts: list[Predictions]) -> Predictions:
            columns = self.stack.columns
            return self.blend(parts, None if columns is None else columns[1][: len(parts[0])])

        return what_compares(self.run.config, test, join, lambda blended: self.postprocess(blended))

    def blend(self, predictions: Sequence[Predictions], columns: Array | None) -> Predictions:
        """Blend the runs' predictions of other rows, M x (R, C), with their features (R, F)."""
        stack = self.stack
        if stack.columns is not None and columns is not None:
            stack = replace(stack, columns=(stack.columns[0], columns))
        return blend_test(self.run.config.one("ensembles"), stack, together(predictions))


def open_any(folder: Path, scores: Scores, device: str | None = None) -> FinishedRun | FinishedBlend:
    """Open a finished run or blend. Raise `CompeteError` where its parts are missing or are not networks."""
    if scores.blend is None:
        return open_finished(folder, scores, device)
    config = config_on(folder, device)
    runs = blended_runs(folder, config, scores.blend)
    config = replace(config, blend=Blend(runs=[str(run) for run in runs]))
    prepared = prepare_blend(config)
    session = Session(config, folder, make_fabric(config.training), config.plugins.new_manager())
    parts = [open_any(run, read_scores(run), device) for run in runs]
    return FinishedBlend(RunRows(session, prepared.dataset), parts, prepared.stack)
