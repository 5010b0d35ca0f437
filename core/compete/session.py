"""A run: its `Session` from the first event on, and the whole `Run` once data and network are open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compete.data.loaders import choose_workers
from compete.errors import call_hook
from compete.features.plan import FeaturePlan, features_key, plan_features
from compete.features.stored import Backbone, StoredFeatures, open_features
from compete.predict.inference import Pooling, views_of
from compete.predict.rows import Predictor, RowInputs
from compete.ranks.group import ALONE, Ranks
from compete.ranks.nodes import Nodes
from compete.text import printable

if TYPE_CHECKING:
    import pluggy
    from lightning_fabric import Fabric
    from torch import nn

    from compete.config.load import Config
    from compete.data.dataset import Dataset
    from compete.data.images import Images, ImageSet
    from compete.identity import Identity
    from compete.predict.inference import Scaler
    from compete.types import Member, Metric, Tables, Target


@dataclass(frozen=True)
class RunOptions:
    """What a command chooses for all of its runs, and no result depends on.

    `doctor` looks for mistakes first; `watch` has event hooks, called last; `nodes` are the other machines of its runs.
    """

    interactive: bool = False
    doctor: bool = True
    watch: object = None
    nodes: Nodes | None = None


DEFAULT_OPTIONS = RunOptions()


@dataclass
class Session:
    """What a run has from its start: the TOML, folder, device, its own plugin manager, and its warnings and notes.

    A folder is `shared` with other processes, which train other members. `watchers` are the TOML's callbacks and hooks,
    which watch members where they are trained; `ranks` are the processes that train one together. Of several runs that
    train at one time, each has a `label`, and all have one `together`.

    Event hooks get it as `run`; plugins may rely on the attributes of `compete.reports.RunView`.
    """

    config: Config
    folder: Path
    fabric: Fabric
    manager: pluggy.PluginManager
    options: RunOptions = DEFAULT_OPTIONS
    shared: bool = False
    ranks: Ranks = ALONE
    label: str = ""
    together: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    watchers: list[object] = field(default_factory=list)

    @property
    def interactive(self) -> bool:
        """Whether somebody watches the screen."""
        return self.options.interactive

    @cached_property
    def nodes(self) -> Nodes:
        """The other machines that train members with this one; there may be none."""
        return self.options.nodes or Nodes()

    @property
    def competition(self) -> str:
        """The competition's name, as in the TOML."""
        return self.config.competition.name

    @property
    def title(self) -> str:
        """The competition's title or, without one, its name."""
        return self.config.competition.title or self.config.competition.name

    @property
    def metric_name(self) -> str:
        """The metric's name, as in the TOML."""
        return self.config.one("metrics").name

    @property
    def precision(self) -> str:
        """The training precision, such as "bf16-mixed"."""
        return str(self.fabric.strategy.precision.precision)

    @property
    def device(self) -> str:
        """The device's name, such as "cuda:0"."""
        return str(self.fabric.device)

    @property
    def hook(self) -> pluggy.HookRelay:
        """The hooks of this run's plugins: `session.hook.on_stage(run=session, ...)`."""
        return self.manager.hook

    def register(self, plugin: object) -> None:
        """Register an object with event hooks for the rest of this run."""
        self.manager.register(plugin)

    def watch(self, watcher: object) -> None:
        """Register one of the TOML's callbacks or hooks."""
        self.watchers.append(watcher)
        self.register(watcher)

    def progress(self, what: str) -> Callable[[int, int], None]:
        """Return a function `(done, total)` that reports the progress of a long task."""

        def report(done: int, total: int) -> None:
            call_hook(self.hook.on_progress, run=self, what=what, done=done, total=total)

        return report

    def warn(self, message: str) -> None:
        """Add a warning, which the run reports at its end; a repeated one is added once."""
        text = printable(message)  # a cell, and so an id, can be of any length
        if text not in self.warnings:
            self.warnings.append(text)


@dataclass(frozen=True)
class RunRows:
    """A run's session and its rows: enough to score predictions, to fit post-processing and to write a submission."""

    session: Session
    dataset: Dataset

    @property
    def config(self) -> Config:
        """The checked TOML."""
        return self.session.config

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.session.folder

    @property
    def hook(self) -> pluggy.HookRelay:
        """The hooks of this run's plugins."""
        return self.session.hook

    @property
    def tables(self) -> Tables:
        """The competition's rows."""
        return self.dataset.tables

    @property
    def target(self) -> Target:
        """The target to predict."""
        return self.dataset.target

    @cached_property
    def metric(self) -> Metric:
        """The competition's metric."""
        return metric_for(self.config, self.target)


@dataclass(frozen=True)
class OpenRun(RunRows):
    """What predictions need of a run: rows, images, the members, and a network to copy for each of them."""

    images: Images
    members: tuple[Member, ...]
    network: nn.Module

    @property
    def fabric(self) -> Fabric:
        """The device and its precision."""
        return self.session.fabric

    @property
    def ranks(self) -> Ranks:
        """The processes that train the member with this one."""
        return self.session.ranks

    @property
    def workers(self) -> int:
        """The number of loader processes."""
        settings = self.config.training
        sharing = settings.devices if self.ranks.count > 1 else 1
        return choose_workers(settings.workers, self.fabric.device.type, self.config.images.cache, sharing)

    @property
    def train_inputs(self) -> RowInputs:
        """A network's inputs from the training table."""
        columns = self.dataset.columns
        return RowInputs(self.images.train, columns.train if columns else None)

    @property
    def test_inputs(self) -> RowInputs:
        """A network's inputs from the test table."""
        columns = self.dataset.columns
        return RowInputs(self.images.test, columns.test if columns else None)

    def predictor(self, tta: bool = False) -> Predictor:
        """Return the predictor of rows, with or without the views of `[[tta]]`."""
        inference = self.config.inference
        components = [bound.build() for bound in self.config.many("tta")] if tta else []
        return Predictor(
            fabric=self.fabric,
            activation=self.target.activation,
            classes=len(self.target.classes),
            pooling=Pooling(inference.pool, inference.keep_top),
            views=views_of(components),
            batch_size=self.config.prediction_batch,
            workers=self.workers,
            log=self.session.warn,
            progress=self.session.progress("predict"),
        )

    def member_folder(self, member: Member) -> Path:
        """Return the folder of a member's weights and predictions."""
        return self.folder / "members" / member.name


@dataclass(frozen=True)
class Run(OpenRun):
    """A complete run, which can also train: it knows what its members' weights and predictions depend on."""

    identity: Identity

    @cached_property
    def feature_plan(self) -> FeaturePlan:
        """Whether the backbone runs once per image."""
        return plan_features(self.config, self.network, self.images, self.dataset.column_count, self.target.outputs)

    def stored_features(self, images: ImageSet, networks: Sequence[nn.Module], scaler: Scaler) -> StoredFeatures | None:
        """Return the features of a table's images, computed if they are missing, or None if each pass needs images.

        The networks, on the device, must have the same backbone; where they do not, as backbones without pretrained
        weights, nothing is shared.
        """
        split = self.feature_plan.split
        if split is None:
            return None
        precision, device = self.session.precision, self.fabric.device.type
        keys = {features_key(self.config, net, split, scaler, images, precision, device) for net in networks}
        if len(keys) > 1:
            return None
        name = "train" if images is self.images.train else "test"
        return open_features(
            Path(self.config.images.cache_dir) / "features",
            keys.pop(),
            images,
            Backbone(self.fabric, networks[0].eval(), split, scaler, self.predictor(tta=True).views),
            batch_size=self.config.prediction_batch,
            workers=self.workers,
            log=self.session.warn,
            progress=self.session.progress(f"features of {name} images"),
        )


class MemberOfRun:
    """What a member in training takes from its run, wherever it is trained."""

    run: OpenRun
    member: Member

    @property
    def metric(self) -> Metric:
        """The competition's metric."""
        return self.run.metric

    @property
    def metric_name(self) -> str:
        """The metric's name, as in the TOML."""
        return self.run.session.metric_name

    @property
    def folder(self) -> Path:
        """The member's folder."""
        return self.run.member_folder(self.member)


def metric_for(config: Config, target: Target) -> Metric:
    """Build the metric for a target's classes; one of classes scores levels by their place in the order."""
    metric: Metric = config.one("metrics").build()
    metric = metric if metric.named is None else metric.named(target.classes)
    ranks = target.ranks
    if ranks is None or not metric.top:
        return metric
    return replace(metric, score=lambda labels, found: metric.score(ranks(labels), ranks(found)[:, None]))
