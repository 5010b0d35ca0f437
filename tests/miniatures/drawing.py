"""What every miniature is drawn with: flat images whose colour holds a number, tables, and packings.

A test network reads the number back from the colour (`tests/oracle_plugin.py`), so that a submission can be checked
row by row against the labels.
"""

from __future__ import annotations

import csv
import io
import random
import tarfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image

Kind = Literal["probability", "label", "classes", "columns", "tokens", "top_k", "value"]
Size = tuple[int, int]

YES, NO = 100, 0


@dataclass(frozen=True)
class Drawn:
    """What a correct submission of a miniature contains: its header, the kind of its cells, the label of each test id.

    `holds` says what the number in an image means: a share in percent, a class, a label set, or, where it is measured,
    a share of high values or the level of all values.
    `rows` are the sample's ids where these are not simply those of the labels.
    """

    header: list[str]
    kind: Kind
    labels: Mapping[str, Any]
    holds: Literal["share", "class", "set", "measured", "level"] = "class"
    rows: Sequence[str] = ()


def colour(code: int) -> tuple[int, int, int]:
    """Write 12 bits as a colour: 16 levels in each channel, far enough apart to survive JPEG."""
    red, green, blue = (8 + 16 * (code >> shift & 15) for shift in (0, 4, 8))
    return red, green, blue


def image(code: int, size: Size = (16, 16), kind: str = "jpeg") -> bytes:
    """Return the bytes of a flat image, `size` = (width, height)."""
    data = io.BytesIO()
    Image.new("RGB", size, colour(code)).save(data, kind)
    return data.getvalue()


def measured(yes: bool, shape: tuple[int, ...], seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return measured values of which 70 % are high if `yes`, and 30 % if not."""
    high = np.random.default_rng(seed).random(shape) < (0.7 if yes else 0.3)
    return np.where(high, 25.0, -45.0)


def bits(labels: Iterable[str], order: Sequence[str]) -> int:
    """Return a label set as a number with one bit for each label."""
    return sum(1 << order.index(label) for label in labels)


def dealt(labels: Sequence[Any], rows: int, seed: int = 0) -> list[Any]:
    """Return a label for each row: all equally often, in random order."""
    cards = [labels[number % len(labels)] for number in range(rows)]
    random.Random(seed).shuffle(cards)
    return cards


def hashes(count: int, length: int, salt: str = "") -> list[str]:
    """Return ids such as Kaggle's: hexadecimal, and in no order that an image's content would follow."""
    return [sha1(f"{salt}{number}".encode()).hexdigest()[:length] for number in range(count)]


def put(root: Path, files: Mapping[str, bytes]) -> None:
    """Write files into folders."""
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def table(header: Sequence[str], rows: Iterable[Sequence[Any]], encoding: str = "utf-8") -> bytes:
    """Return a CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode(encoding)


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Return a zip archive."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def tarred(files: Mapping[str, bytes]) -> bytes:
    """Return a plain tar, whatever its extension will be."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return data.getvalue()


def seven_zipped(files: Mapping[str, bytes]) -> bytes:
    """Return a 7z archive; without the package that packs and unpacks it, skip the test."""
    py7zr = pytest.importorskip("py7zr")
    data = io.BytesIO()
    with py7zr.SevenZipFile(data, "w") as archive:
        for name, content in files.items():
            archive.writestr(content, name)
    return data.getvalue()
