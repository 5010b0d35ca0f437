"""The tables of a competition TOML that the core reads itself; every other table belongs to a component."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

FOLDER_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$"
Name = Annotated[str, Field(pattern=FOLDER_NAME)]
Count = Annotated[int, Field(ge=1, le=100_000)]


class Table(BaseModel):
    """A TOML table: frozen, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Competition(Table):
    """The competition and where its files are."""

    name: Name = Field(description="folder name of the runs: `submissions/<name>/`")
    root: str = Field(description="folder of the competition's files, relative to where you run `compete`")
    title: str = Field("", description="heading of the report")
    url: str = Field("", description="address of the competition's page")
    source: str = Field("", description="where to get the data")
    titles: dict[str, str] = Field({}, description='display names of classes: `{ 0 = "worn, male" }`')


class Images(Table):
    """How images are read, before augmentation."""

    size: tuple[Count, Count] = Field((224, 224), description="height and width of the network's input, in pixels")
    resize: Literal["stretch", "pad", "crop"] = Field(
        "stretch", description="stretch to the size, pad to keep the aspect ratio, or crop the centre"
    )
    channels: Annotated[int, Field(ge=1, le=64)] = Field(3, description="channels of an image")
    reader: str = Field("", description="name of a reader; empty: chosen by the file's extension and first bytes")
    unreadable: Literal["error", "skip"] = Field(
        "error", description="training images that cannot be read: stop, or skip and count them"
    )
    cache: bool = Field(True, description="decode every image once, into a memory-mapped file of uint8")
    cache_dir: str = Field(".compete/cache", description="folder of the cached images")
    mean: list[float] | None = Field(None, description="per channel, 0..1; default: the model's, else ImageNet's")
    std: list[float] | None = Field(None, description="per channel, 0..1; default: the model's, else ImageNet's")


class Columns(Table):
    """Table columns that the network gets beside the image; the head joins both."""

    numeric: list[str] = Field([], description="numeric columns, or patterns such as `margin*`")
    categorical: list[str] = Field([], description="categorical columns, or patterns")
    missing: list[str] = Field(
        ["", "na", "NA", "nan", "NaN", "null", "None", "?"], description="cells that mean a missing value"
    )


class Training(Table):
    """How each member is trained."""

    epochs: Count = Field(10, description="passes over the rows that the sampler draws")
    batch_size: Count = Field(32, description="images in a micro-batch")
    accumulation_steps: Count = Field(1, description="micro-batches per optimizer step")
    max_grad_norm: Annotated[float, Field(ge=0)] = Field(0.0, description="clip gradients to this norm; 0: never")
    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(42, description="seed of the folds and of the first member")
    seeds: Annotated[int, Field(ge=1, le=100)] = Field(1, description="members per fold, each with its own seed")
    only_folds: list[int] = Field([], description="train these folds only; empty: all")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a GPU if there is one")
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = Field(
        "auto",
        description="auto: bf16 on hardware that supports it, fp16 on older GPUs, else fp32",
    )
    compile: bool = Field(False, description="compile the network with torch.compile")
    channels_last: bool = Field(True, description="use the channels_last memory format")
    deterministic: bool = Field(False, description="on a GPU, use deterministic kernels only (slower)")
    drop_last: bool = Field(True, description="in training, drop an epoch's last batch if it is smaller")
    workers: Annotated[int, Field(ge=-1, le=128)] = Field(-1, description="loader processes; -1: chosen automatically")
    checkpoint_minutes: Annotated[float, Field(gt=0)] = Field(
        10.0, description="time between checkpoints inside an epoch or a long prediction, in minutes"
    )
    on_nan: Literal["stop", "skip"] = Field(
        "stop",
        description="a step with a NaN or infinite loss: stop the member at its last checkpoint before it, or skip "
        "it: its gradients (also if only these are not finite) count as zero",
    )


class Finetune(Table):
    """Which parts of a pretrained network are trained, and how fast."""

    freeze: Literal["none", "backbone"] | list[str] = Field(
        "none", description="frozen modules: `backbone` is all but the head; or name patterns such as `layer1*`"
    )
    backbone_lr_ratio: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="learning rate of the backbone divided by that of the head"
    )


class Inference(Table):
    """How predictions are made."""

    batch_size: Count | None = Field(None, description="default: twice the training batch")
    pool: Literal["mean", "max"] = Field("mean", description="how to combine the predictions of a row's images")
    keep_top: Annotated[int, Field(ge=0)] = Field(
        0, description="keep only this many classes of each row, the most probable ones, to save memory; 0: all"
    )


class Checks(Table):
    """Checks before training, and on the submission."""

    missing_class: Literal["error", "warn"] = Field(
        "error", description="a class without a row in the training or validation part of a fold"
    )
    low: float | None = Field(None, description="smallest value allowed in a submission")
    high: float | None = Field(None, description="largest value allowed in a submission")
    rows_sum_to_one: bool = Field(False, description="each row of the submission must sum to one")
    integers: bool = Field(False, description="a submission must hold integers only")
    allowed: list[str | int] = Field([], description="labels allowed in a submission; empty: not checked")
    separator: str = Field("", description="separator of several labels in one cell; empty: a cell is one label")
    may_be_empty: bool = Field(False, description="allow empty cells in a submission, such as rows without a label")

    def submission_rules(self) -> dict[str, Any]:
        """Return the keyword arguments of `check_submission`."""
        rules = self.model_dump(exclude={"missing_class"})
        return {**rules, "allowed": self.allowed or None, "separator": self.separator or None}


# Old names and their replacements, as error messages write them.
RENAMED: dict[str, str] = {
    "[images] fit": "resize",
    '[images] fit = "squash"': 'resize = "stretch"',
    '[images] resize = "squash"': 'resize = "stretch"',
    "[training] accumulate": "accumulation_steps",
    "[training] clip_norm": "max_grad_norm",
    "compete sample": "`compete demo`",
}

CORE_TABLES: dict[str, type[Table]] = {
    "competition": Competition,
    "images": Images,
    "columns": Columns,
    "training": Training,
    "finetune": Finetune,
    "inference": Inference,
    "checks": Checks,
}
