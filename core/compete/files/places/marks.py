"""What a store says of an object, as one text that changes with its content: a checksum, or a version's mark."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

_MD5 = re.compile(r"[0-9a-f]{32}")
_ETAGS = ("ETag", "etag", "blob_id", "generation")
_TIMES = ("LastModified", "last_modified", "Last-Modified", "updated", "mtime", "modify", "modificationTime", "created")


def mark_of(info: Mapping[str, Any], path: str, web: bool) -> str:
    """Return the mark of an object, or an empty string where its store says nothing of its content.

    A checksum (`sha256:`, `md5:`) is equal for objects with the same bytes, under any name. An entity tag or time
    (`version:`) only tells that this object changed, and so it counts with path and size: servers make tags of both.
    """
    lfs = info.get("lfs")
    if isinstance(lfs, Mapping) and lfs.get("sha256"):
        return f"sha256:{lfs['sha256']}"
    for checksum in (info.get("md5Hash"), info.get("content_md5"), (info.get("content_settings") or {}).get("md5")):
        if digest := _md5(checksum):
            return f"md5:{digest}"
    etag = next((str(info[key]).strip('"') for key in _ETAGS if info.get(key)), "")
    if not web and _MD5.fullmatch(etag):  # S3: the MD5 of an object that was uploaded in one part
        return f"md5:{etag}"
    version = etag or next((str(info[key]) for key in _TIMES if info.get(key)), "")
    return f"version:{version} {info.get('size')} {path}" if version else ""


def _md5(checksum: object) -> str:
    """Return the hexadecimal digits of an MD5 sum that is given as bytes or base64, or an empty string."""
    if isinstance(checksum, bytes | bytearray):
        return bytes(checksum).hex()
    try:
        return base64.b64decode(checksum, validate=True).hex() if isinstance(checksum, str) else ""
    except (binascii.Error, ValueError):
        return ""
