"""What stores say of objects: a checksum counts wherever the bytes lie, a version only with the path."""

from __future__ import annotations

from base64 import b64encode
from hashlib import md5

import pytest

from compete.files.places.marks import mark_of

MD5 = md5(b"one").hexdigest()


@pytest.mark.parametrize(
    "info",
    [
        {"ETag": f'"{MD5}"'},  # S3
        {"md5Hash": b64encode(md5(b"one").digest()).decode()},  # Google Cloud Storage
        {"content_settings": {"content_md5": None}, "content_md5": bytearray(md5(b"one").digest())},  # Azure
    ],
)
def test_checksums_of_stores_agree(info):
    assert mark_of(info, "a", web=False) == mark_of(info, "b", web=False) == f"md5:{MD5}"


def test_a_large_file_of_the_hub_has_its_sha256():
    info = {"lfs": {"sha256": "ab" * 32, "size": 3}, "blob_id": "x"}
    assert mark_of(info, "a", web=False) == f"sha256:{'ab' * 32}"


@pytest.mark.parametrize(
    ("info", "web"), [({"ETag": f'"{MD5}-2"'}, False), ({"ETag": f'"{MD5}"'}, True), ({"mtime": 1.5}, False)]
)
def test_a_version_counts_with_path_and_size(info, web):
    first = mark_of({**info, "size": 3}, "a", web)
    assert first.startswith("version:")
    assert len({first, mark_of({**info, "size": 3}, "b", web), mark_of({**info, "size": 4}, "a", web)}) == 3


def test_nothing_identifies_what_has_only_a_size():
    assert mark_of({"size": 3, "type": "file", "md5Hash": "not base64!"}, "a", web=False) == ""
