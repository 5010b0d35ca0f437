from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from compete.config.options import bind
from compete.config.registry import Component
from compete_plugins.batch_transforms import cutmix, half_cutmix, mixup

UNHURRIED = settings(deadline=None)  # torch's first call can take half a second

ALL = {"mixup": mixup, "cutmix": cutmix, "half_cutmix": half_cutmix}


def painted(batch: int, height: int, width: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images painted with their class number in every pixel, and the shares of two heads."""
    labels = torch.arange(batch) % classes
    images = labels.float()[:, None, None, None].expand(batch, 3, height, width).contiguous()
    first = torch.nn.functional.one_hot(labels, classes).float()
    second = torch.nn.functional.one_hot(labels % 2, 2).float()
    return images, torch.cat([first, second], dim=1)


def pixel_shares(images: torch.Tensor, classes: int) -> torch.Tensor:
    return torch.stack([(images == number).float().mean(dim=(1, 2, 3)) for number in range(classes)], dim=1)


@UNHURRIED
@given(
    st.sampled_from(["cutmix", "half_cutmix"]),
    st.integers(1, 7),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 2**31),
)
def test_the_label_is_the_exact_share_of_pixels(name, batch, height, width, seed):
    images, targets = painted(batch, height, width, classes=5)
    options = {"low": 0.1, "high": 0.9} if name == "half_cutmix" else {}
    torch.manual_seed(seed)
    mixed, labels = ALL[name](probability=1.0, **options)(images, targets)
    torch.testing.assert_close(pixel_shares(mixed, 5), labels[:, :5])
    torch.testing.assert_close(labels[:, 5:].sum(1), torch.ones(batch))


@UNHURRIED
@given(st.integers(1, 7), st.integers(0, 2**31))
def test_mixup_blends_images_and_labels_alike(batch, seed):
    images, targets = painted(batch, 4, 4, classes=7)
    torch.manual_seed(seed)
    mixed, labels = mixup(alpha=1.0)(images, targets)
    mean_class = (labels[:, :7] * torch.arange(7)).sum(1)
    torch.testing.assert_close(mixed, mean_class[:, None, None, None].expand_as(mixed))
    torch.testing.assert_close(labels[:, :7].sum(1), torch.ones(batch))
    torch.testing.assert_close(labels[:, 7:].sum(1), torch.ones(batch))


@pytest.mark.parametrize("name", sorted(ALL))
def test_probability_is_the_share_of_batches_mixed(name):
    images, targets = painted(8, 8, 8, classes=8)
    torch.manual_seed(0)
    for probability, low, high in ((0.0, 0, 0), (0.3, 40, 85), (1.0, 150, 200)):
        transform = ALL[name](probability=probability)
        mixed = sum(not torch.equal(transform(images, targets)[0], images) for _ in range(200))
        assert low <= mixed <= high


@pytest.mark.parametrize("name", sorted(ALL))
def test_the_seed_decides_and_the_input_stays_as_it_was(name):
    images, targets = painted(6, 8, 8, classes=6)
    kept = images.clone(), targets.clone()
    transform = ALL[name](probability=1.0)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(transform(images, targets))
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)
    assert not torch.equal(results[0][0], results[2][0])
    assert torch.equal(images, kept[0]) and torch.equal(targets, kept[1])


@pytest.mark.parametrize("name", sorted(ALL))
def test_dtype_and_memory_format_are_kept(name):
    images, targets = painted(4, 8, 8, classes=4)
    images = images.bfloat16().contiguous(memory_format=torch.channels_last)
    mixed, labels = ALL[name](probability=1.0)(images, targets)
    assert mixed.dtype == torch.bfloat16 and labels.dtype == torch.float32
    assert mixed.is_contiguous(memory_format=torch.channels_last)


def test_half_cutmix_cuts_where_it_should():
    images, targets = painted(16, 4, 100, classes=16)
    torch.manual_seed(3)
    for _ in range(20):
        mixed, labels = half_cutmix(low=0.46, high=0.54, probability=1.0)(images, targets)
        moved = mixed[:, 0, 0] != images[:, 0, 0]
        first = moved.float().argmax(1)[moved.any(1)]
        assert ((first >= 46) & (first <= 54)).all() and len(set(first.tolist())) == 1
        assert moved[moved.any(1), 99].all()  # the right part, to the edge
        own = labels[:, :16].diagonal()[moved.any(1)]
        assert ((own >= 0.46 - 1e-6) & (own <= 0.54 + 1e-6)).all()


def test_cutmix_boxes_follow_alpha_and_reach_every_place():
    images, targets = painted(2, 16, 16, classes=2)
    torch.manual_seed(0)
    transform = cutmix(probability=1.0)
    pasted = []
    while len(pasted) < 300:
        mixed, _ = transform(images, targets)
        pasted.append((mixed[1, 0] == 0).float())
    seen = torch.stack(pasted).mean(0)
    assert (seen > 0).all()
    assert seen[8, 8] > seen[0, 0]  # boxes are cut at the border, so corners are hit less


def test_half_cutmix_refuses_an_empty_range():
    component = Component("batch_transforms", "half_cutmix", half_cutmix, "test")
    _, problems = bind(component, {"low": 0.6, "high": 0.4}, "[[batch_transforms]]")
    assert [str(p) for p in problems] == ["[[batch_transforms]]: low = 0.6 must not exceed high = 0.4."]
    assert bind(component, {"low": 0.5, "high": 0.5}, "[[batch_transforms]]")[1] == []
