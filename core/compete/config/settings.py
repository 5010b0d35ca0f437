"""The tables of a competition TOML that belong to the core; every other table belongs to a component."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

FOLDER_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$"
Name = Annotated[str, Field(pattern=FOLDER_NAME)]
Count = Annotated[int, Field(ge=1, le=100_000)]


class Table(BaseModel):
    """A TOML table: strict, frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Competition(Table):
    """What is competed in, and where its files are."""

    name: Name = Field(description="folder name of the runs: `submissions/<name>/`")
    root: str = Field(description="folder with the competition's files, relative to where you run `compete`")
    title: str = Field("", description="shown in the report")
    url: str = Field("", description="the competition's page")
    source: str = Field("", description="where the data comes from, and how to get it")
    titles: dict[str, str] = Field({}, description='what pages and screens call a class: `{ 0 = "worn, male" }`')


class Images(Table):
    """How images are read before any augmentation."""

    size: tuple[Count, Count] = Field((224, 224), description="height and width that the network sees")
    resize: Literal["stretch", "pad", "crop"] = Field(
        "stretch", description="stretch to the size, pad to keep the aspect, or crop the centre"
    )
    channels: Annotated[int, Field(ge=1, le=64)] = Field(3, description="channels of a image")
    reader: str = Field("", description="a reader's name; empty: by the file's ending and first bytes")
    unreadable: Literal["error", "skip"] = Field(
        "error", description="training images that cannot be read: stop, or skip and count them"
    )
    cache: bool = Field(True, description="decode every image once into a memory map of uint8")
    cache_dir: str = Field(".compete/cache", description="where the memory maps lie")
    mean: list[float] | None = Field(None, description="per channel, 0..1; default: the model's own, else ImageNet's")
    std: list[float] | None = Field(None, description="per channel, 0..1; default: the model's own, else ImageNet's")


class Columns(Table):
    """Columns of the tables that the network sees beside the image; `[head]` joins both."""

    numeric: list[str] = Field([], description="columns with numbers, or patterns such as `margin*`")
    categorical: list[str] = Field([], description="columns with names, or patterns")
    missing: list[str] = Field(
        ["", "na", "NA", "nan", "NaN", "null", "None", "?"], description="cells that say that a value is missing"
    )


class Training(Table):
    """How a member is trained."""

    epochs: Count = Field(10, description="passes over the sampler's rows")
    batch_size: Count = Field(32, description="images in a micro-batch")
    accumulation_steps: Count = Field(1, description="micro-batches to an optimizer step")
    max_grad_norm: Annotated[float, Field(ge=0)] = Field(0.0, description="largest gradient norm; 0: no clipping")
    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(42, description="the first member's seed, and the folds'")
    seeds: Annotated[int, Field(ge=1, le=100)] = Field(1, description="members trained on each fold")
    only_folds: list[int] = Field([], description="train these folds only; empty: all")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="CUDA where there is one")
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = Field(
        "auto",
        description="auto: bf16 where the device computes it in hardware, fp16 on older GPUs, else fp32",
    )
    compile: bool = Field(False, description="torch.compile the network")
    channels_last: bool = Field(True, description="keep activations in channels_last memory format")
    deterministic: bool = Field(False, description="on a GPU: deterministic kernels only (slower)")
    drop_last: bool = Field(True, description="leave out an epoch's last, smaller batch (training only)")
    workers: Annotated[int, Field(ge=-1, le=128)] = Field(-1, description="loader processes; -1: chosen from the job")
    checkpoint_minutes: Annotated[float, Field(gt=0)] = Field(
        10.0, description="save inside an epoch, and inside a long prediction, this often"
    )
    on_nan: Literal["stop", "skip"] = Field(
        "stop",
        description="a step whose loss is NaN or infinite: stop the member at its last checkpoint before it, or "
        "skip it, which counts such a step's gradients (also those that alone are not finite) as zero",
    )


class Finetune(Table):
    """What of a pretrained network moves, and how fast."""

    freeze: Literal["none", "backbone"] | list[str] = Field(
        "none", description="`backbone`: all but the head; or module name patterns, such as `layer1*`"
    )
    backbone_lr_ratio: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="learning rate of the backbone against the head's"
    )


class Inference(Table):
    """How predictions are made."""

    batch_size: Count | None = Field(None, description="default: twice the training batch")
    pool: Literal["mean", "max"] = Field("mean", description="how the predictions of a row's several images become one")
    keep_top: Annotated[int, Field(ge=0)] = Field(
        0, description="keep the most probable classes of each row only, for thousands of classes; 0: all"
    )


class Checks(Table):
    """What stops a run before training, and what a submission must hold."""

    missing_class: Literal["error", "warn"] = Field(
        "error", description="a class with no row in some fold's training or validation part"
    )
    low: float | None = Field(None, description="smallest value a submission may hold")
    high: float | None = Field(None, description="largest value a submission may hold")
    rows_sum_to_one: bool = Field(False, description="the submission's columns sum to one in each row")
    integers: bool = Field(False, description="the submission holds whole numbers only")
    allowed: list[str | int] = Field([], description="labels that a submission may hold; empty: not checked")
    separator: str = Field("", description="what joins several labels in one cell; empty: a cell is one label")
    may_be_empty: bool = Field(False, description="an empty cell is an answer, such as no label at all")

    def submission_rules(self) -> dict[str, Any]:
        """Return the rules for `check_submission`."""
        rules = self.model_dump(exclude={"missing_class"})
        return {**rules, "allowed": self.allowed or None, "separator": self.separator or None}


CORE_TABLES: dict[str, type[Table]] = {
    "competition": Competition,
    "images": Images,
    "columns": Columns,
    "training": Training,
    "finetune": Finetune,
    "inference": Inference,
    "checks": Checks,
}
