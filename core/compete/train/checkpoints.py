"""Save a member in training, and put it back where it was."""

from __future__ import annotations

from typing import Any

from compete.store import load_checkpoint, save_checkpoint
from compete.train.trainer import Trainer

FORMAT = 2


def _parts(trainer: Trainer) -> dict[str, Any]:
    """Return all that has a state, by name; callbacks by their order and class, for one class may be there twice."""
    plugins = [plugin for _, plugin in trainer.run.session.manager.list_name_plugin()]
    callbacks = [p for p in plugins if hasattr(p, "state_dict") and hasattr(p, "load_state_dict")]
    return {
        "network": trainer.network,
        "optimizer": trainer.optimizer,
        "scheduler": trainer.scheduler,
        "precision": trainer.run.fabric.strategy.precision,
        "progress": trainer.progress,
        **{f"callback {number} {type(plugin).__name__}": plugin for number, plugin in enumerate(callbacks)},
    }


def _header(trainer: Trainer) -> dict[str, Any]:
    return {"format": FORMAT, "identity": trainer.run.identity.member(trainer.member)}


def checkpoint(trainer: Trainer) -> None:
    """Save everything that the rest of the training depends on."""
    trainer.progress.splits = trainer.splitter.count
    parts = {name: part.state_dict() for name, part in _parts(trainer).items()}
    save_checkpoint(trainer.run.member_folder(trainer.member), {**_header(trainer), "parts": parts})


def resume(trainer: Trainer) -> None:
    """Put the trainer where its last checkpoint was, if there is one."""
    state = load_checkpoint(trainer.run.member_folder(trainer.member), trainer.run.session.warn)
    if state is None:
        return
    if any(state.get(key) != value for key, value in _header(trainer).items()):
        trainer.run.session.warn(
            f"{trainer.member.name}: its checkpoint was made with other data, settings or another version of compete; "
            "it is trained from scratch"
        )
        return
    for name, part in _parts(trainer).items():
        if name in state["parts"]:
            part.load_state_dict(state["parts"][name])
    trainer.splitter.count = trainer.progress.splits
