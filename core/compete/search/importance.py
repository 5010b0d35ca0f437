"""Which searched key matters: fANOVA over the finished trials, and the winner without each of its values in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from compete.identity import config_key, read_sources
from compete.search.space import configure, describe
from compete.search.storage import import_optuna
from compete.search.trials import run_values
from compete.study.ablation import run_scores
from compete.study.differences import Difference, compare, validated_ratio

if TYPE_CHECKING:
    from compete.search.select import Candidate
    from compete.search.trials import Search
    from compete.session import Run

LEAST = 8  # finished trials: a forest over fewer says nothing


def importances(search: Search) -> dict[str, float]:
    """Return the share of the spread between finished trials that each key explains (fANOVA, Hutter et al. 2014)."""
    optuna = import_optuna()
    study = search.study()
    done = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    if len(done) < LEAST or len({trial.value for trial in done}) < 2 or len(search.space) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=search.config.search.seed)
    found: dict[str, float] = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return found


def ablate_winner(search: Search, winner: Candidate, log: Callable[[str], None]) -> Iterator[tuple[str, Difference]]:
    """Yield each value of the winner, and the difference that the TOML's own value in its place makes, by fold."""
    best = _run(search, winner.values, log)
    for key, value in winner.values.items():
        rest = {other: kept for other, kept in winner.values.items() if other != key}
        log(f"without {describe({key: value})}")
        other = _run(search, rest, log)
        ratio, better = validated_ratio(best.dataset.folds), search.higher_is_better
        yield describe({key: value}), compare(run_scores(best), run_scores(other), ratio, better)


def _run(search: Search, values: Mapping[str, Any], log: Callable[[str], None]) -> Run:
    config = configure(search.config, values)
    return run_values(search, values, f"without-{config_key(config, read_sources(config))[:6]}", log)
