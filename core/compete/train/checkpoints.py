"""Save a member in training, and put it back where it was."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from compete.run import member_fingerprint
from compete.store import load_checkpoint, save_checkpoint
from compete.train.trainer import Trainer
from compete.types import Epoch

FORMAT = 1


def _callbacks(trainer: Trainer) -> dict[str, Any]:
    """Return the run's callbacks that have a state, by their order and name."""
    plugins = [plugin for _, plugin in trainer.run.plugins.manager.list_name_plugin()]
    with_state = [p for p in plugins if hasattr(p, "state_dict") and hasattr(p, "load_state_dict")]
    return {f"{number} {type(plugin).__name__}": plugin for number, plugin in enumerate(with_state)}


def checkpoint(trainer: Trainer) -> None:
    """Save everything that the rest of the training depends on."""
    precision = trainer.run.fabric.strategy.precision
    state = {
        "format": FORMAT,
        "fingerprint": member_fingerprint(trainer.run, trainer.member),
        "network": trainer.network.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "scheduler": trainer.scheduler.state_dict(),
        "precision": precision.state_dict(),
        "callbacks": {name: callback.state_dict() for name, callback in _callbacks(trainer).items()},
        "epoch": trainer.epoch,
        "step": trainer.step,
        "samples_seen": trainer.samples_seen,
        "loss_sum": trainer.loss_sum,
        "non_finite": trainer.non_finite.state(),
        "splits": trainer.splitter.count,
        "class_draws": trainer.class_draws.tolist(),
        "history": [asdict(epoch) for epoch in trainer.history],
        "best_weights": trainer.best_weights,
        "best_epoch": trainer.best_epoch,
        "seconds": trainer.seconds,
    }
    save_checkpoint(trainer.run.member_folder(trainer.member), state)


def resume(trainer: Trainer) -> None:
    """Put the trainer where its last checkpoint was, if there is one."""
    folder = trainer.run.member_folder(trainer.member)
    state = load_checkpoint(folder, trainer.run.warn)
    if state is None:
        return
    wanted = FORMAT, member_fingerprint(trainer.run, trainer.member)
    if (state.get("format"), state.get("fingerprint")) != wanted:
        trainer.run.warn(
            f"{trainer.member.name}: its checkpoint is of other data or settings, or of another version; it starts anew"
        )
        return
    trainer.network.load_state_dict(state["network"])
    trainer.optimizer.load_state_dict(state["optimizer"])
    trainer.scheduler.load_state_dict(state["scheduler"])
    trainer.run.fabric.strategy.precision.load_state_dict(state["precision"])
    for name, callback in _callbacks(trainer).items():
        if name in state["callbacks"]:
            callback.load_state_dict(state["callbacks"][name])
    trainer.epoch, trainer.step, trainer.samples_seen = state["epoch"], state["step"], state["samples_seen"]
    trainer.loss_sum.copy_(state["loss_sum"])
    trainer.non_finite.load(state["non_finite"])
    trainer.splitter.count = state["splits"]
    trainer.class_draws = np.array(state["class_draws"], np.int64)
    trainer.history = [Epoch(**epoch) for epoch in state["history"]]
    trainer.best_weights, trainer.best_epoch = state["best_weights"], state["best_epoch"]
    trainer.seconds = state["seconds"]
