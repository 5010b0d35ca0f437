"""The tiny competition with a backbone that is the same in every member, as a pretrained one is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

PLUGIN = '''
from pathlib import Path

import torch
from torch import nn

from compete import hookimpl



def count(module, inputs, output):
    """Write how many images pass the backbone."""
    with Path("passes.txt").open("a") as file:
        file.write(f"{len(output)}\\n")


class Network(nn.Module):
    """A frozen stem with batch norm, a dropout, and a head."""

    def __init__(self, outputs, channels, dropout, width, drawn):
        super().__init__()
        before = torch.get_rng_state()
        if not drawn:
            torch.manual_seed(7)
        self.stem = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.stem.register_forward_hook(count)
        if not drawn:
            torch.set_rng_state(before)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, outputs)

    def forward(self, images):
        return self.head(self.dropout(self.stem(images).mean(dim=(2, 3))))


def fixed(outputs: int, channels: int, *, dropout: float = 0.0, width: int = 6, drawn: bool = False):
    """The same backbone in each member, unless it is drawn."""
    return Network(outputs, channels, dropout, width, drawn)


class Odd(Network):
    how = ""

    def forward(self, images):
        features = self.stem(images).mean(dim=(2, 3))
        if self.how == "noise":
            features = nn.functional.dropout(features, 0.5, self.training)
        if self.how == "twice":
            return self.head(features) + self.head(features * 2)
        if self.how == "after":
            return self.head(features) * 2
        if self.how == "two inputs":
            return self.head(features) + images.mean(dim=(1, 2, 3))[:, None]
        return self.head(input=features)


def odd(outputs: int, channels: int, *, how: str):
    """A network that cannot be cut, or only with care."""
    network = Odd(outputs, channels, 0.0, 6, False)
    network.how = how
    return network


@hookimpl
def register_models():
    return {"fixed": fixed, "odd": odd}
'''


@pytest.fixture
def frozen(tiny: Path) -> Path:
    """The tiny competition with a frozen backbone; its TOML is `tiny.toml`."""
    (tiny / "frozen_plugin.py").write_text(PLUGIN)
    toml = (tiny / "tiny.toml").read_text()
    toml = toml.replace('["tiny_plugin.py"]', '["tiny_plugin.py", "frozen_plugin.py"]').replace("brightness", "fixed")
    (tiny / "tiny.toml").write_text(toml + '\n[finetune]\nfreeze = "backbone"\n')
    return tiny


@pytest.fixture
def run_with(frozen: Path) -> Callable[..., object]:
    """Return a function that runs the competition from scratch with overrides."""
    from compete.config.load import load_config
    from compete.session import RunOptions
    from compete.stages.runner import run_competition

    def run(*overrides: str) -> object:
        return run_competition(
            load_config(frozen / "tiny.toml", overrides), fresh=True, options=RunOptions(doctor=False)
        )

    return run
