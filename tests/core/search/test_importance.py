"""Which key matters: a study whose values depend on one key alone is the oracle."""

from __future__ import annotations

from types import SimpleNamespace

import optuna

from compete.search.importance import LEAST, importances


def searched(trials: int) -> SimpleNamespace:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study.optimize(lambda t: t.suggest_float("lr", 0, 1) + 0 * t.suggest_float("dropout", 0, 1), trials)
    config = SimpleNamespace(search=SimpleNamespace(seed=0))
    return SimpleNamespace(study=lambda: study, space=("lr", "dropout"), config=config)


def test_the_key_that_the_score_depends_on_explains_the_spread():
    found = importances(searched(20))
    assert found["lr"] > 0.9 and abs(sum(found.values()) - 1) < 1e-9


def test_few_trials_tell_nothing():
    assert importances(searched(LEAST - 1)) == {}
