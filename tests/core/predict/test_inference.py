"""Pooling over the images of a row, batches of whole rows, and the best classes kept."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compete.data.images import ImagesByRow
from compete.data.loaders import prediction_batches
from compete.predict.inference import Pooling
from compete.predict.rows import predict_rows
from compete.train.trainer import build_trainer
from compete.types import Member

PREDICTIONS = torch.tensor([[0.1, 0.9], [0.5, 0.5], [0.3, 0.7]])
OWNER = torch.tensor([0, 0, 1])


def test_pooling():
    torch.testing.assert_close(Pooling()(PREDICTIONS, OWNER, 2), [torch.tensor([[0.3, 0.7], [0.3, 0.7]])])
    torch.testing.assert_close(Pooling("max")(PREDICTIONS, OWNER, 2), [torch.tensor([[0.5, 0.9], [0.3, 0.7]])])
    assert Pooling()(PREDICTIONS, None, 3)[0] is PREDICTIONS
    values, labels = Pooling(top=1)(PREDICTIONS, OWNER, 2)
    assert labels.tolist() == [[1], [1]] and values.dtype == torch.float32 and labels.dtype == torch.int32


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.integers(1, 5))
def test_batches_hold_whole_rows_in_order_and_every_image_once(counts, size):
    images = ImagesByRow(np.repeat(np.arange(len(counts)), counts), len(counts))
    rows = np.arange(len(counts))[::-1].copy()
    batches = list(prediction_batches(rows, images, size))
    owners = [list(dict.fromkeys(item.row for item in batch)) for batch in batches]
    assert [row for own in owners for row in own] == [row for row in rows if counts[row]]
    assert sorted(item.image for batch in batches for item in batch) == list(range(sum(counts)))
    assert all(len(batch) <= size or len(own) == 1 for batch, own in zip(batches, owners, strict=True))


def test_images_that_are_left_out_leave_the_others_numbers_alone():
    images = ImagesByRow(np.array([0, 0, 1, 2]), 3).without(np.array([0, 2]))
    assert [images[row].tolist() for row in range(3)] == [[1], [], [3]]
    assert images.counts.tolist() == [1, 0, 1]


@pytest.fixture
def pairs(tiny):
    """Two images to a row."""
    train = pd.read_csv(tiny / "data/train.csv", dtype=str)
    plugin = (tiny / "tiny_plugin.py").read_text()
    (tiny / "tiny_plugin.py").write_text(
        plugin.replace(
            "return Tables(train if",
            'train["image"] = [[one, "test/t0.png"] for one in train["image"]]\n    return Tables(train if',
        )
    )
    return train


def predicted(make_run, *overrides):
    run = make_run("model.name=oracle", *overrides)
    trainer = build_trainer(run, Member(0, 42))
    return predict_rows(run.predictor(), [trainer.network], [trainer.scaler], run.train_inputs, np.array([4, 1]))[0]


def test_several_images_of_a_row_are_pooled_as_the_toml_says(pairs, make_run):
    """The second image is of class 0, the first of row 4's and row 1's class: rows 4 and 1 are c and a."""
    assert [pairs["label"][row] for row in (4, 1)] == ["c", "a"]
    mean = predicted(make_run)
    np.testing.assert_allclose(mean, [[0.5, 0, 0.5], [1, 0, 0]], atol=1e-3)
    np.testing.assert_allclose(predicted(make_run, "inference.pool=max"), [[1, 0, 1], [1, 0, 0]], atol=1e-3)
    best = predicted(make_run, "inference.keep_top=1")
    assert best.labels.shape == (2, 1) and best.labels[1].tolist() == [0]
