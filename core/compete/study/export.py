"""Features by id: what a network computes of each image, in Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import nn

from compete.config.load import load_config, load_run_config
from compete.data.images import ImageIndex
from compete.data.loaders import (
    EpochBatches,
    ImageDataset,
    loader_processes,
    make_loader,
    prediction_batches,
    read_batches,
)
from compete.errors import CompeteError, UserError
from compete.features.split import inputs_of
from compete.jobs.events import read_result
from compete.model.selectors import find_head
from compete.predict.inference import Pooling, Scaler, scaler_for
from compete.stages.predictions import RESULT, load_member
from compete.store import read_json, write_atomic
from compete.study.dry_run import dry_run
from compete.text import format_list, unknown_name

if TYPE_CHECKING:
    import pandas as pd

    from compete.session import Run
    from compete.types import Member

MOST_FEATURES = 16_384


@dataclass(frozen=True)
class Written:
    """A file of features: its rows, and how many numbers each has."""

    path: Path
    rows: int
    width: int


@dataclass(frozen=True)
class Source:
    """What computes features: a network on the device, and the module that gives them, empty for the head's input."""

    run: Run
    network: nn.Module
    scaler: Scaler
    layer: str


def write_features(
    what: Path, out: Path, *, member: str = "", layer: str = "", each_image: bool = False, overrides: list[str]
) -> Iterator[Written]:
    """Write `train.parquet` and `test.parquet` into a folder, from a TOML's pretrained network or a run's member."""
    files = {name: out / f"{name}.parquet" for name in ("train", "test")}
    if there := [str(file) for file in files.values() if file.exists()]:
        raise UserError(f"{format_list(there)}: exists already. Name another folder with --out, or remove it.")
    chosen = _member(what, member) if what.is_dir() else None
    if chosen is None and member:
        raise UserError(f"{what}: --member names a network of a run's folder; a TOML has none yet.")
    config = load_config(what, overrides) if chosen is None else load_run_config(what, overrides)
    with dry_run(config, weights=chosen is None) as run:
        source = _source(run, what, chosen, layer)
        tables = {"train": (run.tables.train, run.train_inputs), "test": (run.tables.test, run.test_inputs)}
        for name, (table, inputs) in tables.items():
            if len(table):
                yield _write(files[name], source, table, inputs, each_image)


def _member(folder: Path, name: str) -> Member:
    """Return a run's member by its name, or its only one."""
    found = {file.parent.name: file for file in sorted(folder.glob(f"members/*/{RESULT}"))}
    if not found:
        raise UserError(f"{folder}: not a run's folder with finished members. `compete runs` lists the runs.")
    if not name and len(found) > 1:
        raise UserError(f"{folder}: each member has features of its own. Choose one: --member {next(iter(found))}. "
                        f"Members: {format_list(found)}.")  # fmt: skip
    if name and name not in found:
        raise UserError(f"--member {name}: {unknown_name('member', name, found)}")
    return read_result(read_json(found[name or next(iter(found))])).member


def _source(run: Run, folder: Path, member: Member | None, layer: str) -> Source:
    if member is None:
        network, scaler = run.network.to(run.fabric.device), scaler_for(run.network, run.config).to(run.fabric.device)
    else:
        network, scaler = load_member(replace(run, session=replace(run.session, folder=folder)), member)
    names = [name for name, _ in network.named_modules() if name]
    if layer and layer not in names:
        raise UserError(f"--layer {layer}: {unknown_name('module', layer, names)}")
    if not layer:
        heads = [name for name in find_head(network, run.target.outputs) if name in names]
        if len(heads) != 1:
            raise UserError(f"the network's head has {len(heads)} modules: name one whose output you want with --layer")
    return Source(run, network.eval(), scaler, layer)


def _write(path: Path, source: Source, table: pd.DataFrame, inputs: Any, each_image: bool) -> Written:  # noqa: ANN401
    """Write a table's features, one batch after the other."""
    run, rows, width = source.run, 0, 0
    paths, ids = ImageIndex.of(table).paths, table["id"].to_numpy()
    beside = None if inputs.columns is None else torch.from_numpy(inputs.columns).to(run.fabric.device)
    batches = EpochBatches()
    batches.batches = prediction_batches(np.arange(len(table)), inputs.images.by_row, run.config.prediction_batch)
    loader = make_loader(ImageDataset(inputs.images.images), batches, 0, run.fabric.device.type == "cuda")

    def write(file: IO[bytes]) -> None:
        nonlocal rows, width
        writer = None
        with loader_processes():
            for items, batch in zip(batches, read_batches(loader), strict=True):
                values = _features(source, batch.images.to(run.fabric.device), beside, batch.rows)
                keys: dict[str, Any] = {"id": ids[batch.rows.numpy()]}
                if each_image:
                    keys["image"] = [paths[item.image] for item in items]
                else:
                    owners, owner = torch.unique_consecutive(batch.rows, return_inverse=True)
                    values = Pooling()(values, owner.to(values.device), len(owners))[0]
                    keys["id"] = ids[owners.numpy()]
                rows, width = rows + len(values), values.shape[1]
                columns = dict(zip((f"f{n}" for n in range(width)), values.cpu().numpy().T, strict=True))
                part = pa.table({**{name: pa.array(list(key), pa.string()) for name, key in keys.items()}, **columns})
                writer = pq.ParquetWriter(file, part.schema) if writer is None else writer
                writer.write_table(part)
        if writer is None:
            raise CompeteError(f"{path}: nothing to write, there is no readable image")
        writer.close()

    write_atomic(path, write)
    return Written(path, rows, width)


@torch.inference_mode()
def _features(source: Source, pixels: torch.Tensor, beside: torch.Tensor | None, rows: torch.Tensor) -> torch.Tensor:
    """Return float32 (B, F): what goes into the head, or what the layer gives, averaged over positions."""
    run, network = source.run, source.network
    extra = [] if beside is None else [beside[rows.to(beside.device)]]
    if source.layer:
        found: list[Any] = []
        hook = network.get_submodule(source.layer).register_forward_hook(lambda _m, _i, output: found.append(output))
        try:
            with run.fabric.autocast():
                network(source.scaler(pixels), *extra)
        finally:
            hook.remove()
    else:
        name = next(n for n in find_head(network, run.target.outputs) if n in dict(network.named_modules()))
        with inputs_of(network.get_submodule(name)) as found, run.fabric.autocast():
            network(source.scaler(pixels), *extra)
    where = f"--layer {source.layer}" if source.layer else "the network's head"
    if len(found) != 1 or not isinstance(found[0], torch.Tensor) or found[0].ndim < 2 or len(found[0]) != len(pixels):
        raise UserError(f"{where}: not one tensor for each image, but {len(found)} outputs. Name another --layer.")
    features = _pooled(found[0].float(), str(getattr(network, "output_fmt", "")))
    if features.shape[1] > MOST_FEATURES:
        raise UserError(f"{where}: {features.shape[1]:,} numbers for an image, above {MOST_FEATURES:,}. Name another.")
    return features


def _pooled(features: torch.Tensor, layout: str) -> torch.Tensor:
    """Average (B, C, H, W), (B, H, W, C) of networks that say so, or tokens (B, T, C) over positions: -> (B, C)."""
    if features.ndim == 3:
        return features.mean(dim=1)
    if features.ndim == 4:
        return features.mean(dim=(1, 2) if "NHWC" in layout else (2, 3))
    return features.flatten(1)
