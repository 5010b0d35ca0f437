"""A local plugin for the tests: 8 x 8 images whose brightness is their class, and networks that can read it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from compete import DataError, Tables, hookimpl


def tiny_dataset(root: Path, *, group: bool = True) -> Tables:
    """Read the tables that `draw_tiny` wrote."""
    if not root.is_dir():
        raise DataError(f"there is no folder {root}")
    train = pd.read_csv(root / "train.csv", dtype=str, keep_default_na=False)
    sample = pd.read_csv(root / "sample.csv", dtype=str, keep_default_na=False)
    test = pd.DataFrame({"id": sample["id"], "image": "test/" + sample["id"] + ".png"})
    return Tables(train if group else train.drop(columns="group"), test, sample, note="drawn for a test")


class Brightness(nn.Module):
    """Logits that grow with a learned function of the mean brightness."""

    def __init__(self, outputs: int, channels: int, dropout: float) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(4, outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.dropout(self.stem(images).mean(dim=(2, 3))))


def brightness(outputs: int, channels: int, *, dropout: float = 0.0) -> nn.Module:
    """A tiny network."""
    return Brightness(outputs, channels, dropout)


class Oracle(nn.Module):
    """Answers the class that a image's brightness means: image value = 20 + 40 * class."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.outputs = outputs
        self.mean, self.std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        value = (images.mean(dim=(1, 2, 3)) * 255 - 20) / 40
        centres = torch.arange(self.outputs, device=images.device)
        return -self.scale * 50 * (value[:, None] - centres).abs()


def oracle(outputs: int, channels: int) -> nn.Module:
    """A network that needs no training."""
    return Oracle(outputs)


def softmaxed(outputs: int, channels: int) -> nn.Module:
    """The classic mistake."""
    return nn.Sequential(brightness(outputs, channels), nn.Softmax(dim=1))


@hookimpl
def register_datasets() -> dict:
    return {"tiny": tiny_dataset}


@hookimpl
def register_models() -> dict:
    return {"brightness": brightness, "oracle": oracle, "softmaxed": softmaxed}


def draw_tiny(root: Path, classes: int = 3, people: int = 12, images: int = 2, test: int = 7) -> None:
    """Draw people whose images all have one class, and a test set, deterministically."""
    from PIL import Image

    rng = np.random.default_rng(0)

    def draw(path: Path, value: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((8, 8, 3), 20 + 40 * value) + rng.integers(-8, 9, (8, 8, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(path)

    rows = []
    for person in range(people):
        for image in range(images):
            name = f"p{person:02d}_{image}"
            draw(root / "train" / f"{name}.png", person % classes)
            rows.append((name, f"train/{name}.png", "abc"[person % classes], f"p{person:02d}"))
    pd.DataFrame(rows, columns=["id", "image", "label", "group"]).to_csv(root / "train.csv", index=False)
    names = [f"t{number}" for number in range(test)]
    for number, name in enumerate(names):
        draw(root / "test" / f"{name}.png", number % classes)
    pd.DataFrame({"id": names, "label": ""}).to_csv(root / "sample.csv", index=False)
