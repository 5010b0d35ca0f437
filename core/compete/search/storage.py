"""The study on disk: every trial's values, fold means and end, in a journal that any number of processes share."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compete.errors import UserError
from compete.identity import digest

if TYPE_CHECKING:
    from compete.config.tuning import Search

JOURNAL, STUDY = "trials.journal", "search"
Study = Any  # optuna's, which is imported only where it is used


def import_optuna() -> Any:  # noqa: ANN401 - a module
    """Return optuna. Raise `UserError` with the command that installs it."""
    try:
        import optuna
    except ImportError as error:
        raise UserError("compete search needs optuna: pip install 'compete[optuna]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def open_study(folder: Path, search: Search, higher_is_better: bool) -> Study:
    """Open the study in a folder, or begin it."""
    optuna = import_optuna()
    from optuna.storages import journal

    path = str(folder / JOURNAL)
    lock = journal.JournalFileOpenLock(path)
    _remove_half_line(Path(path), lock)
    pruner = optuna.pruners.NopPruner()
    if search.pruner == "median":
        pruner = optuna.pruners.MedianPruner(n_startup_trials=search.startup)
    return optuna.create_study(
        study_name=STUDY,
        storage=optuna.storages.JournalStorage(journal.JournalFileBackend(path, lock_obj=lock)),
        direction="maximize" if higher_is_better else "minimize",
        pruner=pruner,
        load_if_exists=True,
    )


def _remove_half_line(path: Path, lock: Any) -> None:  # noqa: ANN401 - optuna's lock
    """Cut off the line that a killed process left half-written: what comes after it could not be read."""
    if not path.exists():
        return
    lock.acquire()
    try:
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(path, whole)
    finally:
        lock.release()


def propose(study: Study, search: Search) -> Any:  # noqa: ANN401 - an optuna Trial
    """Return a new trial. Its values follow from the seed, its number and the trials so far, killed or not."""
    study.sampler = _sampler(search, len(study.get_trials(deepcopy=False)))
    return study.ask()


def take_up(study: Study, search: Search, trial: Any) -> Any:  # noqa: ANN401 - optuna's FrozenTrial and Trial
    """Return a trial that a process left running, to go on with it."""
    study.sampler = _sampler(search, trial.number)
    return import_optuna().trial.Trial(study, trial._trial_id)


def _sampler(search: Search, number: int) -> Any:  # noqa: ANN401 - optuna's
    optuna = import_optuna()
    seed = int(digest(search.seed, number), 16) % 2**32
    if search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # constant_liar: trials that run at the same moment do not try the same
        return optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=search.startup, multivariate=True, constant_liar=True
        )
