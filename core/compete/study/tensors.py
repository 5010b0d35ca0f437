"""What a file of weights or a run's members hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from compete.errors import UserError
from compete.identity import digest_file
from compete.store import NEWEST_FIRST, load_state, read_json

if TYPE_CHECKING:
    import torch

EXTENSIONS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")


def tensor_table(path: Path) -> pd.DataFrame:
    """Return name, shape, dtype and parameters of every tensor in a file; code in the file is not run.

    Raise `UserError` for a file that holds none or cannot be read.
    """
    try:
        tensors = dict(_tensors("", _load(path)))
    except Exception as error:  # a damaged file can raise nearly anything
        raise UserError(f"{path} cannot be read as weights: {str(error).partition(chr(10))[0]}") from error
    if not tensors:
        raise UserError(f"{path} holds no tensor.")
    return pd.DataFrame(
        {
            "name": name,
            "shape": " x ".join(map(str, tensor.shape)) or "scalar",
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "parameters": tensor.numel(),
        }
        for name, tensor in tensors.items()
    )


def _load(path: Path) -> Mapping[str, Any]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    return load_state(path)


def _tensors(prefix: str, value: object) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the tensors in nested dicts and lists, with dotted names."""
    import torch

    if isinstance(value, torch.Tensor):
        yield prefix, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _tensors(f"{prefix}.{key}" if prefix else str(key), item)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _tensors(f"{prefix}.{number}", item)


def member_table(run: Path) -> pd.DataFrame:
    """Return a row for each member of a run: its state, best epoch and score, and what its weights hold.

    `fingerprint` is the start of the weights' SHA-256. A member in training has the epochs of its checkpoint.
    """
    return pd.DataFrame([_member_row(folder) for folder in sorted((run / "members").glob("*/"))])


def _member_row(folder: Path) -> dict[str, object]:
    result, weights = read_json(folder / "result.json"), folder / "weights.safetensors"
    if result and weights.exists():
        tensors = tensor_table(weights)
        return {
            "member": folder.name,
            "state": "finished",
            "epochs": len(result.get("epochs", [])),
            "best_epoch": result.get("best_epoch"),
            "score": result.get("score"),
            "tensors": len(tensors),
            "parameters": int(tensors["parameters"].sum()),
            "fingerprint": digest_file(weights)[:16],
        }
    return {"member": folder.name, **_checkpoint_row(folder)}


def _checkpoint_row(folder: Path) -> dict[str, object]:
    for path in (folder / name for name in NEWEST_FIRST):
        try:
            parts = load_state(path)["parts"]
            progress, network = parts["progress"], dict(_tensors("", parts["network"]))
        except Exception:  # missing or damaged: the one before it counts
            continue
        history = progress["history"]
        best = history[progress["best_epoch"] - 1] if progress["best_epoch"] else None
        return {
            "state": f"in epoch {progress['epoch'] + 1}, step {progress['step']}",
            "epochs": progress["epoch"],
            "best_epoch": progress["best_epoch"] or None,
            "score": best["score"] if best else None,
            "tensors": len(network),
            "parameters": sum(tensor.numel() for tensor in network.values()),
            "fingerprint": digest_file(path)[:16],
        }
    return {"state": "no readable checkpoint"}
