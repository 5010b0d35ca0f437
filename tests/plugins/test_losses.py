from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F

from compete import ConfigError
from compete_plugins import losses
from compete_plugins.losses import register_losses

UNHURRIED = settings(deadline=None)  # torch's first call can take half a second

FOLD = torch.tensor([0] * 6 + [1] * 3 + [2])
LOGITS = torch.tensor([[2.0, -1.0, 0.3], [0.1, 0.2, -0.4], [-1.0, 1.5, 3.0], [0.0, 0.0, 0.0]])
LABELS = torch.tensor([0, 1, 2, 2])
VOTES = torch.tensor([[0.7, 0.2, 0.1], [0.0, 1.0, 0.0], [0.3, 0.3, 0.4], [0.5, 0.0, 0.5]])


def one_hot(labels: torch.Tensor, classes: int) -> torch.Tensor:
    return F.one_hot(labels, classes).float()


def weights_of(scheme: str, fold: torch.Tensor = FOLD, classes: int = 3, **options: float) -> torch.Tensor:
    """Read a class's weight off the loss: one row of it, over its unweighted loss."""
    loss = losses.cross_entropy(fold, class_weights=scheme, **options)
    plain = losses.cross_entropy(fold)
    logits = torch.zeros(1, classes)
    rows = [torch.tensor([number]) for number in range(classes)]
    return torch.stack([loss(logits, row) / plain(logits, row) for row in rows])


# --- cross entropy -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("targets", [LABELS, VOTES], ids=["labels", "votes"])
def test_cross_entropy_is_that_of_torch(targets, smoothing):
    loss = losses.cross_entropy(FOLD, label_smoothing=smoothing)
    torch.testing.assert_close(loss(LOGITS, targets), F.cross_entropy(LOGITS, targets, label_smoothing=smoothing))


def test_balanced_weights_are_those_of_scikit_learn():
    # scikit-learn's weights N / (classes * rows) average one over the rows as well
    expected = compute_class_weight("balanced", classes=np.arange(3), y=FOLD.numpy())
    torch.testing.assert_close(weights_of("balanced"), torch.tensor(expected, dtype=torch.float32))


def test_sqrt_and_effective_weights_by_hand():
    rows = torch.tensor([6.0, 3.0, 1.0])
    for scheme, raw in {"sqrt": rows**-0.5, "effective": 0.001 / (1 - 0.999**rows)}.items():
        torch.testing.assert_close(weights_of(scheme), raw * 10 / (raw * rows).sum())


@UNHURRIED
@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.sampled_from(["balanced", "sqrt", "effective"]))
def test_weights_are_finite_and_average_one_over_the_rows(labels, scheme):
    fold = torch.tensor(labels)
    weights = weights_of(scheme, fold, classes=6)
    assert torch.isfinite(weights).all()
    torch.testing.assert_close(weights[fold].mean(), torch.tensor(1.0))
    absent = [number for number in range(6) if number not in labels]
    assert (weights[absent] == 0).all()


def test_one_hot_rows_give_the_weights_of_their_labels():
    torch.testing.assert_close(weights_of("balanced", one_hot(FOLD, 3)), weights_of("balanced"))


def test_a_class_with_a_trace_of_votes_is_not_blown_up():
    fold = torch.tensor([[1.0, 0.0]] * 99 + [[1 - 1e-6, 1e-6]])
    weights = weights_of("balanced", fold, classes=2)
    assert weights[1] / weights[0] == pytest.approx(100, rel=1e-3)  # as if it had one row


def test_a_weighted_batch_is_divided_by_its_rows_not_by_its_weights():
    loss = losses.cross_entropy(FOLD, class_weights="balanced")
    each = F.cross_entropy(LOGITS, LABELS, reduction="none") * weights_of("balanced")[LABELS]
    torch.testing.assert_close(loss(LOGITS, LABELS), each.mean())
    assert loss(LOGITS[2:], LABELS[2:]) > 2 * F.cross_entropy(LOGITS[2:], LABELS[2:])


def test_weights_of_soft_labels_are_those_of_the_labels_they_may_be():
    loss = losses.cross_entropy(FOLD, class_weights="balanced", label_smoothing=0.1)
    row = LOGITS[:1]
    by_label = [share * loss(row, torch.tensor([number])) for number, share in enumerate(VOTES[0])]
    torch.testing.assert_close(loss(row, VOTES[:1]), torch.stack(by_label).sum())


def test_smoothing_does_not_move_a_common_row_towards_a_rare_class():
    fold = torch.tensor([0] * 980 + [1] * 20)
    loss = losses.cross_entropy(fold, class_weights="balanced", label_smoothing=0.1)
    logits = torch.zeros(1, 2, requires_grad=True)
    for _ in range(300):
        (gradient,) = torch.autograd.grad(loss(logits, torch.tensor([0])), logits)
        logits = (logits - gradient).detach().requires_grad_()
    assert logits.softmax(1)[0, 0].item() == pytest.approx(0.95, abs=1e-3)


def test_focal_by_hand():
    probability = LOGITS.softmax(1)[range(4), LABELS]
    expected = (-((1 - probability) ** 1.5) * probability.log()).mean()
    torch.testing.assert_close(losses.focal(FOLD, gamma=1.5)(LOGITS, LABELS), expected)
    by_class = -(VOTES * (1 - LOGITS.softmax(1)) ** 2 * LOGITS.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(losses.focal(FOLD)(LOGITS, VOTES), by_class)


def test_focal_without_gamma_is_cross_entropy():
    options = {"label_smoothing": 0.2, "class_weights": "sqrt"}
    for targets in (LABELS, VOTES):
        torch.testing.assert_close(
            losses.focal(FOLD, gamma=0.0, **options)(LOGITS, targets),
            losses.cross_entropy(FOLD, **options)(LOGITS, targets),
        )


@pytest.mark.parametrize("gamma", [0.1, 0.5, 2.0])
def test_focal_has_a_gradient_for_a_certain_row(gamma):
    logits = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
    losses.focal(FOLD, gamma=gamma)(logits, torch.tensor([0])).backward()
    assert torch.isfinite(logits.grad).all()


def test_class_balanced_weights_by_the_effective_number():
    raw = 0.1 / (1 - 0.9 ** torch.tensor([6.0, 3.0, 1.0]))
    weights = raw * 10 / (raw * torch.tensor([6.0, 3.0, 1.0])).sum()
    each = F.cross_entropy(LOGITS, LABELS, reduction="none")
    expected = (weights[LABELS] * each).mean()
    torch.testing.assert_close(losses.class_balanced(FOLD, beta=0.9)(LOGITS, LABELS), expected)
    probability = (-each).exp()
    torch.testing.assert_close(
        losses.class_balanced(FOLD, beta=0.9, gamma=2.0)(LOGITS, LABELS),
        (weights[LABELS] * (1 - probability) ** 2 * each).mean(),
    )


# --- soft F1 -------------------------------------------------------------------------------------------------


def test_soft_f1_of_certain_predictions_is_the_macro_f1():
    from sklearn.metrics import f1_score

    y_true, y_pred = torch.tensor([0, 0, 1, 2, 2, 2]), torch.tensor([0, 1, 1, 2, 2, 0])
    loss = losses.soft_f1(FOLD)(one_hot(y_pred, 3) * 100, y_true)
    assert loss.item() == pytest.approx(1 - f1_score(y_true, y_pred, average="macro"), abs=1e-5)


def test_soft_f1_by_hand():
    probabilities, soft = LOGITS.softmax(1), one_hot(LABELS, 3)
    f1 = [
        2 * sum(probabilities[i, c] * soft[i, c] for i in range(4)) / (probabilities[:, c].sum() + soft[:, c].sum())
        for c in range(3)
    ]
    torch.testing.assert_close(losses.soft_f1(FOLD)(LOGITS, LABELS), 1 - sum(f1) / 3)
    mixed = 0.7 * (1 - sum(f1) / 3) + 0.3 * F.cross_entropy(LOGITS, LABELS)
    torch.testing.assert_close(losses.soft_f1(FOLD, cross_entropy_share=0.3)(LOGITS, LABELS), mixed)


def test_soft_f1_leaves_out_classes_that_the_batch_lacks():
    logits = one_hot(torch.tensor([0, 1]), 3) * 100
    assert losses.soft_f1(FOLD)(logits, torch.tensor([0, 1])).item() == pytest.approx(0, abs=1e-6)


def test_soft_f1_of_independent_labels():
    soft = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    mixed = losses.soft_f1(soft, activation="sigmoid", cross_entropy_share=0.5)(LOGITS, soft)
    probabilities = LOGITS.sigmoid()
    f1 = (2 * (probabilities * soft).sum(0) / (probabilities.sum(0) + soft.sum(0)))[:2].mean()
    entropy = F.binary_cross_entropy_with_logits(LOGITS, soft)
    torch.testing.assert_close(mixed, 0.5 * (1 - f1) + 0.5 * entropy)
    assert losses.soft_f1(soft, activation="sigmoid")(LOGITS, soft * 0).item() == 1.0


# --- independent outputs, votes, numbers ---------------------------------------------------------------------

COLUMNS = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])


def test_bce_is_that_of_torch_and_weights_positives_by_the_fold():
    plain = F.binary_cross_entropy_with_logits(LOGITS, COLUMNS)
    torch.testing.assert_close(losses.bce(COLUMNS)(LOGITS, COLUMNS), plain)
    weight = torch.tensor([1 / 3, 3.0, 1.0])  # the last column never changes
    torch.testing.assert_close(
        losses.bce(COLUMNS, pos_weight="balanced")(LOGITS, COLUMNS),
        F.binary_cross_entropy_with_logits(LOGITS, COLUMNS, pos_weight=weight),
    )


def test_bce_smooths_towards_one_half_and_does_not_weight_a_negative_row_as_positive():
    loss = losses.bce(COLUMNS, label_smoothing=0.2)
    torch.testing.assert_close(loss(LOGITS, COLUMNS), F.binary_cross_entropy_with_logits(LOGITS, COLUMNS * 0.8 + 0.1))
    rare = losses.bce(torch.tensor([[1.0]] + [[0.0]] * 99), label_smoothing=0.2, pos_weight="balanced")
    row, smooth = torch.ones(1, 1), F.binary_cross_entropy_with_logits
    torch.testing.assert_close(rare(row, row * 0), smooth(row, row * 0.1))
    torch.testing.assert_close(rare(row, row), 99 * smooth(row, row * 0.9))


def test_bce_takes_class_numbers():
    for outputs in (3, 4):
        logits, soft = LOGITS.new_ones(4, outputs), one_hot(LABELS, outputs)
        weight = F.pad(torch.tensor([4 / 6, 7 / 3, 9.0]), (0, outputs - 3), value=1.0)
        torch.testing.assert_close(
            losses.bce(FOLD, pos_weight="balanced")(logits, LABELS),
            F.binary_cross_entropy_with_logits(logits, soft, pos_weight=weight),
        )


@pytest.mark.parametrize("pos_weight", ["none", "balanced"])
def test_bce_takes_zeros_and_ones_for_a_single_output(pos_weight):
    fold = torch.tensor([0, 0, 0, 1])
    numbers = losses.bce(fold, pos_weight=pos_weight)
    columns = losses.bce(fold.float()[:, None], pos_weight=pos_weight)
    logits, labels = torch.randn(4, 1), torch.tensor([1, 0, 1, 1])
    torch.testing.assert_close(numbers(logits, labels), columns(logits, labels.float()[:, None]))


def test_votes_losses():
    for name in ("soft_cross_entropy", "kl"):
        loss = register_losses()[name](VOTES)
        entropy = torch.special.entr(VOTES).sum(1).mean() if name == "kl" else 0
        torch.testing.assert_close(loss(LOGITS, VOTES), F.cross_entropy(LOGITS, VOTES) - entropy)
        torch.testing.assert_close(loss(LOGITS, LABELS), F.cross_entropy(LOGITS, LABELS))
    sure = torch.log(VOTES.clamp_min(1e-9))
    assert losses.kl(VOTES)(sure, VOTES).item() == pytest.approx(0, abs=1e-6)


def test_number_losses_compare_the_sigmoid():
    logits, soft = torch.tensor([[0.0], [2.0]]), torch.tensor([[0.25], [1.0]])
    probability = logits.sigmoid()
    torch.testing.assert_close(losses.mse(soft)(logits, soft), ((probability - soft) ** 2).mean())
    expected = -(soft * probability.log() + (1 - soft) * (1 - probability).log()).mean()
    torch.testing.assert_close(losses.bce_scaled(soft)(logits, soft), expected)


@pytest.mark.parametrize("name", sorted(register_losses()))
@pytest.mark.parametrize("targets", [LABELS, VOTES], ids=["labels", "votes"])
def test_every_loss_is_float32_under_bf16_and_sends_a_gradient(name, targets):
    loss = register_losses()[name](targets)
    logits = LOGITS.bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(logits, targets)
    assert value.dtype == torch.float32 and value.ndim == 0
    torch.testing.assert_close(value, loss(LOGITS.bfloat16().float(), targets))
    value.backward()
    assert torch.isfinite(logits.grad).all() and logits.grad.abs().sum() > 0


@pytest.mark.parametrize("name", sorted(set(register_losses()) - {"mse", "bce_scaled"}))
def test_every_loss_takes_a_fold_that_misses_the_last_class(name):
    loss = register_losses()[name](torch.tensor([0, 0, 1]))
    assert torch.isfinite(loss(LOGITS, LABELS))


def test_the_weights_are_copied_to_the_device_once(monkeypatch):
    loss = losses.cross_entropy(FOLD, class_weights="balanced")
    loss(LOGITS, LABELS)

    def refuse(*_: object) -> None:
        raise AssertionError("the weights were moved again")

    monkeypatch.setattr(torch.Tensor, "to", refuse)
    loss(LOGITS, LABELS)


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "class_balanced", "soft_f1", "soft_cross_entropy", "kl"])
def test_a_softmax_refuses_targets_that_are_not_a_choice(name):
    make = register_losses()[name]
    with pytest.raises(ConfigError) as one:
        make(torch.ones(5, 1))
    assert str(one.value) == (
        f'[loss] name = "{name}": a target with one output is not a choice between classes. '
        "Use 'bce' for yes or no, 'mse' or 'bce_scaled' for a number."
    )
    with pytest.raises(ConfigError) as several:
        make(torch.tensor([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]]))
    assert str(several.value) == (
        f'[loss] name = "{name}": needs one class, or soft targets that sum to one, per row; 2 of 3 training rows '
        "hold several labels or none. Use 'bce'."
    )


@pytest.mark.parametrize("name", ["mse", "bce_scaled"])
def test_a_sigmoid_refuses_values_it_cannot_reach(name):
    with pytest.raises(ConfigError) as error:
        register_losses()[name](torch.tensor([[1.0], [100.0]]))
    assert str(error.value) == (
        f'[loss] name = "{name}": needs targets scaled to 0..1; those of the training rows range from 1 to 100. '
        "The targets 'regression' and 'ordinal' scale them."
    )
    with pytest.raises(ConfigError, match="range from nan to nan"):
        register_losses()[name](torch.tensor([[1.0], [float("nan")]]))


@pytest.mark.parametrize("targets", [LABELS, VOTES], ids=["labels", "votes"])
def test_smoothed_kl_has_the_gradient_of_torch_s_smoothed_cross_entropy(targets):
    logits, again = (LOGITS.clone().requires_grad_() for _ in range(2))
    value = losses.kl(VOTES, label_smoothing=0.2)(logits, targets)
    value.backward()
    F.cross_entropy(again, targets, label_smoothing=0.2).backward()
    torch.testing.assert_close(logits.grad, again.grad)
    soft = torch.lerp(one_hot(targets, 3) if targets.ndim == 1 else targets, torch.tensor(1 / 3), 0.2)
    expected = F.cross_entropy(LOGITS, targets, label_smoothing=0.2) + (soft * soft.log()).sum(dim=1).mean()
    torch.testing.assert_close(value.detach(), expected)


def test_smoothed_soft_f1_worked_by_hand():
    """Two rows of class 0, of three classes, predicted evenly: each target is (0.8, 0.1, 0.1) at a smoothing of 0.3.
    Class 0 alone counts: 2 * 2 * 0.8 / 3 over 2 / 3 + 1.6."""
    loss = losses.soft_f1(FOLD, label_smoothing=0.3)(torch.zeros(2, 3), torch.tensor([0, 0]))
    assert loss.item() == pytest.approx(1 - (4 * 0.8 / 3) / (2 / 3 + 1.6))


def test_smoothed_soft_f1_of_independent_labels():
    """A label of 1 becomes 0.9, one of 0 becomes 0.1, at a smoothing of 0.2; the second label counts for no row."""
    soft = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    loss = losses.soft_f1(soft, activation="sigmoid", label_smoothing=0.2)(torch.zeros(2, 2), soft)
    assert loss.item() == pytest.approx(1 - 2 * (0.5 * 0.9 + 0.5 * 0.1) / (1.0 + 1.0))
