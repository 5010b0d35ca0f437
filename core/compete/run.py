"""One run: what its stages have found so far. Plugins get it to read from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from compete.config.plugins import Plugins
from compete.errors import CompeteError, PluginRuntimeError, error_location
from compete.store import fingerprint

if TYPE_CHECKING:
    import pluggy
    from lightning_fabric import Fabric

    from compete.config.load import Config
    from compete.data.columns import TableColumns
    from compete.data.images import ImageSet
    from compete.data.loaders import ImagesByRow
    from compete.predict.inference import Views
    from compete.types import Array, Image, Member, Metric, Tables, Target


class Prepared(NamedTuple):
    """What stage 1 found, before any image is opened."""

    tables: Tables
    target: Target
    encoded: Array
    labels: Array
    folds: Array
    folds_fingerprint: str
    columns: TableColumns | None


@dataclass(frozen=True)
class Data:
    """A competition's data, ready to train on.

    `encoded` is what the loss sees and `labels` what is scored, row by row of `tables.train`. `train_rows` and
    `test_rows` hold the image numbers of each row. `columns` are the numbers beside the images.
    """

    tables: Tables
    target: Target
    encoded: Array
    labels: Array
    folds: Array
    train: ImageSet
    test: ImageSet
    train_rows: ImagesByRow
    test_rows: ImagesByRow
    columns: TableColumns | None
    random: Callable[[Image, int], Image] | None
    fingerprint: str
    test_fingerprint: str
    folds_fingerprint: str

    @property
    def column_count(self) -> int:
        """How many numbers a row has beside its images."""
        return len(self.columns.names) if self.columns else 0


@dataclass
class Run:
    """A run under way. The stages fill in `data` and `members`, in this order."""

    config: Config
    folder: Path
    fabric: Fabric
    interactive: bool = False
    prepared: Prepared | None = None
    data: Data | None = None
    members: list[Member] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def competition(self) -> str:
        """The competition's name, as in the TOML."""
        return self.config.competition.name

    @property
    def title(self) -> str:
        """The competition's title or, where the TOML gives none, its name."""
        return self.config.competition.title or self.config.competition.name

    @property
    def plugins(self) -> Plugins:
        """The run's plugins."""
        return self.config.plugins

    @property
    def hook(self) -> pluggy.HookRelay:
        """Call a hook of every plugin: `run.hook.on_stage(run=run, ...)`."""
        return self.plugins.manager.hook

    @property
    def ready(self) -> Data:
        """The data; only asked for after the first stages."""
        assert self.data is not None, "the data is not loaded yet"
        return self.data

    @property
    def tables(self) -> Tables:
        """The competition's rows."""
        return self.ready.tables

    @property
    def target(self) -> Target:
        """What is predicted."""
        return self.ready.target

    @property
    def folds(self) -> Array:
        """The fold of each training row (N,)."""
        return self.ready.folds

    @property
    def metric(self) -> Metric:
        """The competition's metric."""
        return metric_for(self.config, self.target)

    @property
    def metric_name(self) -> str:
        """The metric's name, as in the TOML."""
        return self.config.one("metrics").name

    @property
    def precision(self) -> str:
        """The numbers' precision, such as "bf16-mixed"."""
        return str(self.fabric.strategy.precision.precision)

    @property
    def device(self) -> str:
        """The device's name."""
        return str(self.fabric.device)

    @property
    def views(self) -> Views:
        """The TTA views of a batch."""
        from compete.predict.inference import views_of

        return views_of([bound.build() for bound in self.config.many("tta")])

    def register(self, plugin: object) -> None:
        """Register an object with hooks for the rest of this run."""
        self.plugins.manager.register(plugin)

    def member_folder(self, member: Member) -> Path:
        """Return the folder of a member's weights and predictions."""
        return self.folder / "members" / member.name

    def progress(self, what: str) -> Callable[[int, int], None]:
        """Return a function that tells plugins how far something long is."""

        def tell(done: int, total: int) -> None:
            self.hook.on_progress(run=self, what=what, done=done, total=total)

        return tell

    def warn(self, message: str) -> None:
        """Keep a warning for the end of the run."""
        if message not in self.warnings:
            self.warnings.append(message)


def metric_for(config: Config, target: Target) -> Metric:
    """Build the metric for a target's classes."""
    metric: Metric = config.one("metrics").build()
    return metric if metric.named is None else metric.named(target.classes)


def call_hook(caller: Callable[..., Any], **arguments: object) -> Any:  # noqa: ANN401 - what the hook returns
    """Call a hook; an exception from a plugin becomes a `PluginRuntimeError` that says where it was raised."""
    try:
        return caller(**arguments)
    except (CompeteError, KeyboardInterrupt):
        raise
    except Exception as error:
        name = getattr(caller, "name", "a hook")
        raise PluginRuntimeError(f"hook {name}: a plugin raised {error!r} at {error_location(error)}") from error


# A member depends on these tables, except for what only says where, how often and how much of it is kept.
TRAINING_TABLES = (
    "dataset", "target", "images", "columns", "transforms", "batch_transforms", "sampler", "model", "head", "loss",
    "metric", "optimizer", "scheduler", "callbacks", "training", "finetune", "inference",
)  # fmt: skip
IRRELEVANT = {
    "training": ("workers", "checkpoint_minutes", "only_folds", "seeds"),
    "images": ("cache", "cache_dir"),
    "inference": ("batch_size", "keep_top"),
}


def member_fingerprint(run: Run, member: Member) -> str:
    """Return what a member's weights depend on: settings, data, folds, plugin files."""
    resolved, data = run.config.resolved(), run.ready
    tables = {
        name: {k: v for k, v in table.items() if k not in IRRELEVANT.get(name, ())}
        if isinstance(table, dict)
        else table
        for name in TRAINING_TABLES
        for table in (resolved.get(name),)
    }
    sources = list(run.config.sources.values())
    return fingerprint(tables, sources, data.fingerprint, data.folds_fingerprint, member.fold, member.seed)


def prediction_fingerprint(run: Run, member: Member) -> str:
    """Return what a member's predictions depend on: its weights, the views, the test rows, and how much is kept."""
    resolved, data = run.config.resolved(), run.ready
    kept = resolved["inference"]["keep_top"]
    return fingerprint(member_fingerprint(run, member), resolved["tta"], kept, data.test_fingerprint)
