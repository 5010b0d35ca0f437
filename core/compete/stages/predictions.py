"""Members' predictions on disk: of the rows of their folds, which is OOF, and of the test rows."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from compete.errors import CompeteError
from compete.predict.inference import Scaler, as_they_are
from compete.predict.parquet import read_predictions, write_predictions
from compete.predict.rows import PredictionCheckpoint, RowInputs, predict_rows
from compete.session import OpenRun, Run
from compete.store import read_json, write_json
from compete.types import ALL_ROWS, Member

if TYPE_CHECKING:
    from compete.types import Array, Predictions

WEIGHTS, RESULT = "weights.safetensors", "result.json"
OOF, TEST, PREDICTED = "oof.parquet", "test.parquet", "predictions.json"
PREDICTING, PREDICTING_TEST = "predicting.pt", "predicting.test.pt"


def predicts_test(members: Sequence[Member], refits: Sequence[Member]) -> list[Member]:
    """Return who predicts the test rows in place of each member: itself or, after a refit, that of its seed."""
    by_seed = {member.seed: member for member in refits}
    return [by_seed.get(member.seed, member) for member in members]


def predict_members(run: Run, refits: Sequence[Member] = ()) -> None:
    """Write each member's OOF predictions, and all test predictions, if any, in one pass over the test images."""
    for member in run.members:
        if not is_predicted(run, member, OOF, run.member_folder(member)):
            _predict_oof(run, member)
    predict = dict.fromkeys(predicts_test(run.members, refits))
    pending = [member for member in predict if not is_predicted(run, member, TEST, run.member_folder(member))]
    if pending and run.tables.has_test:
        _predict_test(run, pending, run.folder / "members" / PREDICTING)


def predict_member(run: Run, member: Member) -> None:
    """Write the predictions that a member makes by itself: of its fold and, unless a refitted one does, of the test."""
    folder, is_refit = run.member_folder(member), member.fold == ALL_ROWS
    if not is_refit and not is_predicted(run, member, OOF, folder):
        _predict_oof(run, member)
    predicts = run.tables.has_test and is_refit == run.config.training.refit
    if predicts and not is_predicted(run, member, TEST, folder):
        _predict_test(run, [member], folder / PREDICTING_TEST)  # the key of what is saved says nothing of the rows


def _predict_oof(run: Run, member: Member) -> None:
    folder, rows = run.member_folder(member), np.flatnonzero(run.dataset.folds == member.fold)
    network, scaler = load_member(run, member)
    checkpoint = _checkpoint(run, folder / PREDICTING, [member])
    oof = _predict(run, [network], [scaler], run.train_inputs, rows, checkpoint)[0]
    write_predictions(folder / OOF, run.tables.train["id"].iloc[rows].tolist(), oof, run.target.classes)
    _mark_predicted(run, member, OOF)
    checkpoint.path.unlink(missing_ok=True)


def _predict_test(run: Run, members: list[Member], saved: Path) -> None:
    """Write the test predictions of members, made in one pass, which is saved to a file meanwhile."""
    networks, scalers = zip(*(load_member(run, member) for member in members), strict=True)
    rows, ids = np.arange(len(run.tables.test)), run.tables.test["id"].tolist()
    checkpoint = _checkpoint(run, saved, members)
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


def _checkpoint(run: Run, file: Path, members: list[Member]) -> PredictionCheckpoint:
    size = run.config.prediction_batch  # the checkpoint counts in batches
    keys = [f"{run.identity.predictions(member)} {size}" for member in members]
    return PredictionCheckpoint(file, keys, run.config.training.checkpoint_minutes * 60)


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


def is_predicted(run: Run, member: Member, file: str, folder: Path) -> bool:
    """Return whether a member's folder, perhaps of another run, has predictions that are valid for this run."""
    known = read_json(folder / PREDICTED).get(file)
    return known == _prediction_key(run, member, file) and (folder / file).exists()
