"""Recognise Parquet files with images inside, in shards by part as the Hugging Face Hub stores them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from compete import Basis, Choice, DataError, Proposal, Scan, format_list, plural

from .._parquet import holds_bytes
from .parts import part_of


def propose_parquet(scan: Scan) -> Proposal | None:
    """Propose the Parquet files that hold encoded images. Raise `DataError` where one cannot be read."""
    places = sorted(path for path in [*scan.others, *scan.images] if path.lower().endswith(".parquet"))
    places = [place for place in places if (scan.files.root / place).is_file()]
    columns = {place: _image_columns(scan, place) for place in places}
    with_images = [place for place in places if columns[place]]
    if not with_images:
        return None
    image = _likeliest(columns[with_images[0]])
    parts: dict[str, list[str]] = {"train": [], "valid": [], "test": [], "": []}
    for place in [place for place in with_images if image in columns[place]]:
        parts[part_of(place)].append(place)
    trained = [*parts["train"], *parts["valid"], *([] if parts["train"] else parts[""])]
    if not trained:
        trained, parts["test"] = parts["test"], []
    read = {*trained, *parts["test"]}
    left = [place for place in places if place not in read]
    why = plural(len(trained), "file")
    if parts["train"] and parts["valid"]:
        why += f", of which {len(parts['valid'])} for validation: all are training rows, since folds validate"
    several = format_list(columns[with_images[0]]) if len(columns[with_images[0]]) > 1 else ""
    return Proposal(
        "parquet",
        (
            Choice("train", patterns(trained, places), why),
            *([Choice("test", patterns(parts["test"], places), "its rows are predicted")] if parts["test"] else []),
            *([Choice("image", image)] if image != "image" else []),
        ),
        "Parquet files hold the images",
        basis=Basis.TABLE,
        todo=(
            *([f"[dataset] train: {format_list(left)} not read. Is it part of the data?"] if left else []),
            *([f"[dataset] image: '{image}' is taken; {several} hold bytes."] if several else []),
        ),
    )


def _likeliest(columns: Sequence[str]) -> str:
    return next((name for word in ("image", "img", "picture", "photo") for name in columns if word in name), columns[0])


def _image_columns(scan: Scan, place: str) -> list[str]:
    """Return the columns with bytes or structs of bytes."""
    try:
        schema = pq.read_schema(scan.files.root / place)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{place}: not a readable Parquet file: {error}.") from error
    return [field.name for field in schema if holds_bytes(field.type)]


def patterns(places: Sequence[str], all_places: Sequence[str]) -> str | list[str]:
    """Return a pattern for shards that are numbered, and the names of other files; each finds these files alone."""
    found: dict[str, list[str]] = {}
    for place in places:
        found.setdefault(re.sub(r"\d+(-of-\d+.*)?\.parquet$", "*.parquet", place), []).append(place)
    written: list[str] = []
    for pattern, shards in found.items():
        stem = pattern.partition("*")[0]
        alone = len(shards) > 1 and not re.search(r"[\[\]?*]", stem)
        others = {place for place in all_places if place.startswith(stem)} - set(shards)
        written += [pattern] if alone and not others else shards
    return written[0] if len(written) == 1 else written
