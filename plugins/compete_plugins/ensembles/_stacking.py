"""Stacking: a small model that learns the labels from the members' predictions (Wolpert 1992)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from compete import ConfigError

Array = np.ndarray[Any, Any]
Kind = Literal["auto", "logistic", "ridge", "lightgbm"]
Columns = tuple[Array, Array] | None

CLIP = 1e-6
TREES, LEAVES, LEAST_ROWS, RATE = 200, 7, 20, 0.05


def stack(
    oof: Array, labels: Array, test: Array, columns: Columns, kind: Kind, regularisation: float, use_columns: bool
) -> tuple[Array, Array]:
    """Fit the model on OOF (M, N, C) and return what it predicts for OOF (N, C) and test (T, C).

    Raise `ConfigError` where a row lacks a member's prediction, as the folds of one run do.
    """
    known = ~np.isnan(oof).any(axis=(0, 2))
    some = (~np.isnan(oof).any(axis=2)).any(axis=0)
    if (some & ~known).any():
        raise ConfigError(
            "[ensemble] name = 'stacking' needs rows that every member predicted, and the folds of one run have none. "
            "Finish several runs, then: compete blend run-001 run-002 --method stacking."
        )
    if use_columns and columns is None:
        raise ConfigError("[ensemble] use_columns = true: there are no [columns] to use.")
    probabilities = bool(oof[:, known].min() >= 0 and oof[:, known].max() <= 1)
    features = [_features(part, probabilities) for part in (oof[:, known], test)]
    if use_columns and columns is not None:
        features = [np.hstack([made, own]) for made, own in zip(features, (columns[0][known], columns[1]), strict=True)]
    fit = _fit(features[0], labels[known], oof.shape[2], _chosen(kind, labels, probabilities), regularisation)
    joined = np.full(oof.shape[1:], np.nan)
    joined[known] = fit(features[0])
    return joined, fit(features[1]) if len(features[1]) else np.zeros((0, oof.shape[2]))


def _features(predictions: Array, probabilities: bool) -> Array:
    """Return predictions (M, R, C) as features (R, M * C): logits of probabilities, values as they are."""
    if probabilities:
        clipped = np.clip(predictions.astype(np.float64), CLIP, 1 - CLIP)
        predictions = np.log(clipped) - np.log1p(-clipped)
    return np.asarray(predictions.transpose(1, 0, 2).reshape(predictions.shape[1], -1))


def _chosen(kind: Kind, labels: Array, probabilities: bool) -> Kind:
    """Return the model; logistic regression where labels are classes, or yes or no."""
    classes = probabilities and (np.issubdtype(labels.dtype, np.integer) or bool(np.isin(labels, (0, 1)).all()))
    if kind == "auto":
        return "logistic" if classes else "ridge"
    if kind == "logistic" and not classes:
        raise ConfigError("[ensemble] model = 'logistic' needs classes; these labels are values. Use 'ridge'.")
    return kind


def _fit(features: Array, labels: Array, outputs: int, kind: Kind, regularisation: float) -> Callable[[Array], Array]:
    """Return a function from features (R, F) to predictions (R, C)."""
    several = labels.ndim == 1 and outputs > 1
    if several and kind != "ridge":
        return _classes(features, labels, outputs, kind, regularisation)
    wanted = np.eye(outputs)[labels] if several else labels.reshape(len(labels), -1)  # -> (N, C)
    each = [_one(features, wanted[:, column], kind, regularisation) for column in range(wanted.shape[1])]
    return lambda rows: np.stack([predict(rows) for predict in each], axis=1)


def _classes(
    features: Array, labels: Array, outputs: int, kind: Kind, regularisation: float
) -> Callable[[Array], Array]:
    """Fit one class among several; a class without a row gets 0."""
    model = _classifier(kind, regularisation).fit(features, labels)

    def predict(rows: Array) -> Array:
        found = np.zeros((len(rows), outputs))
        found[:, np.unique(labels)] = model.predict_proba(rows)
        return found

    return predict


def _one(features: Array, wanted: Array, kind: Kind, regularisation: float) -> Callable[[Array], Array]:
    """Fit one output: the probability of yes, or a value."""
    if kind == "ridge" or (kind == "lightgbm" and not np.isin(wanted, (0, 1)).all()):
        model = _regressor(kind, regularisation).fit(features, wanted)
        return lambda rows: np.asarray(model.predict(rows))
    if len(np.unique(wanted)) < 2:
        return lambda rows: np.full(len(rows), float(wanted[0]))
    classifier = _classifier(kind, regularisation).fit(features, wanted.astype(np.int64))
    return lambda rows: np.asarray(classifier.predict_proba(rows)[:, 1])


def _classifier(kind: Kind, regularisation: float) -> Any:  # noqa: ANN401 - scikit-learn has no types
    if kind == "lightgbm":
        return _lightgbm().LGBMClassifier(**_trees(regularisation))
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=1 / regularisation, max_iter=1000))


def _regressor(kind: Kind, regularisation: float) -> Any:  # noqa: ANN401 - scikit-learn has no types
    if kind == "lightgbm":
        return _lightgbm().LGBMRegressor(**_trees(regularisation))
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), Ridge(alpha=regularisation))


def _trees(regularisation: float) -> dict[str, Any]:
    return {
        "n_estimators": TREES,
        "num_leaves": LEAVES,
        "min_child_samples": LEAST_ROWS,
        "learning_rate": RATE,
        "reg_lambda": regularisation,
        "deterministic": True,
        "force_row_wise": True,
        "random_state": 0,
        "n_jobs": 1,
        "verbose": -1,
    }


def _lightgbm() -> Any:  # noqa: ANN401 - an extra
    try:
        import lightgbm
    except ImportError as error:
        raise ConfigError(
            "[ensemble] model = 'lightgbm': lightgbm is not installed. Type: pip install 'compete[lightgbm]'"
        ) from error
    return lightgbm
