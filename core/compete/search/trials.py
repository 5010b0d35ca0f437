"""Trials: each is a run folder, pruned after a fold where it falls behind; any number of processes share them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compete.errors import CompeteError, RunBusyError
from compete.hookspecs import hookimpl
from compete.identity import config_key, digest, read_sources
from compete.jobs.lease import POLL_SECONDS, member_lease
from compete.scores import read_scores
from compete.search.space import Parameter, configure, describe
from compete.search.storage import Study, import_optuna, open_study, propose, take_up
from compete.session import RunOptions
from compete.stages.members import finished
from compete.stages.run_folder import competition_folder, find_run
from compete.stages.runner import run_competition
from compete.store import file_lock, make_folder
from compete.study.ablation import run_scores

if TYPE_CHECKING:
    from compete.config.load import Config
    from compete.scores import Scores
    from compete.session import Run, Session
    from compete.train.trainer import Trainer

FAILED_AT_FIRST = 3  # if so many trials fail and none is finished, the TOML is wrong rather than the values


class PrunedError(CompeteError):
    """The trial ends here: others were better after as many folds."""


class OutOfTimeError(CompeteError):
    """The time is over; the trial resumes when the same command has more."""


@dataclass(frozen=True)
class Search:
    """A search: its TOML, what it varies, its folder, its time, and whether a higher score is better."""

    config: Config
    base: Config
    space: tuple[Parameter, ...]
    folder: Path
    higher_is_better: bool
    trials: int
    deadline: float = float("inf")
    clock: Callable[[], float] = time.time
    interactive: bool = False

    @property
    def left(self) -> float:
        """The seconds that are left."""
        return self.deadline - self.clock()

    def study(self) -> Study:
        """Open the study of the trials."""
        return open_study(self.folder, self.config.search, self.higher_is_better)

    def name(self, what: str) -> str:
        """Return the name of a new run folder."""
        return f"{self.folder.name}-{what}"


def search_folder(config: Config, base: Config) -> Path:
    """Return the folder of a search: the same TOML, space, seed, sampler and pruner go on in it."""
    table = config.search.model_dump(exclude={"trials"})
    return competition_folder(config) / f"search-{digest(config_key(base, read_sources(base)), table)[:6]}"


def run_base(search: Search, log: Callable[[str], None]) -> Run:
    """Run the TOML as it is: the reference, which also decodes the images and draws the folds."""
    run = run_values(search, {}, "base", lambda why: log(f"the TOML as it is: {why}"), doctor=True)
    if read_scores(run.folder).cv.mean is None:
        raise CompeteError(f"{run.folder}: the metric gives no number, so there is nothing to compare trials with")
    return run


def run_values(
    search: Search,
    values: Mapping[str, Any],
    name: str,
    wait: Callable[[str], object],
    watch: TrialWatch | None = None,
    doctor: bool = False,
) -> Run:
    """Run the TOML with some values, or take the run that it has; `name` is that of a new one.

    Who runs the same, another trial of the search or another command, is waited for, and `wait` gets a line about it.
    """
    config = configure(search.config, values)
    sources = read_sources(config)
    lease, waits = search.folder / "leases" / config_key(config, sources), False
    with member_lease(lease, lambda owner: wait(f"{owner} runs the same values: waiting for it")):
        while True:
            known = find_run(config, sources)
            name_of_new = None if known else search.name(name)
            look = doctor and known is None
            try:
                return run_competition(config, name_of_new, options=RunOptions(search.interactive, look, watch))
            except RunBusyError:
                if not waits:
                    wait(f"another command has {known or name_of_new}: waiting for it")
            waits = True
            if watch is not None and search.left <= 0:
                raise OutOfTimeError("the time of --hours is over")
            time.sleep(POLL_SECONDS)


def work(search: Search, log: Callable[[str], None]) -> None:
    """Make trials, and go on with those that a killed process left, until none is left to begin or time is over."""
    make_folder(search.folder)
    study = search.study()
    while True:
        with ExitStack() as held:
            trial = _claim(search, study, held)
            if trial is None:
                return
            try:
                _make(search, study, trial, log)
            except OutOfTimeError:
                log(f"trial {trial.number + 1}: the time is over; more --hours go on with it")
                return


def _claim(search: Search, study: Study, held: ExitStack) -> Any:  # noqa: ANN401 - an optuna Trial
    """Return a trial that this process holds: one that nobody works on any more, or a new one, if any."""
    states = import_optuna().trial.TrialState
    with file_lock(search.folder / ".claim.lock"):
        known = study.get_trials(deepcopy=False)
        for trial in known:
            if trial.state == states.RUNNING and _lease(search, trial.number, held):
                return take_up(study, search.config.search, trial)
        _refuse_if_all_fail(known, states)
        if len(known) >= search.trials or not _has_time(search, known, states):
            return None
        new = propose(study, search.config.search)
        _lease(search, new.number, held)
        return new


def _lease(search: Search, number: int, held: ExitStack) -> bool:
    try:
        held.enter_context(member_lease(search.folder / "leases" / f"{number:03d}"))
    except RunBusyError:
        return False
    return True


def _has_time(search: Search, known: list[Any], states: Any) -> bool:  # noqa: ANN401 - optuna's
    """Return whether the mean finished trial still fits; without any, whether any time is left."""
    took = [trial.user_attrs["seconds"] for trial in known if trial.state == states.COMPLETE]
    return search.left > (sum(took) / len(took) if took else 0.0)


def _refuse_if_all_fail(known: list[Any], states: Any) -> None:  # noqa: ANN401 - optuna's
    failed = [trial for trial in known if trial.state == states.FAIL]
    if len(failed) >= FAILED_AT_FIRST and len(failed) == len(known):
        raise CompeteError(
            f"the first {len(failed)} trials failed, the last one with: {failed[-1].user_attrs.get('why', '')}"
        )


def _make(search: Search, study: Study, trial: Any, log: Callable[[str], None]) -> None:  # noqa: ANN401
    """Run a trial to its end, and tell the study."""
    states = import_optuna().trial.TrialState
    values = {each.key: each.suggest(trial) for each in search.space}
    place = f"trial {trial.number + 1} of {search.trials}"
    log(f"{place}: {describe(values)}")
    started = search.clock()
    try:
        scores = _scores_of(search, study, trial, values, lambda why: log(f"{place}: {why}"))
    except PrunedError as error:
        study.tell(trial, state=states.PRUNED)
        log(f"{place}: pruned, {error}")
    except OutOfTimeError:
        raise
    except CompeteError as error:  # such as a loss that became NaN: the next values may be better
        trial.set_user_attr("why", str(error)[:1000])
        study.tell(trial, state=states.FAIL)
        log(f"{place}: failed: {error}")
    else:
        trial.set_user_attr("seconds", search.clock() - started)
        study.tell(trial, scores.cv.mean)
        log(f"{place}: {scores.metric} {scores.cv.mean:.4f}")


def _scores_of(
    search: Search,
    study: Study,
    trial: Any,  # noqa: ANN401 - an optuna Trial
    values: Mapping[str, Any],
    wait: Callable[[str], object],
) -> Scores:
    run = run_values(search, values, f"t{trial.number + 1:03d}", wait, TrialWatch(search, study, trial))
    trial.set_user_attr("run", run.folder.name)
    scores = read_scores(run.folder)
    if scores.cv.mean is None:
        raise CompeteError("the metric gives no number")
    trial.set_user_attr("scores", [[*place, score] for place, score in run_scores(run).items()])
    return scores


class TrialWatch:
    """Reports the mean of the folds so far after each of them, and ends a trial that falls behind, or is late."""

    def __init__(self, search: Search, study: Study, trial: Any) -> None:  # noqa: ANN401 - optuna's
        self.search, self.study, self.trial = search, study, trial

    @hookimpl
    def on_run_start(self, run: Session) -> None:
        """Note the run's folder."""
        self.trial.set_user_attr("run", run.folder.name)

    @hookimpl
    def on_member_start(self, trainer: Trainer) -> None:
        """Report the finished members, and decide whether this one is worth its time."""
        run = trainer.run
        known = self.trial.storage.get_trial(self.trial._trial_id).intermediate_values
        total = 0.0
        for step, score in enumerate(_scores_so_far(run), 1):
            total += score
            if step not in known:
                self.trial.report(total / step, step)
            if trainer.member in run.members and self.trial.should_prune():
                raise PrunedError(f"{run.session.metric_name} {total / step:.4f} after {step} of {len(run.members)}")
        if self.search.left <= 0 and self._any_finished():
            raise OutOfTimeError("the time of --hours is over")

    def _any_finished(self) -> bool:
        states = import_optuna().trial.TrialState
        return bool(self.study.get_trials(deepcopy=False, states=(states.COMPLETE,)))


def _scores_so_far(run: Run) -> Iterator[float]:
    """Yield the scores of the first members, until one is not finished."""
    for member in run.members:
        result = finished(run, member, run.member_folder(member))
        if result is None:
            return
        yield result.score
