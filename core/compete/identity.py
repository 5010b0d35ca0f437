"""What results depend on, hashed to short keys. No other module hashes it.

Everything counts unless a slot (`toml/slots.py`) or a setting (`config/settings.py`) states at its definition that
it affects less. Files and images count by content, never by name, path or time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from compete import __version__
from compete.config.code import own_code
from compete.config.settings import CORE_TABLES, affects
from compete.data.images import ImageIndex
from compete.data.leaks import linked_rows
from compete.store import plain
from compete.toml.slots import SLOTS, Affects

NOT_PIXELS = {"unreadable", "cache", "cache_dir", "mean", "std"}  # of [images]

if TYPE_CHECKING:
    import pandas as pd

    from compete.config.load import Config
    from compete.config.options import BoundComponent
    from compete.config.registry import Component
    from compete.data.dataset import Dataset
    from compete.types import Array, Member


def digest(*parts: object) -> str:
    """Return 16 hexadecimal digits that change when any part does."""
    total = sha256()
    for part in parts:
        if isinstance(part, np.ndarray) and part.dtype != object:  # millions of cells: bytes are much faster than JSON
            total.update(f"{part.dtype}{part.shape}".encode() + np.ascontiguousarray(part).tobytes())
        else:
            total.update(json.dumps(plain(part), sort_keys=True, default=str).encode())
        total.update(b"\0")
    return total.hexdigest()[:16]


def digest_bytes(data: bytes) -> str:
    """Return the digest of a file's content, 32 hexadecimal digits."""
    return sha256(data).hexdigest()[:32]


def digest_of_mark(mark: str) -> str:
    """Return the digest of a file that its store identifies: that of its content where this is its SHA-256 sum."""
    kind, _, value = mark.partition(":")
    return value[:32] if kind == "sha256" else digest_bytes(mark.encode())


def digest_file(path: Path) -> str:
    """Return the whole SHA-256 of a file, 64 hexadecimal digits."""
    total = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            total.update(block)
    return total.hexdigest()


def read_sources(config: Config) -> dict[str, str]:
    """Return the digests of what results depend on beside TOML and data: code, and files named by options."""
    named = [file for bounds in config.components.values() for bound in bounds for file in bound.files]
    executed = {"compete": own_code(__version__), **config.plugins.code}
    code = {owner: digest_bytes(source) for owner, source in executed.items()}
    return code | {str(file): digest_file(file) for file in named}


def digests_of(components: Iterable[Component], config: Config, sources: Mapping[str, str]) -> list[str]:
    """Return the digests of the code that components come from; bundled ones come with compete's own."""
    owners = {component.owner for component in components}
    return [sources[owner] for owner in sorted({"compete"} | owners & set(config.plugins.code))]


def settings_that_affect(config: Config, *levels: Affects) -> dict[str, Any]:
    """Return the TOML's settings and components that affect any of these stages."""
    resolved = config.resolved()
    tables: dict[str, Any] = {
        name: {key: resolved[name][key] for key in model.model_fields if affects(model, key) in levels}
        for name, model in CORE_TABLES.items()
    }
    slots = [slot for slot in SLOTS.values() if slot.affects in levels]
    return tables | {slot.table: resolved.get(slot.table) for slot in slots}


def config_key(config: Config, sources: Mapping[str, str]) -> str:
    """Return the key of a configuration: all that affects any result."""
    variants = [(variant.name, config_key(variant.config, read_sources(variant.config))) for variant in config.variants]
    settings = settings_that_affect(config, "training", "inference", "submission")
    return digest(settings, list(sources.values()), *([variants] if variants else []))


def folds_key(config: Config, sources: Mapping[str, str], train: pd.DataFrame, labels: Array) -> str:
    """Return the key of a split: rows, labels, options and their files, seed, the columns that it uses, and images.

    Of the images only those count that several rows share.
    """
    folds = config.one("folds")
    named = [value for value in ("group", *_strings(folds.options)) if value in train]
    columns = ["\n".join(train[name].astype(str)) for name in dict.fromkeys(named)]
    linked = linked_rows(train["image"].tolist())
    columns += [] if linked is None else ["\n".join(map(str, linked.tolist()))]
    code = [*digests_of([folds.component], config, sources), *(sources[str(file)] for file in folds.files)]
    return digest(folds.name, folds.options, config.fold_seed, "\n".join(train["id"]), labels, columns, code)


def pixels_key(config: Config, sources: Mapping[str, str], contents: Sequence[str], paths: Sequence[str]) -> str:
    """Return the key of decoded images: their files' content, how they are read, and the fixed transforms."""
    images, chain = config.images, config.many("transforms")
    how = images.model_dump(exclude=NOT_PIXELS)
    fixed = [(bound.name, _pixel_options(bound)) for bound in chain]
    files = [sources[str(file)] for bound in chain for file in bound.files]
    components = [*(bound.component for bound in chain), *config.plugins.registry["readers"].values()]
    return digest(contents, _extensions(paths), how, fixed, files, digests_of(components, config, sources))


def _pixel_options(transform: BoundComponent) -> dict[str, Any]:
    """Return the options that a transform's fixed part depends on: all, unless it declares which."""
    names = transform.component.traits.pixel_options
    return {name: value for name, value in transform.options.items() if names is None or name in names}


def _strings(value: object) -> Iterator[str]:
    """Yield every string in nested options."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _strings(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)


def table_key(table: pd.DataFrame, contents: Sequence[str], *more: object) -> str:
    """Return the key of a table's rows: ids, the content of each row's images, and `more`, such as labels."""
    index = ImageIndex.of(table)
    return digest("\n".join(table["id"]), contents, _extensions(index.paths), index.rows, *more)


def _extensions(paths: Sequence[str]) -> list[str]:
    """Return the extension of each path, which selects its reader."""
    return [path.partition("#")[0].rpartition("/")[2].rpartition(".")[2].lower() for path in paths]


@dataclass(frozen=True)
class Identity:
    """The keys of a run's configuration and rows, and of its training and inference settings.

    `data` are the training rows, `test` the test rows, `submission` the test rows and the sample with its form.
    """

    config: str
    data: str
    folds: str
    test: str
    submission: str
    training: str
    inference: str

    def member(self, member: Member) -> str:
        """Return the key of what a member's weights depend on."""
        refit = [] if member.epochs is None else [member.epochs]
        return digest(self.training, self.data, self.folds, member.fold, member.seed, *refit)

    def oof(self, member: Member) -> str:
        """Return the key of what a member's OOF predictions depend on: its weights and inference."""
        return digest(self.member(member), self.inference)

    def predictions(self, member: Member) -> str:
        """Return the key of what a member's test predictions depend on: those of OOF, and the test rows."""
        return digest(self.oof(member), self.test)


def identify(
    config: Config, sources: Mapping[str, str], dataset: Dataset, train: Sequence[str], test: Sequence[str]
) -> Identity:
    """Return a run's identity; `train` and `test` are the digests of the image files."""
    columns = (dataset.columns.train, dataset.columns.test) if dataset.columns else (None, None)
    labels = dataset.targets, dataset.labels, dataset.target.classes
    test_key = table_key(dataset.tables.test, test, columns[1])
    return Identity(
        config=config_key(config, sources),
        data=table_key(dataset.tables.train, train, *labels, columns[0]),
        folds=digest(dataset.folds_key, dataset.folds),
        test=test_key,
        submission=digest(test_key, dataset.tables.sample.to_csv(), repr(dataset.tables.form)),
        training=digest(settings_that_affect(config, "training"), list(sources.values())),
        inference=digest(settings_that_affect(config, "inference")),
    )
