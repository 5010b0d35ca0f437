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
        "seen": trainer.seen,
        "loss_sum": trainer.loss_sum,
        "faults": trainer.faults.state(),
        "pieces": trainer.pieces.count,
        "drawn": trainer.drawn.tolist(),
        "history": [asdict(epoch) for epoch in trainer.history],
        "kept": trainer.kept,
        "kept_epoch": trainer.kept_epoch,
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
    trainer.epoch, trainer.step, trainer.seen = state["epoch"], state["step"], state["seen"]
    trainer.loss_sum.copy_(state["loss_sum"])
    trainer.faults.load(state["faults"])
    trainer.pieces.count = state["pieces"]
    trainer.drawn = np.array(state["drawn"], np.int64)
    trainer.history = [Epoch(**epoch) for epoch in state["history"]]
    trainer.kept, trainer.kept_epoch = state["kept"], state["kept_epoch"]
    trainer.seconds = state["seconds"]
