"""Heads that are fitted on features: against scikit-learn, and from the TOML to the submission."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn import functional as F

from compete import HeadData, Target
from compete_plugins.heads._fitted import Memory, Neighbours, Probe

RNG = np.random.default_rng(0)
FEATURES = (RNG.normal(size=(120, 9)) * RNG.uniform(0.1, 30, 9) + RNG.normal(size=9) * 5).astype(np.float32)
FEATURES[:, 3] = 2.5  # constant, as a dead unit
NEW = (RNG.normal(size=(50, 9)) * 10).astype(np.float32)
NEW[:, 3] = 2.5
LABELS = (FEATURES[:, 0] / 10 + FEATURES[:, 5] / 20 + RNG.normal(size=120)).round().clip(0, 2).astype(np.int64)


def cross_entropy(logits, targets):
    return F.cross_entropy(logits.float(), targets)


def softmax(logits):
    return logits.softmax(dim=1)


def data(targets, soft=None, loss=cross_entropy, activation=softmax, images=None, features=FEATURES):
    images = np.arange(len(features)) if images is None else images
    targets = torch.from_numpy(targets[images])
    soft = F.one_hot(targets, 3).float() if soft is None else torch.from_numpy(soft[images])
    target = Target(("a", "b", "c"), None, None, activation, None, heads=(soft.shape[1],))
    return HeadData(features, images, targets, soft, np.arange(len(images)) % 4, loss, target)


@pytest.mark.parametrize("strength", [0.01, 1.0, 50.0])
def test_probe_is_logistic_regression(strength):
    head = nn.Linear(9, 3)
    Probe(strength).fit(head, data(LABELS))
    scale = StandardScaler().fit(FEATURES.astype(float))
    theirs = LogisticRegression(C=strength, tol=1e-10, max_iter=10_000).fit(
        scale.transform(FEATURES.astype(float)), LABELS
    )
    ours = head(torch.from_numpy(NEW)).softmax(dim=1).detach()
    np.testing.assert_allclose(ours, theirs.predict_proba(scale.transform(NEW.astype(float))), atol=1e-4)


def test_probe_with_drawn_rows_is_logistic_regression_with_weights():
    drawn = np.repeat(np.arange(120), np.where(LABELS == 2, 5, 1))
    head = nn.Linear(9, 3)
    Probe(0.1).fit(head, data(LABELS, images=drawn))
    scale = StandardScaler().fit(FEATURES[drawn].astype(float))
    theirs = LogisticRegression(C=0.1, tol=1e-10, max_iter=10_000)
    theirs.fit(scale.transform(FEATURES.astype(float)), LABELS, sample_weight=np.where(LABELS == 2, 5, 1))
    ours = head(torch.from_numpy(NEW)).softmax(dim=1).detach()
    np.testing.assert_allclose(ours, theirs.predict_proba(scale.transform(NEW.astype(float))), atol=1e-4)


def test_probe_of_independent_labels_is_a_regression_of_each():
    labels = np.stack([LABELS > 0, LABELS > 1], axis=1).astype(np.float32)

    def loss(logits, targets):
        return F.binary_cross_entropy_with_logits(logits.float(), targets) * 2  # summed over the labels

    head = nn.Linear(9, 2)
    Probe(0.5).fit(head, data(labels, labels, loss, torch.sigmoid))
    scale = StandardScaler().fit(FEATURES.astype(float))
    for column in range(2):
        theirs = LogisticRegression(C=0.5, tol=1e-10, max_iter=10_000).fit(
            scale.transform(FEATURES.astype(float)), labels[:, column]
        )
        ours = head(torch.from_numpy(NEW))[:, column].sigmoid().detach()
        np.testing.assert_allclose(ours, theirs.predict_proba(scale.transform(NEW.astype(float)))[:, 1], atol=1e-4)


def test_probe_of_numbers_is_ridge():
    values = (FEATURES[:, :1] * 3 + 7).astype(np.float32)
    head = nn.Linear(9, 1)
    Probe(2.0).fit(
        head, data(values, values, lambda logits, targets: F.mse_loss(logits.float(), targets), torch.nn.Identity())
    )
    scale = StandardScaler().fit(FEATURES.astype(float))
    theirs = Ridge(alpha=1 / (2 * 2.0)).fit(scale.transform(FEATURES.astype(float)), values[:, 0])  # |w|^2 / (2 C)
    np.testing.assert_allclose(
        head(torch.from_numpy(NEW))[:, 0].detach(),
        theirs.predict(scale.transform(NEW.astype(float))),
        rtol=1e-4,
        atol=1e-3,
    )


def test_probe_in_parts_is_the_same(monkeypatch):
    whole, parts = nn.Linear(9, 3), nn.Linear(9, 3)
    Probe(1.0).fit(whole, data(LABELS))
    monkeypatch.setattr("compete_plugins.heads._fitted.MOST_DOUBLES", 0)
    monkeypatch.setattr("compete_plugins.heads._fitted.PART", 17)
    Probe(1.0).fit(parts, data(LABELS))
    torch.testing.assert_close(whole.weight, parts.weight, rtol=1e-4, atol=1e-5)


def test_probe_chooses_c_by_the_other_folds():
    noise = RNG.normal(size=(120, 60)).astype(np.float32)  # nothing to learn: the strongest penalty is best
    fitted = Probe(None).fit(nn.Linear(60, 3), data(RNG.integers(3, size=120), features=noise))
    assert fitted.note in [f"C = {c} by inner cross-validation over 4 folds" for c in (0.0001, 0.001)]
    clear = np.concatenate([FEATURES, F.one_hot(torch.from_numpy(LABELS), 3).numpy()], axis=1).astype(np.float32)
    fitted = Probe(None).fit(nn.Linear(12, 3), data(LABELS, features=clear))
    assert fitted.note == "C = 100 by inner cross-validation over 4 folds"


@pytest.mark.parametrize(("k", "temperature"), [(1, None), (7, None), (7, 0.07), (500, 1.0)])
def test_knn_is_scikit_learns(k, temperature):
    head = Neighbours(3, 9, k, temperature)
    Memory().fit(head, data(LABELS))
    weights = "uniform" if temperature is None else lambda distances: np.exp((1 - distances) / temperature)
    theirs = KNeighborsClassifier(min(k, 120), weights=weights, metric="cosine").fit(FEATURES, LABELS)
    ours = head(torch.from_numpy(NEW)).softmax(dim=1)
    np.testing.assert_allclose(ours, theirs.predict_proba(NEW), atol=1e-4)


def test_knn_averages_independent_labels_numbers_and_soft_labels():
    nearest = KNeighborsClassifier(5, metric="cosine").fit(FEATURES, LABELS).kneighbors(NEW)[1]
    sets = np.stack([LABELS > 0, LABELS > 1], axis=1).astype(np.float32)
    soft = np.eye(3, dtype=np.float32)[LABELS] * 0.7 + 0.1
    numbers = FEATURES[:, :1] * 100
    for targets, activation in ((sets, torch.sigmoid), (soft, softmax), (numbers, nn.Identity())):
        head = Neighbours(targets.shape[1], 9, 5, None)
        Memory().fit(head, data(targets, targets, None, activation))
        ours = activation(head(torch.from_numpy(NEW)))
        np.testing.assert_allclose(ours, targets[nearest].mean(axis=1), rtol=1e-4, atol=1e-4)


def test_stored_samples_are_loaded_into_a_fresh_head():
    head, fresh = Neighbours(3, 9, 5, 0.07), Neighbours(3, 9, 5, 0.07)
    Memory().fit(head, data(LABELS))
    fresh.load_state_dict(head.state_dict())
    assert torch.equal(fresh(torch.from_numpy(NEW)), head(torch.from_numpy(NEW)))
