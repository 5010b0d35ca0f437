"""Fitted blends: weights on the simplex against a grid, and stacking against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.preprocessing import StandardScaler

from compete import ConfigError, Metric
from compete_plugins.ensembles import simplex, stacking
from compete_plugins.ensembles._simplex import simplex_weights

ANY = Metric(lambda labels, predictions: 0.0)


def softmax(logits) -> np.ndarray:
    probabilities = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return probabilities / probabilities.sum(axis=-1, keepdims=True)


def noisy(noise, rows=400, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows)
    signal = 2 * np.eye(classes)[labels]
    return labels, np.stack([softmax(signal + n * rng.normal(size=signal.shape)) for n in noise])


def test_simplex_weights_are_the_best_of_a_grid():
    labels, members = noisy([0.8, 2.0])
    first, second = simplex_weights(list(members), labels) / 2
    grid = np.linspace(0, 1, 1001)
    losses = [sklearn_log_loss(labels, w * members[0] + (1 - w) * members[1]) for w in grid]
    assert first == pytest.approx(grid[np.argmin(losses)], abs=2e-3) and first + second == pytest.approx(1)


def test_simplex_weights_of_values_are_the_best_of_a_grid():
    rng = np.random.default_rng(1)
    labels = rng.normal(50, 20, 300)
    members = [(labels + rng.normal(3, 9, 300))[:, None], (labels + rng.normal(-2, 14, 300))[:, None]]
    first = simplex_weights(members, labels)[0] / 2
    grid = np.linspace(0, 1, 1001)
    errors = [((w * members[0] + (1 - w) * members[1] - labels[:, None]) ** 2).mean() for w in grid]
    assert first == pytest.approx(grid[np.argmin(errors)], abs=2e-3)


def test_simplex_weights_of_labels_sets_count_every_yes_and_no():
    rng = np.random.default_rng(2)
    labels = (rng.random((300, 4)) < 0.3).astype(np.float32)
    members = [np.clip(labels * 0.6 + 0.2 + rng.normal(0, s, labels.shape), 0.01, 0.99) for s in (0.1, 0.3)]
    first = simplex_weights(members, labels)[0] / 2
    grid = np.linspace(0, 1, 501)
    truth = labels.ravel()
    losses = [sklearn_log_loss(truth, (w * members[0] + (1 - w) * members[1]).ravel()) for w in grid]
    assert first == pytest.approx(grid[np.argmin(losses)], abs=4e-3)


def test_a_useless_member_gets_no_weight():
    labels, members = noisy([0.8])
    useless = np.full_like(members[0], 1 / 3)
    oof, test = simplex(np.stack([members[0] ** 0.2, useless]), labels, np.stack([members[0], useless]), ANY)
    assert np.isfinite(oof).all()
    np.testing.assert_allclose(test, members[0], atol=0.05)


def logits(members) -> np.ndarray:
    clipped = np.clip(members.astype(float), 1e-6, 1 - 1e-6)
    return np.hstack(list(np.log(clipped / (1 - clipped))))


def test_stacking_of_classes_is_logistic_regression_on_logits():
    labels, members = noisy([1.0, 2.0])
    test = members[:, :40]
    _, found = stacking(members, labels, test, ANY, None)
    scaler = StandardScaler().fit(logits(members))
    model = LogisticRegression(C=1.0, max_iter=1000).fit(scaler.transform(logits(members)), labels)
    np.testing.assert_allclose(found, model.predict_proba(scaler.transform(logits(test))), atol=1e-9)


def test_stacking_of_values_is_ridge_regression():
    rng = np.random.default_rng(3)
    labels = rng.normal(50, 20, 200)
    members = np.stack([(labels + rng.normal(0, s, 200))[:, None] for s in (5, 9)])
    _, found = stacking(members, labels, members, ANY, None, regularisation=2.0)
    scaler = StandardScaler().fit(members[:, :, 0].T)
    wanted = Ridge(alpha=2.0).fit(scaler.transform(members[:, :, 0].T), labels)
    np.testing.assert_allclose(found[:, 0], wanted.predict(scaler.transform(members[:, :, 0].T)))


def test_stacking_learns_that_a_member_mixes_up_classes():
    labels, members = noisy([0.5])
    mixed = members[:, :, [1, 2, 0]]
    oof, _ = stacking(mixed, labels, mixed, ANY, None)
    assert (mixed[0].argmax(axis=1) == labels).mean() < 0.1 and (oof.argmax(axis=1) == labels).mean() > 0.9


@pytest.mark.parametrize("model", ["logistic", "ridge", "lightgbm"])
def test_stacking_keeps_a_class_without_a_row_and_rows_that_nobody_predicted(model):
    labels, members = noisy([1.0, 1.5], classes=4)
    keep = labels != 2
    labels, members = labels[keep], members[:, keep]
    members[:, 3] = np.nan
    oof, test = stacking(members, labels, members[:, 5:15], ANY, None, model=model)
    assert oof.shape == (len(labels), 4) and np.isnan(oof[3]).all() and np.isfinite(np.delete(oof, 3, axis=0)).all()
    assert test.shape == (10, 4) and np.abs(test[:, 2]).max() < 0.05


def test_stacking_takes_table_columns():
    rng = np.random.default_rng(4)
    labels, members = noisy([6.0], seed=4)
    columns = (labels[:, None] + rng.normal(0, 0.1, (len(labels), 1))).astype(np.float32)
    plain = stacking(members, labels, members, ANY, (columns, columns))[0]
    using = stacking(members, labels, members, ANY, (columns, columns), use_columns=True)[0]
    assert (plain.argmax(axis=1) == labels).mean() < 0.7 < 0.95 < (using.argmax(axis=1) == labels).mean()
    with pytest.raises(ConfigError, match=r"no \[columns\]"):
        stacking(members, labels, members, ANY, None, use_columns=True)


def test_stacking_refuses_members_of_different_folds():
    labels, members = noisy([1.0, 1.0])
    members[0, ::2], members[1, 1::2] = np.nan, np.nan
    with pytest.raises(ConfigError, match="compete blend run-001 run-002 --method stacking"):
        stacking(members, labels, members, ANY, None)


def test_logistic_stacking_refuses_values():
    values = np.random.default_rng(5).normal(5, 2, (2, 30, 1))
    with pytest.raises(ConfigError, match="ridge"):
        stacking(values, values[0, :, 0], values, ANY, None, model="logistic")
