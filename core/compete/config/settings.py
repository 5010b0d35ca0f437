"""The tables of a competition TOML that the core reads itself; every other table belongs to a component."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import Field, field_validator

from compete.config.table import Count, Name, Number, Side, Table, UserPath, setting
from compete.config.tuning import Finetune, Init, Search
from compete.toml.slots import Affects
from compete.urls.stores import is_url, place_of, url_problems

COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


class Competition(Table):
    """The competition and where its files are."""

    name: Name = setting("nothing", ..., "folder name of the runs: `submissions/<name>/`")
    root: UserPath = setting(
        "nothing", ..., "folder of the competition's files, relative to where you run `compete`, or a URL: `s3://...`"
    )
    title: str = setting("nothing", "", "heading of the report")
    url: str = setting("nothing", "", "address of the competition's page")
    source: str = setting("nothing", "", "where to get the data")
    titles: dict[str, str] = setting("submission", {}, 'display names of classes: `{ 0 = "worn, male" }`')

    @field_validator("root")
    @classmethod
    def _is_readable(cls, root: str) -> str:
        if is_url(root) and (problems := list(url_problems(root))):
            raise ValueError(" ".join(problems))
        return str(place_of(root)) if is_url(root) else root


class Images(Table):
    """How images are read, before augmentation."""

    size: tuple[Side, Side] = setting(
        "training",
        (224, 224),
        "height and width of the network's input, in pixels; not set: the model's own",
    )
    resize: Literal["stretch", "pad", "crop"] = setting(
        "training", "stretch", "stretch to the size, pad to keep the aspect ratio, or crop the centre"
    )
    channels: Annotated[int, Field(ge=1, le=64)] = setting("training", 3, "channels of an image")
    reader: str = setting("training", "", "name of a reader; empty: chosen by the file's extension and first bytes")
    layout: Literal["auto", "hwc", "chw"] = setting(
        "training", "auto", "axes of `.npy` arrays; auto: by `channels` and the shape, refused where that is not clear"
    )
    background: str = setting(
        "training", "white", 'what shows through transparent pixels: a colour, or "none" for their own'
    )
    value_range: Annotated[list[Number], Field(min_length=2, max_length=2)] | None = setting(
        "training", None, "stored values that become black and white, such as `[0, 4095]`; default: the reader's"
    )
    unreadable: Literal["error", "skip"] = setting(
        "training", "error", "images that cannot be read: stop, or leave them out and count them; test rows stay"
    )
    cache: bool = setting(
        "training", True, "decode every image once, into a memory map; else whenever it is needed, and once to check it"
    )
    cache_dir: UserPath = setting("nothing", ".compete/cache", "folder of the cached images and features")
    mean: list[Annotated[float, Field(ge=-1e6, le=1e6)]] | None = setting(
        "training", None, "per channel, 0..1; default: the model's, else ImageNet's"
    )
    std: list[Annotated[float, Field(ge=1e-6, le=1e6)]] | None = setting(
        "training", None, "per channel, 0..1; default: the model's, else ImageNet's"
    )

    @field_validator("value_range")
    @classmethod
    def _ascends(cls, limits: list[float] | None) -> list[float] | None:
        if limits and not (1e-30 <= limits[1] - limits[0] <= 1e30 and max(map(abs, limits)) <= 1e30):
            raise ValueError("the first value must be below the second, both within 1e30")  # as float32 computes
        return limits

    @field_validator("cache_dir")
    @classmethod
    def _can_be_a_folder(cls, path: str) -> str:
        file = next((place for place in (Path(path), *Path(path).parents) if place.is_file()), None)
        if file is not None:
            raise ValueError(f"must be a folder, and {file} is a file")
        return path

    @field_validator("background")
    @classmethod
    def _is_colour(cls, name: str) -> str:
        if name not in ("white", "black", "none") and not COLOUR.fullmatch(name):
            raise ValueError('must be "white", "black", "none" or a colour such as "#80a0ff"')
        return name


class Columns(Table):
    """Table columns that the network gets beside the image; the head joins both."""

    numeric: list[str] = setting("training", [], "numeric columns, or patterns such as `margin*`")
    categorical: list[str] = setting("training", [], "categorical columns, or patterns")
    missing: list[str] = setting(
        "training", ["", "na", "NA", "nan", "NaN", "null", "None", "?"], "cells that mean a missing value"
    )


class Training(Table):
    """How each member is trained."""

    epochs: Count = setting("training", 10, "passes over the rows that the sampler draws")
    batch_size: Count = setting("training", 32, "images in a micro-batch, of all devices together")
    accumulation_steps: Count = setting("training", 1, "micro-batches per optimizer step")
    max_grad_norm: Annotated[float, Field(ge=0, le=1e6)] = setting(
        "training", 0.0, "clip gradients to this norm; 0: never"
    )
    seed: Annotated[int, Field(ge=0, lt=2**31)] = setting("training", 42, "seed of the folds and of the first member")
    fold_seed: Annotated[int, Field(ge=0, lt=2**31)] | None = setting(
        "training", None, "seed of the folds, where it is another than `seed`: more seeds on the same folds"
    )
    seeds: Annotated[int, Field(ge=1, le=100)] = setting("submission", 1, "members per fold, each with its own seed")
    only_folds: list[Annotated[int, Field(ge=0, le=10_000)]] = setting(
        "submission", [], "train these folds only; empty: all"
    )
    refit: bool = setting(
        "submission", False, "predict the test rows by members trained on all rows, to the epoch that the folds chose"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = setting(
        "training", "auto", "auto: a GPU if there is one; mps: an Apple GPU"
    )
    devices: Annotated[int, Field(ge=1, le=64)] = setting(
        "nothing", 1, "GPUs of a machine that train a member together, each on its part of every batch"
    )
    nodes: Annotated[int, Field(ge=1, le=64)] = setting(
        "nothing", 1, "machines that train a member together, with `devices` of each; started on every one of them"
    )
    sync_batchnorm: bool = setting(
        "training", True, "with several devices, BatchNorm sees the batch of all of them, as on one; else its own part"
    )
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = setting(
        "training", "auto", "auto: bf16 on hardware that supports it, fp16 on older GPUs, else fp32"
    )
    compile: bool = setting("training", False, "compile the network with torch.compile")
    channels_last: bool = setting("training", True, "use the channels_last memory format")
    deterministic: bool = setting("training", False, "on a GPU, use deterministic kernels only (slower)")
    drop_last: bool = setting("training", True, "in training, drop an epoch's last batch if it is smaller")
    workers: Annotated[int, Field(ge=-1, le=128)] = setting("nothing", -1, "loader processes; -1: chosen automatically")
    checkpoint_minutes: Annotated[float, Field(gt=0, le=1e6)] = setting(
        "nothing", 10.0, "time between checkpoints inside an epoch or a long prediction, in minutes"
    )
    on_nan: Literal["stop", "skip"] = setting(
        "training",
        "stop",
        "a step with a NaN or infinite loss: stop the member at its last checkpoint before it, or skip "
        "it: its gradients (also if only these are not finite) count as zero",
    )

    @property
    def total_devices(self) -> int:
        """The devices of all nodes, which train a member together."""
        return self.devices * self.nodes


class Inference(Table):
    """How predictions are made."""

    batch_size: Count | None = setting("nothing", None, "default: twice the training batch")
    pool: Literal["mean", "max"] = setting("training", "mean", "how to combine the predictions of a row's images")
    keep_top: Annotated[int, Field(ge=0, le=100_000)] = setting(
        "inference", 0, "keep only this many classes of each row, the most probable ones, to save memory; 0: all"
    )


class Checks(Table):
    """Checks before training, and on the submission."""

    missing_class: Literal["error", "warn"] = setting(
        "submission", "error", "a class without a row in the training or validation part of a fold"
    )
    look_alike: Literal["error", "warn"] = setting(
        "submission", "error", "classes that differ only in spaces or invisible characters"
    )
    low: Number | None = setting("submission", None, "smallest value allowed in a submission")
    high: Number | None = setting("submission", None, "largest value allowed in a submission")
    rows_sum_to_one: bool = setting("submission", False, "each row of the submission must sum to one")
    integers: bool = setting("submission", False, "a submission must hold integers only")
    allowed: list[str | int] = setting("submission", [], "labels allowed in a submission; empty: not checked")
    separator: str = setting("submission", "", "separator of several labels in one cell; empty: a cell is one label")
    may_be_empty: bool = setting("submission", False, "allow empty cells in a submission, such as rows without a label")

    def submission_rules(self) -> dict[str, Any]:
        """Return the keyword arguments of `check_submission`."""
        rules = self.model_dump(exclude={"missing_class", "look_alike"})
        return {**rules, "allowed": self.allowed or None, "separator": self.separator or None}


class Blend(Table):
    """Which finished runs and foreign predictions are blended; `compete blend` writes this table."""

    runs: list[UserPath] = setting("submission", [], "run folders; the first one's rows, folds and metric count")
    files: dict[str, Annotated[list[UserPath], Field(min_length=1, max_length=2)]] = setting(
        "submission", {}, 'foreign predictions by id: `{ team = ["oof.csv", "test.csv"] }`'
    )


# Old names and their replacements, as error messages write them.
RENAMED: dict[str, str] = {
    "[images] fit": "resize",
    '[images] fit = "squash"': 'resize = "stretch"',
    '[images] resize = "squash"': 'resize = "stretch"',
    "[dataset] endings": "extensions",
    "[training] accumulate": "accumulation_steps",
    "[training] clip_norm": "max_grad_norm",
    "compete sample": "`compete demo`",
}

# What other frameworks have, and where it lives here.
COLLATE = (
    "compete collates itself: every image has the size of [images], so that batches are stacked, never padded. To mix "
    "images write [[batch_transforms]]; to pool the images of a row, [inference] pool"
)
STREAMS = (
    "a dataset returns compete.Tables, with ids and image paths, never samples one by one: folds, OOF scores and "
    "predictions by id need every row from the start. Images are read when needed, and need not fit into memory"
)
_ELSEWHERE = {COLLATE: ("collat",), STREAMS: ("dataloader", "data_loader", "iterable", "streaming")}


def elsewhere(name: str) -> str:
    """Return where that lives which other frameworks call so, such as `collate_fn`; "" for any other name."""
    found = (text for text, words in _ELSEWHERE.items() if any(word in name.lower() for word in words))
    return next((f" {text[0].upper()}{text[1:]}." for text in found), "")


def affects(table: type[Table], key: str) -> Affects:
    """Return what a key affects; one that does not say counts everywhere."""
    extra = table.model_fields[key].json_schema_extra
    return cast("Affects", extra["affects"]) if isinstance(extra, dict) else "training"


CORE_TABLES: dict[str, type[Table]] = {
    "competition": Competition,
    "images": Images,
    "columns": Columns,
    "training": Training,
    "finetune": Finetune,
    "init": Init,
    "inference": Inference,
    "checks": Checks,
    "blend": Blend,
    "search": Search,
}
