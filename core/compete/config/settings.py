"""The tables of a competition TOML that belong to the core; every other table belongs to a component."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from compete.config.slots import Affects

FOLDER_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$"
Name = Annotated[str, Field(pattern=FOLDER_NAME)]
Count = Annotated[int, Field(ge=1, le=100_000)]


def setting(affects: Affects, default: Any, description: str) -> Any:  # noqa: ANN401 - as pydantic's Field
    """Define a key: what it affects (see `config/slots.py`), its default (`...`: required) and what it means."""
    return Field(default, description=description, json_schema_extra={"affects": affects})


class Table(BaseModel):
    """A TOML table: strict, frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Competition(Table):
    """What is competed in, and where its files are."""

    name: Name = setting("nothing", ..., "folder name of the runs: `submissions/<name>/`")
    root: str = setting("nothing", ..., "folder with the competition's files, relative to where you run `compete`")
    title: str = setting("nothing", "", "shown in the report")
    url: str = setting("nothing", "", "the competition's page")
    source: str = setting("nothing", "", "where the data comes from, and how to get it")
    titles: dict[str, str] = setting("submission", {}, 'what pages and screens call a class: `{ 0 = "worn, male" }`')


class Images(Table):
    """How images are read before any augmentation."""

    size: tuple[Count, Count] = setting("training", (224, 224), "height and width that the network sees")
    resize: Literal["stretch", "pad", "crop"] = setting(
        "training", "stretch", "stretch to the size, pad to keep the aspect, or crop the centre"
    )
    channels: Annotated[int, Field(ge=1, le=64)] = setting("training", 3, "channels of a image")
    reader: str = setting("training", "", "a reader's name; empty: by the file's ending and first bytes")
    unreadable: Literal["error", "skip"] = setting(
        "training", "error", "training images that cannot be read: stop, or skip and count them"
    )
    cache: bool = setting("training", True, "decode every image once into a memory map of uint8")
    cache_dir: str = setting("nothing", ".compete/cache", "where the memory maps lie")
    mean: list[float] | None = setting("training", None, "per channel, 0..1; default: the model's own, else ImageNet's")
    std: list[float] | None = setting("training", None, "per channel, 0..1; default: the model's own, else ImageNet's")


class Columns(Table):
    """Columns of the tables that the network sees beside the image; `[head]` joins both."""

    numeric: list[str] = setting("training", [], "columns with numbers, or patterns such as `margin*`")
    categorical: list[str] = setting("training", [], "columns with names, or patterns")
    missing: list[str] = setting(
        "training", ["", "na", "NA", "nan", "NaN", "null", "None", "?"], "cells that say that a value is missing"
    )


class Training(Table):
    """How a member is trained."""

    epochs: Count = setting("training", 10, "passes over the sampler's rows")
    batch_size: Count = setting("training", 32, "images in a micro-batch")
    accumulation_steps: Count = setting("training", 1, "micro-batches to an optimizer step")
    max_grad_norm: Annotated[float, Field(ge=0)] = setting("training", 0.0, "largest gradient norm; 0: no clipping")
    seed: Annotated[int, Field(ge=0, lt=2**31)] = setting("training", 42, "the first member's seed, and the folds'")
    seeds: Annotated[int, Field(ge=1, le=100)] = setting("submission", 1, "members trained on each fold")
    only_folds: list[int] = setting("submission", [], "train these folds only; empty: all")
    device: Literal["auto", "cpu", "cuda"] = setting("training", "auto", "CUDA where there is one")
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = setting(
        "training", "auto", "auto: bf16 where the device computes it in hardware, fp16 on older GPUs, else fp32"
    )
    compile: bool = setting("training", False, "torch.compile the network")
    channels_last: bool = setting("training", True, "keep activations in channels_last memory format")
    deterministic: bool = setting("training", False, "on a GPU: deterministic kernels only (slower)")
    drop_last: bool = setting("training", True, "leave out an epoch's last, smaller batch (training only)")
    workers: Annotated[int, Field(ge=-1, le=128)] = setting("nothing", -1, "loader processes; -1: chosen from the job")
    checkpoint_minutes: Annotated[float, Field(gt=0)] = setting(
        "nothing", 10.0, "save inside an epoch, and inside a long prediction, this often"
    )
    on_nan: Literal["stop", "skip"] = setting(
        "training",
        "stop",
        "a step whose loss is NaN or infinite: stop the member at its last checkpoint before it, or "
        "skip it, which counts such a step's gradients (also those that alone are not finite) as zero",
    )


class Finetune(Table):
    """What of a pretrained network moves, and how fast."""

    freeze: Literal["none", "backbone"] | list[str] = setting(
        "training", "none", "`backbone`: all but the head; or module name patterns, such as `layer1*`"
    )
    backbone_lr_ratio: Annotated[float, Field(gt=0, le=1)] = setting(
        "training", 1.0, "learning rate of the backbone against the head's"
    )


class Inference(Table):
    """How predictions are made."""

    batch_size: Count | None = setting("nothing", None, "default: twice the training batch")
    pool: Literal["mean", "max"] = setting(
        "training", "mean", "how the predictions of a row's several images become one"
    )
    keep_top: Annotated[int, Field(ge=0)] = setting(
        "inference", 0, "keep the most probable classes of each row only, for thousands of classes; 0: all"
    )


class Checks(Table):
    """What stops a run before training, and what a submission must hold."""

    missing_class: Literal["error", "warn"] = setting(
        "submission", "error", "a class with no row in some fold's training or validation part"
    )
    low: float | None = setting("submission", None, "smallest value a submission may hold")
    high: float | None = setting("submission", None, "largest value a submission may hold")
    rows_sum_to_one: bool = setting("submission", False, "the submission's columns sum to one in each row")
    integers: bool = setting("submission", False, "the submission holds whole numbers only")
    allowed: list[str | int] = setting("submission", [], "labels that a submission may hold; empty: not checked")
    separator: str = setting("submission", "", "what joins several labels in one cell; empty: a cell is one label")
    may_be_empty: bool = setting("submission", False, "an empty cell is an answer, such as no label at all")

    def submission_rules(self) -> dict[str, Any]:
        """Return the rules for `check_submission`."""
        rules = self.model_dump(exclude={"missing_class"})
        return {**rules, "allowed": self.allowed or None, "separator": self.separator or None}


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
    "inference": Inference,
    "checks": Checks,
}
