"""Statistics of activations or gradients, by module and epoch."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from compete import Epoch, TrainerView, hookimpl

from ._modules import Direction, Watch, Watcher

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = ("epoch", "module", "mean", "std", "zeros", "values")
FILES: dict[Direction, str] = {"forward": "activations.csv", "backward": "gradients.csv"}


class Activations(Watcher):
    """Sums of each module's values on the device, read once an epoch."""

    def __init__(self, patterns: Sequence[str] | None, on: Direction) -> None:
        super().__init__(patterns, on)
        self.sums = torch.zeros(0, 4, dtype=torch.float64)  # of each module: values, their sum, squares, zeros
        self.rows = ""  # the CSV so far

    @hookimpl
    def on_member_start(self, trainer: TrainerView) -> None:
        """Watch the member's network."""
        self.close()
        self.names = self.match(trainer.network)
        device = next(trainer.network.parameters()).device
        self.sums = torch.zeros(len(self.names), 4, dtype=torch.float64, device=device)
        self.rows = ",".join(COLUMNS) + "\n"
        self._watch = Watch(trainer.network, self.names, self.on, self._add)

    def _add(self, number: int, _inputs: object, values: torch.Tensor) -> None:
        values = values.float()
        variance, mean = (number.double() for number in torch.var_mean(values, correction=0))
        counts = torch.stack([mean, variance + mean * mean, (values == 0).double().mean()])
        self.sums[number, 0] += values.numel()
        self.sums[number, 1:] += counts * values.numel()

    @hookimpl
    def on_epoch_end(self, trainer: TrainerView, epoch: Epoch) -> None:
        """Add the epoch's rows, and write the file."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        for name, (values, total, squares, zeros) in zip(self.names, self.sums.tolist(), strict=True):
            if values:
                mean = total / values
                std = max(0.0, squares / values - mean * mean) ** 0.5
                row = (f"{mean:.6g}", f"{std:.6g}", f"{zeros / values:.6g}", int(values))
                writer.writerow([epoch.number, name, *row])
        self.rows += text.getvalue()
        self.sums.zero_()
        write_whole(trainer.folder / FILES[self.on], self.rows.encode())

    def state_dict(self) -> dict[str, Any]:
        """Return the file's text and the sums."""
        return {"rows": self.rows, "names": "\n".join(self.names), "sums": self.sums}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore both, unless other modules were watched."""
        if state["names"].split("\n") == self.names:
            self.rows = state["rows"]
            self.sums.copy_(state["sums"])


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that a reader never sees half of."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(data)
    temporary.replace(path)
