"""A run that is never trained: the network and the batches of a TOML, without a run folder or a cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from compete.data.images import Images, open_image_set
from compete.files.root import Files
from compete.identity import identify, read_sources
from compete.model.device import make_fabric
from compete.model.network import build_network
from compete.session import Run, Session
from compete.stages.open_images import augmentation, make_decoder
from compete.stages.prepare import choose_members, prepare
from compete.text import echo
from compete.train.loop import plan_epoch
from compete.train.trainer import Trainer, build_trainer

if TYPE_CHECKING:
    from compete.config.load import Config
    from compete.data.loaders import Batch
    from compete.types import Transform


def without_variants(config: Config) -> Config:
    """Return the TOML without `[[variants]]`, for a command that looks at one network, and say so."""
    if config.variants:
        echo("note: [[variants]] are left out: this command looks at the TOML without them")
    return replace(config, variants=())


@contextmanager
def dry_run(config: Config, weights: bool = True) -> Iterator[Run]:
    """Yield a run whose images are decoded when they are looked at. Raise `CompeteError` as a run would.

    Without `weights` its network is the bare architecture.
    """
    config = without_variants(config)
    training = config.training.model_copy(update={"workers": 0, "compile": False})
    config = replace(config, training=training)
    uncached = replace(config, images=config.images.model_copy(update={"cache": False, "unreadable": "error"}))
    sources = read_sources(config)
    dataset = prepare(config, sources, None)
    transforms: list[Transform] = [bound.build() for bound in config.many("transforms")]
    decoder = make_decoder(uncached, transforms, Files(config.competition.root))
    tables = dataset.tables
    train, test = (open_image_set(table, decoder, "", lambda *_: None) for table in (tables.train, tables.test))
    network = build_network(config, dataset.target.outputs, dataset.column_count, seed=0, weights=weights)
    blank = [""] * len(train.images), [""] * len(test.images)  # nothing is saved under this identity
    identity = identify(config, sources, dataset, *blank)
    with TemporaryDirectory(prefix="compete-") as folder:
        session = Session(config, Path(folder), make_fabric(config.training), config.plugins.new_manager())
        members = tuple(choose_members(config, dataset.folds))
        yield Run(session, dataset, Images(train, test, augmentation(transforms)), members, network, identity)


def first_step(run: Run) -> tuple[Trainer, list[Batch]]:
    """Return the trainer of the first member, and the batches of its first step."""
    from compete.data.loaders import read_batches

    trainer = build_trainer(run, run.members[0])
    plan_epoch(trainer)
    return trainer, list(islice(read_batches(trainer.loader), run.config.training.accumulation_steps))
