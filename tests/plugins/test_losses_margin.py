"""ArcFace: the formula and its straight part."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from compete_plugins.losses import arcface, cross_entropy

FOLD = torch.tensor([0, 1, 2])
ANGLES = torch.tensor([[0.4, 1.2, 2.0], [1.0, 0.2, 2.9]])
LABELS = torch.tensor([0, 1])


def test_the_true_class_s_angle_is_wider_by_the_margin():
    loss = arcface(FOLD, margin=0.5, scale=16.0)(16 * ANGLES.cos(), LABELS)
    wider = ANGLES.clone()
    wider[[0, 1], LABELS] += 0.5
    torch.testing.assert_close(loss, F.cross_entropy(16 * wider.cos(), LABELS))


def test_without_a_margin_it_is_cross_entropy_also_with_smoothing():
    logits = 30 * ANGLES.cos()
    for smoothing in (0.0, 0.1):
        plain = cross_entropy(FOLD, label_smoothing=smoothing)(logits, LABELS)
        torch.testing.assert_close(arcface(FOLD, margin=0.0, label_smoothing=smoothing)(logits, LABELS), plain)


def test_beyond_180_degrees_the_cosine_keeps_falling():
    angles = torch.tensor([[math.pi - 0.3, 1.0, 1.0], [math.pi - 0.1, 1.0, 1.0]])
    first, second = (arcface(FOLD, margin=0.5)(30 * row[None].cos(), torch.tensor([0])) for row in angles)
    assert second > first


def test_soft_targets_share_the_margin():
    logits = 30 * ANGLES.cos()
    hard = arcface(FOLD)(logits, LABELS)
    torch.testing.assert_close(arcface(FOLD)(logits, F.one_hot(LABELS, 3).float()), hard)
    half = torch.tensor([[0.5, 0.5, 0.0]])
    assert torch.isfinite(arcface(FOLD)(logits[:1], half))


def test_a_cosine_of_one_has_a_finite_gradient():
    logits = torch.tensor([[30.0, -30.0, 0.0]], requires_grad=True)
    arcface(FOLD)(logits, torch.tensor([0])).backward()
    assert torch.isfinite(logits.grad).all()
