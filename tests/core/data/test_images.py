"""Images of two kinds in one table: measured data beside bytes."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from compete.config.settings import Images
from compete.data.decoder import Decoder
from compete.data.images import open_image_set
from compete.data.loaders import ImageDataset, Item
from compete.files.root import Files


def opened(folder, *names, cache=True):
    settings = Images(size=(4, 4), cache=cache, cache_dir=str(folder / "cache"))
    decoder = Decoder(Files(folder), dict.fromkeys(("npy", "jpg"), lambda data: np.load(io.BytesIO(data))), settings)
    table = pd.DataFrame({"image": [f"{name}.npy" for name in names]})
    return open_image_set(table, decoder, "key", lambda *_: None)


@pytest.fixture
def folder(tmp_path):
    for name, value, dtype in (("bytes", 200, np.uint8), ("fractions", 0.25, np.float32), ("large", 1e6, np.float32)):
        np.save(tmp_path / f"{name}.npy", np.full((4, 4, 3), value, dtype))
    return tmp_path


def test_a_cache_of_bytes_refuses_floats_that_it_would_truncate(folder):
    found = opened(folder, "bytes", "fractions")
    assert found.images.dtype == np.uint8 and list(found.unreadable) == [1]
    assert found.unreadable[1].startswith("fractions.npy: its pixels are float32, those of the first image uint8")


def test_a_cache_of_floats_takes_bytes_as_fractions(folder):
    found = opened(folder, "fractions", "bytes")
    assert not found.unreadable
    np.testing.assert_allclose(found.images[1], 200 / 255, rtol=1e-3)


def test_floats_beyond_half_precision_are_refused(folder):
    found = opened(folder, "fractions", "large")
    assert found.unreadable[1].startswith("large.npy: its pixels go up to 1e+06, beyond the cache's half precision")


def test_without_a_cache_a_batch_of_both_kinds_is_of_fractions(folder):
    images = opened(folder, "bytes", "fractions", cache=False).images
    batch = ImageDataset(images).__getitems__([Item(0, 0, 0), Item(1, 1, 0)])
    np.testing.assert_allclose(batch.images[:, 0, 0, 0], [200 / 255, 0.25], rtol=1e-6)
