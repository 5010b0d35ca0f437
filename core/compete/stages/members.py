"""The members of a run on disk: which are finished, which can be reused, their weights and predictions."""

from __future__ import annotations

import math
import shutil
import threading
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import nn

from compete.errors import CompeteError
from compete.predict.inference import Scaler, as_they_are
from compete.predict.parquet import read_predictions, write_predictions
from compete.predict.rows import PredictionCheckpoint, RowInputs, predict_rows
from compete.session import OpenRun, Run, call_hook
from compete.store import drop_checkpoints, read_json, write_atomic, write_bytes, write_json
from compete.train.loop import train
from compete.types import ALL_ROWS, Epoch, Member, MemberResult

if TYPE_CHECKING:
    from compete.identity import Identity
    from compete.types import Array, Predictions

WEIGHTS, RESULT = "weights.safetensors", "result.json"
ONE_AT_A_TIME = threading.RLock()
OOF, TEST, PREDICTED, PREDICTING = "oof.parquet", "test.parquet", "predictions.json", "predicting.pt"


def finish_member(run: Run, member: Member) -> MemberResult:
    """Return the member's result, after training it unless it is finished and still valid.

    Threads wait for each other: every step seeds the process's own random generators.
    """
    with ONE_AT_A_TIME:
        result = finished(run, member, run.member_folder(member))
        if result is None:
            result, weights, scaler = train(run, member)
            write_member(run, result, weights, scaler)
            call_hook(run.hook.on_member_end, run=run.session, result=result)
    return result


def write_member(run: Run, result: MemberResult, weights: dict[str, torch.Tensor], scaler: Scaler) -> None:
    """Write a finished member: its weights, then its result, which marks it finished.

    The scaling of its images goes with it: a network built without pretrained weights may state another one.
    """
    folder = run.member_folder(result.member)
    write_bytes(folder / WEIGHTS, save(weights))
    scaling = {"mean": scaler.mean.flatten().tolist(), "std": scaler.std.flatten().tolist()}
    state = {"identity": run.identity.member(result.member), "scaling": scaling, **asdict(result)}
    write_json(folder / RESULT, state)
    drop_checkpoints(folder)


def finished(run: Run, member: Member, folder: Path) -> MemberResult | None:
    """Return the result of a member that was finished with the same data and settings, or None."""
    return read_finished(folder, run.identity.member(member))


def read_finished(folder: Path, key: str) -> MemberResult | None:
    """Return the result in a member's folder, or None unless it is finished and has this key."""
    state = read_json(folder / RESULT)
    if state.get("identity") != key or not (folder / WEIGHTS).exists():
        return None
    try:
        return read_result(state)
    except (KeyError, TypeError, ValueError) as error:
        raise CompeteError(
            f"{folder / RESULT} is damaged ({error!r}). Remove it and run again: the member is trained from scratch."
        ) from error


def may_be_finished(members: Sequence[Member], runs: Sequence[Path]) -> bool:
    """Return whether each member has a result in some run."""
    return all(any((run / "members" / member.name / RESULT).exists() for run in runs) for member in members)


def are_finished(members: Sequence[Member], identity: Identity, runs: Sequence[Path]) -> bool:
    """Return whether each member has a result in some run that is valid for this one."""
    return all(
        any(read_finished(run / "members" / member.name, identity.member(member)) for run in runs) for member in members
    )


def read_result(state: dict[str, Any]) -> MemberResult:
    """Return the result from its JSON, which has null for NaN."""
    epochs: list[dict[str, Any]] = [
        {k: float("nan") if v is None else v for k, v in epoch.items()} for epoch in state["epochs"]
    ]
    score = float("nan") if state["score"] is None else float(state["score"])
    return MemberResult(
        Member(**state["member"]),
        score,
        state["best_epoch"],
        tuple(Epoch(**epoch) for epoch in epochs),
        state["class_draws"],
        state["seconds"],
    )


def reuse_members(run: Run, others: Sequence[Path], members: Sequence[Member]) -> dict[str, list[str]]:
    """Copy the members of other runs that are still valid, with their predictions; return their names by run."""
    reused: dict[str, list[str]] = {}
    for member in members:
        folder = run.member_folder(member)
        if finished(run, member, folder):
            continue
        for other in others:
            source = other / "members" / member.name
            if finished(run, member, source):
                predicted = [file for file in (OOF, TEST) if _is_predicted(run, member, file, source)]
                marks = [PREDICTED] if predicted else []
                for name in (*predicted, *marks, WEIGHTS, RESULT):  # the result last: it marks the member finished
                    _copy(source / name, folder / name)
                reused.setdefault(other.name, []).append(member.name)
                break
    return reused


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as file:
        write_atomic(target, lambda copy: shutil.copyfileobj(file, copy))


def refit_members(results: Sequence[MemberResult]) -> tuple[Member, ...]:
    """Return the members to train on all rows, one a seed: to the median of the epochs that the folds chose."""
    epochs = math.ceil(median(result.best_epoch for result in results))
    return tuple(Member(ALL_ROWS, seed, epochs) for seed in dict.fromkeys(result.member.seed for result in results))


def predicts_test(members: Sequence[Member], refits: Sequence[Member]) -> list[Member]:
    """Return who predicts the test rows in place of each member: itself or, after a refit, that of its seed."""
    by_seed = {member.seed: member for member in refits}
    return [by_seed.get(member.seed, member) for member in members]


def predict_members(run: Run, refits: Sequence[Member] = ()) -> None:
    """Write each member's OOF predictions, and all test predictions, if any, in one pass over the test images."""
    for member in run.members:
        if not _is_predicted(run, member, OOF, run.member_folder(member)):
            _predict_oof(run, member)
    predict = dict.fromkeys(predicts_test(run.members, refits))
    pending = [member for member in predict if not _is_predicted(run, member, TEST, run.member_folder(member))]
    if pending and run.tables.has_test:
        _predict_test(run, pending)


def _predict_oof(run: Run, member: Member) -> None:
    folder, rows = run.member_folder(member), np.flatnonzero(run.dataset.folds == member.fold)
    network, scaler = load_member(run, member)
    checkpoint = _checkpoint(run, folder, [member])
    oof = _predict(run, [network], [scaler], run.train_inputs, rows, checkpoint)[0]
    write_predictions(folder / OOF, run.tables.train["id"].iloc[rows].tolist(), oof, run.target.classes)
    _mark_predicted(run, member, OOF)
    checkpoint.path.unlink(missing_ok=True)


def _predict_test(run: Run, members: list[Member]) -> None:
    networks, scalers = zip(*(load_member(run, member) for member in members), strict=True)
    rows, ids = np.arange(len(run.tables.test)), run.tables.test["id"].tolist()
    checkpoint = _checkpoint(run, run.folder / "members", members)
    test = _predict(run, list(networks), list(scalers), run.test_inputs, rows, checkpoint)
    for member, predictions in zip(members, test, strict=True):
        write_predictions(run.member_folder(member) / TEST, ids, predictions, run.target.classes)
        _mark_predicted(run, member, TEST)
    checkpoint.path.unlink(missing_ok=True)


def _predict(
    run: Run,
    networks: list[nn.Module],
    scalers: list[Scaler],
    inputs: RowInputs,
    rows: Array,
    checkpoint: PredictionCheckpoint,
) -> list[Predictions]:
    """Predict rows with `[[tta]]`: from stored features where networks share a frozen backbone, else from images."""
    predictor = run.predictor(tta=True)
    stored = run.stored_features(inputs.images, networks, scalers[0])
    if stored is None:
        return predict_rows(predictor, networks, scalers, inputs, rows, checkpoint=checkpoint)
    return predict_rows(
        # (B, V, ...) -> V x (B, ...)
        replace(predictor, views=lambda features: list(features.unbind(dim=1)), workers=0),
        [stored.rest_of(network) for network in networks],
        [as_they_are] * len(networks),
        replace(inputs, images=stored.views),
        rows,
        checkpoint=checkpoint,
    )


def _checkpoint(run: Run, folder: Path, members: list[Member]) -> PredictionCheckpoint:
    size = run.config.prediction_batch  # the checkpoint counts in batches
    keys = [f"{run.identity.predictions(member)} {size}" for member in members]
    return PredictionCheckpoint(folder / PREDICTING, keys, run.config.training.checkpoint_minutes * 60)


def _mark_predicted(run: Run, member: Member, file: str) -> None:
    marks = run.member_folder(member) / PREDICTED
    write_json(marks, {**read_json(marks), file: _prediction_key(run, member, file)})


def _prediction_key(run: Run, member: Member, file: str) -> str:
    return run.identity.oof(member) if file == OOF else run.identity.predictions(member)


def load_member(run: OpenRun, member: Member) -> tuple[nn.Module, Scaler]:
    """Return a copy of the run's network with a finished member's weights, on the device, and its scaler."""
    network = deepcopy(run.network)
    scaling = read_json(run.member_folder(member) / RESULT)["scaling"]
    mean, std = (torch.tensor(scaling[name]).reshape(1, -1, 1, 1) for name in ("mean", "std"))
    scaler = Scaler(mean, std, run.config.training.channels_last)
    weights = run.member_folder(member) / WEIGHTS
    try:
        network.load_state_dict(load_file(weights))
    except Exception as error:  # a damaged file can raise nearly anything
        reason = str(error).partition("\n")[0]
        raise CompeteError(
            f"{weights} cannot be read ({reason}). Remove it and run again: the member is trained from scratch."
        ) from error
    if run.config.training.channels_last:
        network = network.to(memory_format=torch.channels_last)
    return network.to(run.fabric.device), scaler.to(run.fabric.device)


def member_predictions(run: Run, refits: Sequence[Member] = ()) -> tuple[list[Predictions], list[Predictions]]:
    """Return each member's OOF (N, C), NaN in rows that it does not validate, and test predictions (T, C), if any.

    After a refit, the test predictions of a member are those of the refitted one of its seed.
    """
    tables, classes = run.tables, run.target.classes
    train_ids, test_ids = tables.train["id"].tolist(), tables.test["id"].tolist()
    folders = [run.member_folder(member) for member in run.members]
    oof = [read_predictions(folder / OOF, train_ids, classes) for folder in folders]
    if not run.tables.has_test:
        return oof, []
    predict = predicts_test(run.members, refits)
    test = {m: read_predictions(run.member_folder(m) / TEST, test_ids, classes) for m in dict.fromkeys(predict)}
    return oof, [test[member] for member in predict]


def _is_predicted(run: Run, member: Member, file: str, folder: Path) -> bool:
    known = read_json(folder / PREDICTED).get(file)
    return known == _prediction_key(run, member, file) and (folder / file).exists()
