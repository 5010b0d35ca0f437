"""Where each kind of component stands in a TOML."""

from __future__ import annotations

from typing import NamedTuple


class Slot(NamedTuple):
    """Where a kind of component stands in the TOML: its table, whether it repeats, what holds without it."""

    table: str
    repeats: bool
    default: str | None
    required: bool = False


SLOTS: dict[str, Slot] = {
    "datasets": Slot("dataset", False, None, required=True),
    "targets": Slot("target", False, "label"),
    "folds": Slot("folds", False, "auto"),
    "transforms": Slot("transforms", True, None),
    "batch_transforms": Slot("batch_transforms", True, None),
    "samplers": Slot("sampler", False, "shuffle"),
    "models": Slot("model", False, None, required=True),
    "heads": Slot("head", False, "linear"),
    "losses": Slot("loss", False, "cross_entropy"),
    "metrics": Slot("metric", False, None, required=True),
    "optimizers": Slot("optimizer", False, "adamw"),
    "schedulers": Slot("scheduler", False, "cosine"),
    "callbacks": Slot("callbacks", True, "best_checkpoint"),
    "tta": Slot("tta", True, None),
    "ensembles": Slot("ensemble", False, "mean"),
    "postprocessors": Slot("postprocess", True, None),
    "submissions": Slot("submission", False, "label"),
    "uploads": Slot("upload", False, None),
    "executors": Slot("executor", False, "local"),
}
