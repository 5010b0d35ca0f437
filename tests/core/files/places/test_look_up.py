"""Where paths below a URL lead: archives that cannot be read in place are refused in words."""

from __future__ import annotations

import pytest

from compete.errors import DataError
from compete.files.root import Files
from core.files.places.conftest import MEMORY
from file_fixtures import make_tar, make_zip


@pytest.mark.parametrize("path", ["train/1.jpg", "train.tar/1.jpg", "train.tar/train/1.jpg", "train/train/1.jpg"])
def test_a_tar_takes_the_place_of_a_folder_as_on_a_disk(put, tmp_path, path):
    put("train.tar", make_tar(tmp_path / "x.tar", {"train/1.jpg": b"one"}).read_bytes())
    (tmp_path / "disk").mkdir()
    make_tar(tmp_path / "disk/train.tar", {"train/1.jpg": b"one"})
    assert Files(MEMORY, tmp_path).read(path) == Files(tmp_path / "disk", tmp_path).read(path) == b"one"


@pytest.mark.parametrize("path", ["train.zip/1.jpg", "train/1.jpg"])
def test_other_archives_of_a_store_are_refused(put, tmp_path, path):
    put("train.zip", make_zip(tmp_path / "x.zip", {"1.jpg": b"one"}).read_bytes())
    with pytest.raises(DataError, match=r"memory://data/train.zip: of the archives in a store only plain tar"):
        Files(MEMORY, tmp_path).read(path)
