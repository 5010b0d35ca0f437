"""Judging: nothing is fitted on what it is scored on, gains have a sign and a spread, matrices are those of NumPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compete.blending.judge import (
    Judged,
    Stack,
    choose_method,
    compare_methods,
    correlations,
    disagreement,
    gain,
    judge,
    judge_inputs,
)
from compete.config.options import bind
from compete.config.registry import Component
from compete.predict.top_k import keep_top, top_labels
from compete.scores import MethodFacts
from compete.types import Metric, TopK
from compete_plugins.ensembles import mean, register_ensembles, weighted

ACCURACY = Metric(lambda labels, predictions: float((predictions.argmax(axis=1) == labels).mean()))
ERROR = Metric(lambda labels, predictions: float((predictions.argmax(axis=1) != labels).mean()), False)


def bound(name, factory):
    return bind(Component("ensembles", name, factory, "test"), {}, "[ensemble]")[0]


def memorise(oof, labels, test, metric):
    """Answers what it was shown, and nothing for other rows: perfect on its own rows, useless elsewhere."""
    return np.eye(oof.shape[2])[labels], np.full(test.shape[1:], 1 / test.shape[2])


def stack(noise=(1.0, 2.0, 4.0), rows=300, metric=ACCURACY):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, rows)
    oof = np.stack([np.eye(3)[labels] * 2 + n * rng.normal(size=(rows, 3)) for n in noise])
    parts = np.arange(rows) % 5
    return Stack(tuple("abcdef"[: len(noise)]), oof, labels, parts, metric, oof[:, :7])


def test_what_a_method_learned_by_heart_does_not_count():
    judged = judge(bound("memorise", memorise), stack())
    assert judged.score < 0.45  # a third of the rows have the class that a tie falls on
    assert len(judged.parts) == 5 and np.isfinite(judged.oof).all()


def test_a_fitted_method_is_fitted_on_the_other_parts():
    inputs = stack()
    judged = judge(bound("weighted", weighted), inputs)
    for part in range(5):
        inside = inputs.parts == part
        alone = weighted(inputs.oof[:, ~inside], inputs.labels[~inside], inputs.oof[:, inside], ACCURACY)[1]
        np.testing.assert_allclose(judged.oof[inside], alone)


def test_gains_are_positive_where_a_blend_is_better_in_either_direction():
    better, worse = Judged(np.zeros(0), 0.9, np.array([0.8, 1.0])), Judged(np.zeros(0), 0.7, np.array([0.7, 0.7]))
    assert gain(ACCURACY, better, worse) == (pytest.approx(0.2), pytest.approx(0.1))
    assert gain(ERROR, better, worse)[0] == pytest.approx(-0.2)
    assert (
        gain(ACCURACY, Judged(np.zeros(0), 0.9, np.array([0.9])), Judged(np.zeros(0), 0.9, np.array([0.9])))[1] is None
    )


def test_a_method_replaces_the_mean_only_if_it_is_clearly_better():
    methods = [
        MethodFacts(name="mean", score=0.8, gain=0.0, error=0.0),
        MethodFacts(name="a", score=0.82, gain=0.02, error=0.03),
    ]
    assert choose_method(methods) == "mean"
    assert choose_method([*methods, MethodFacts(name="b", score=0.83, gain=0.03, error=0.01)]) == "b"
    assert choose_method([*methods, MethodFacts(name="c", problem="no")]) == "mean"


def test_a_method_that_fails_says_why_and_the_others_go_on():
    def broken(oof, labels, test, metric):
        raise ValueError("not today")

    methods = {"mean": bound("mean", mean), "x": bound("x", broken)}
    found = {facts.name: facts for facts in compare_methods(methods, stack())}
    assert found["x"].problem == "not today" and found["x"].score is None and found["mean"].gain == 0


def test_a_harmful_input_is_worth_dropping():
    inputs = stack(noise=(0.5, 0.6, 30.0))
    method = bound("mean", mean)
    facts = list(judge_inputs(method, inputs, judge(method, inputs)))
    assert [each.name for each in facts if each.gain <= 0] == ["c"]
    assert facts[2].without == judge(method, inputs.without(2)).score


def test_matrices_are_numpys():
    inputs = stack()
    np.testing.assert_allclose(correlations(inputs.oof), np.corrcoef(inputs.oof.reshape(3, -1)), atol=1e-12)
    found = disagreement(inputs.oof, inputs.labels)
    best = inputs.oof.argmax(axis=2)
    assert found[0, 1] == (best[0] != best[1]).mean() and found[1, 1] == 0
    assert np.isnan(disagreement(inputs.oof[:, :, :1], np.linspace(0, 9, 300))).all()
    binary = disagreement(np.array([[[0.4], [0.6]], [[0.6], [0.7]]]), np.array([0, 1]))
    assert binary[0, 1] == 0.5


def test_every_bundled_method_is_judged_on_a_blend():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 120)
    raw = np.exp(np.stack([np.eye(3)[labels] * 2 + n * rng.normal(size=(120, 3)) for n in (1, 2)]))
    oof = raw / raw.sum(axis=2, keepdims=True)
    inputs = Stack(("a", "b"), oof, labels, np.arange(120) % 4, ACCURACY, oof[:, :5])
    methods = {name: bound(name, factory) for name, factory in register_ensembles().items()}
    found = list(compare_methods(methods, inputs))
    assert len(found) == 7 and not any(facts.problem for facts in found)


def test_inputs_that_kept_every_class_are_judged_as_if_nothing_were_left_out():
    dense = stack(rows=150)
    best = tuple(keep_top(member.astype(np.float32), 3, np.arange(3), 3) for member in dense.oof)
    kept = replace(dense, oof=best, metric=map_at_k(3), test=tuple(member[:7] for member in best))
    dense = replace(dense, metric=map_at_k(3))
    mean_of = bound("mean", mean)
    one, other = judge(mean_of, kept), judge(mean_of, dense)
    np.testing.assert_allclose(one.oof.dense(), other.oof, atol=1e-6)
    assert one.score == pytest.approx(other.score) and one.parts == pytest.approx(other.parts)
    np.testing.assert_allclose(correlations(best), correlations(dense.oof), atol=1e-6)
    np.testing.assert_array_equal(disagreement(best, kept.labels), disagreement(dense.oof, dense.labels))
    for mine, theirs in zip(judge_inputs(mean_of, kept, one), judge_inputs(mean_of, dense, other), strict=True):
        assert (mine.score, mine.without, mine.gain) == pytest.approx((theirs.score, theirs.without, theirs.gain))


def test_a_class_that_an_input_did_not_keep_counts_0_there():
    """Worked by hand: of classes 0 to 3 two inputs kept the best 2 and the best 1, another class as the row's best."""
    one = TopK(np.array([[2, 0], [1, 3]], np.int32), np.array([[0.6, 0.3], [0.5, 0.4]], np.float32), 4)
    two = TopK(np.array([[0], [3]], np.int32), np.array([[0.8], [0.9]], np.float32), 4)
    inputs = Stack(("one", "two"), (one, two), np.array([0, 1]), np.array([0, 1]), map_at_k(2), (one, two))
    judged = judge(bound("mean", mean), inputs)
    assert judged.oof.labels.tolist() == [[0, 2], [3, 1]]
    np.testing.assert_allclose(judged.oof.values, [[0.55, 0.3], [0.65, 0.25]], atol=1e-7)
    assert judged.parts.tolist() == [1.0, 0.5] and judged.score == 0.75  # the right class is first, then second
    own = [facts.score for facts in judge_inputs(bound("mean", mean), inputs, judged)]
    assert own == [0.75, 0.5]  # ranks 2 and 1; rank 1, and not kept
    found = {method.name: method for method in compare_methods(BOUND, inputs)}
    assert found["mean"].score == 0.75 and choose_method(list(found.values())) == "mean"
    assert all(method.score is None for name, method in found.items() if name != "mean")
    assert 'name = "weighted" needs every probability' in found["weighted"].problem


BOUND = {
    name: bound(name, each) for name, each in sorted(register_ensembles().items(), key=lambda item: item[0] != "mean")
}


def map_at_k(k):
    """Mean average precision of one right class among the best k, by hand."""

    def score(labels, predictions):
        ranked = top_labels(predictions, k)
        return float(
            np.mean(
                [
                    sum((row == label) / (n + 1) for n, row in enumerate(best))
                    for best, label in zip(ranked, labels, strict=True)
                ]
            )
        )

    return Metric(score, top=k)
