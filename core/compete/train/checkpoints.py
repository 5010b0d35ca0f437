"""Save and resume a member in training."""

from __future__ import annotations

from typing import Any

from compete.errors import TrainingError
from compete.ranks.splits import wanted_splits
from compete.store import load_checkpoint, save_checkpoint
from compete.text import plural
from compete.train.trainer import Trainer

FORMAT = 3


def _parts(trainer: Trainer) -> dict[str, Any]:
    """Return all parts with a state, by name; callbacks by order and class, because a class may occur twice."""
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
    """Save all that the rest of the training depends on; the first rank does."""
    if not trainer.run.ranks.is_first:
        return
    trainer.progress.splits = trainer.splitter.count
    parts = {name: part.state_dict() for name, part in _parts(trainer).items()}
    save_checkpoint(trainer.run.member_folder(trainer.member), {**_header(trainer), "parts": parts})


def resume(trainer: Trainer) -> None:
    """Resume from the last checkpoint, if there is one, and make sure that all ranks do."""
    _load(trainer)
    progress, ranks = trainer.progress, trainer.run.ranks
    if (progress.epoch or progress.step) and progress.devices != ranks.count:
        trainer.run.session.warn(
            f"{trainer.member.name}: resumes on {plural(ranks.count, 'device')} after {progress.devices}: the batches "
            "stay the same, but not every rounding, nor what dropout leaves out"
        )
    progress.devices = ranks.count
    wanted = wanted_splits(trainer.folder, trainer.run.identity.member(trainer.member))
    trainer.splitter.count = ranks.decide(max(progress.splits, wanted))
    at = ranks.decide((progress.epoch, progress.step))
    if at != (progress.epoch, progress.step):
        raise TrainingError(
            f"{trainer.member.name}: rank {ranks.rank} finds another checkpoint in {trainer.folder} than the first: "
            f"epoch {progress.epoch + 1}, step {progress.step}, and not {at[0] + 1}, {at[1]}. All machines must see "
            "the same run folder."
        )
    ranks.copy_from_first([*trainer.network.parameters(), *trainer.network.buffers()])


def _load(trainer: Trainer) -> None:
    state = load_checkpoint(trainer.run.member_folder(trainer.member), trainer.run.session.warn)
    if state is None:
        return
    if any(state.get(key) != value for key, value in _header(trainer).items()):
        trainer.run.session.warn(
            f"{trainer.member.name}: its checkpoint belongs to other data, settings or another version of compete; "
            "the member is trained from scratch"
        )
        return
    for name, part in _parts(trainer).items():
        if name in state["parts"]:
            part.load_state_dict(state["parts"][name])
