"""Where each kind of component stands in a TOML, and what of a run depends on it."""

from __future__ import annotations

from typing import Literal, NamedTuple

# The first thing that a component or a setting changes; all that follows changes with it. Weights depend on `training`
# alone, members' predictions on `inference` too, the submission on `submission` too, and no result on `nothing`.
Affects = Literal["training", "inference", "submission", "nothing"]


class Slot(NamedTuple):
    """A kind's table, what it affects, the component without such a table, and whether the table repeats."""

    table: str
    affects: Affects
    default: str | None = None
    repeats: bool = False
    required: bool = False


SLOTS: dict[str, Slot] = {
    "datasets": Slot("dataset", "submission", required=True),  # the rows that it reads count by themselves
    "targets": Slot("target", "training", "label"),
    "folds": Slot("folds", "training", "auto"),
    "transforms": Slot("transforms", "training", repeats=True),
    "batch_transforms": Slot("batch_transforms", "training", repeats=True),
    "samplers": Slot("sampler", "training", "shuffle"),
    "models": Slot("model", "training", required=True),
    "heads": Slot("head", "training", "linear"),
    "losses": Slot("loss", "training", "cross_entropy"),
    "metrics": Slot("metric", "training", required=True),  # it chooses the best epoch
    "optimizers": Slot("optimizer", "training", "adamw"),
    "schedulers": Slot("scheduler", "training", "cosine"),
    "callbacks": Slot("callbacks", "training", "best_checkpoint", repeats=True),
    "hooks": Slot("hooks", "nothing", repeats=True),  # they watch, and change no result
    "tta": Slot("tta", "inference", repeats=True),
    "ensembles": Slot("ensemble", "submission", "mean"),
    "postprocessors": Slot("postprocess", "submission", repeats=True),
    "submissions": Slot("submission", "submission", "label"),
    "uploads": Slot("upload", "nothing"),
    "executors": Slot("executor", "nothing", "local"),  # where members are trained
}
