"""The best classes in place of all columns: the same labels as from all of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from compete.predict.parquet import read_predictions, write_predictions
from compete.predict.top_k import concatenate, keep_top, known_rows, top_labels
from compete.types import TopK
from compete_plugins.metrics import register_metrics

PREDICTIONS = np.array([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3], [np.nan] * 3], np.float32)


def kept(predictions: np.ndarray, k: int) -> TopK:
    return keep_top(predictions, k, np.arange(predictions.shape[1]), predictions.shape[1])


def test_rows_are_cut_joined_and_made_dense_again():
    best = kept(PREDICTIONS, 2)
    assert best.shape == (3, 3) and len(best) == 3
    assert best.labels[:2].tolist() == [[1, 2], [0, 2]]
    np.testing.assert_array_equal(known_rows(best), [True, True, False])
    np.testing.assert_allclose(best.dense(), [[0, 0.6, 0.3], [0.5, 0, 0.3], [np.nan] * 3])
    again = concatenate([best[:1], best[np.array([1, 2])]])
    np.testing.assert_array_equal(again.dense(), best.dense())


def test_of_equal_values_the_first_class_is_better():
    equal = np.array([[0.2, 0.4, 0.4]])
    assert top_labels(equal, 3).tolist() == [[1, 2, 0]]
    assert kept(equal, 2).labels.tolist() == [[1, 2]]


def test_the_file_gives_back_what_was_kept_by_id(tmp_path):
    classes = ["one", "p1", "top1"]  # as unlucky as names can be
    write_predictions(tmp_path / "oof.parquet", ["a", "b", "c"], kept(PREDICTIONS, 2), classes)
    back = read_predictions(tmp_path / "oof.parquet", ["c", "b", "a", "unknown"], classes)
    assert isinstance(back, TopK)
    np.testing.assert_array_equal(known_rows(back), [False, True, True, False])
    np.testing.assert_allclose(back.dense()[1:3], [[0.5, 0, 0.3], [0, 0.6, 0.3]])


PROBABILITIES = arrays(np.float32, (6, 5), elements=st.floats(0, 1, width=32))
METRICS = {name: factory() for name, factory in register_metrics().items()}


@given(PROBABILITIES, st.lists(st.integers(0, 4), min_size=6, max_size=6))
def test_metrics_of_the_best_classes_score_them_as_they_score_all(predictions, labels):
    labels = np.array(labels)
    looking = {name: metric for name, metric in METRICS.items() if metric.top}
    assert sorted(looking) == ["accuracy", "error", "kappa", "macro_f1", "map_at_k", "micro_f1", "weighted_f1"]
    for name, metric in looking.items():
        best = kept(predictions, max(3, metric.top))
        np.testing.assert_allclose(metric.score(labels, best), metric.score(labels, predictions), err_msg=name)
