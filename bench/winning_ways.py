"""The ways that `bench/winning.py` measures: what each changes of the recipe, and their order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

FOLDS, SIZE = 3, 48
FLIP = [{"name": "HorizontalFlip", "p": 0.5}]
WHOLE = [
    *FLIP,
    {
        "name": "Affine", "scale": [0.9, 1.1], "translate_percent": [-0.05, 0.05], "rotate": [-10, 10],
        "border_mode": 1, "p": 0.7,
    },
    {"name": "RandomBrightnessContrast", "brightness_limit": 0.2, "contrast_limit": 0.2, "p": 0.5},
]  # fmt: skip
MODEL = {"name": "timm", "backbone": "mobilenetv2_100", "weights": "weights/mobilenetv2_100.safetensors"}
SQUEEZENET = {"name": "torchvision", "backbone": "squeezenet1_1", "weights": "weights/squeezenet1_1.safetensors"}
BASE: dict[str, Any] = {
    "images.size": [SIZE, SIZE],
    "folds.n": FOLDS,
    "model": MODEL,
    "transforms": [{"name": "albumentations", "random": WHOLE}],
    "sampler": {"name": "weighted", "power": 0.5},
    "loss": {"name": "cross_entropy"},
    "finetune.backbone_lr_ratio": 0.5,
    "optimizer": {"name": "adamw", "lr": 9.9e-4},
    "scheduler": {"name": "cosine", "warmup_share": 0.1},
    "training.batch_size": 16,
    "training.device": "cpu",
    "training.precision": "32-true",
    "training.workers": 0,
    "callbacks": [{"name": "best_checkpoint"}, {"name": "ema"}],
    "tta": [{"name": "flips"}],
    "postprocess": [{"name": "prior"}],
}


class Way(NamedTuple):
    """One way to train or predict: what it changes of the recipe, and the share of its epochs that it trains."""

    title: str
    changes: Mapping[str, Any] = MappingProxyType({})
    share: float = 1.0
    predicts_only: bool = False


FLIPPED = {"transforms": [{"name": "albumentations", "random": FLIP}]}
SHUFFLED = {"sampler": {"name": "shuffle"}}
WAYS = {
    "script": Way("plain script"),
    "recipe": Way("recipe"),
    "no-prior": Way("without `prior`", {"postprocess": []}, predicts_only=True),
    "no-tta": Way("without TTA", {"tta": []}, predicts_only=True),
    "flip": Way("a flip as the only augmentation", FLIPPED),
    "shuffle": Way("sampler `shuffle`", SHUFFLED),
    "shuffle-no-prior": Way("sampler `shuffle`, without `prior`", {**SHUFFLED, "postprocess": []}, predicts_only=True),
    "shuffle-no-tta": Way("sampler `shuffle`, without TTA", {**SHUFFLED, "tta": []}, predicts_only=True),
    "shuffle-flip": Way("sampler `shuffle`, a flip as the only augmentation", {**SHUFFLED, **FLIPPED}),
    "power-1": Way("sampler `weighted`, power 1", {"sampler": {"name": "weighted", "power": 1.0}}),
    "no-ema": Way("without EMA", {"callbacks": [{"name": "best_checkpoint"}]}),
    "ratio-1": Way("backbone at the head's rate", {"finetune.backbone_lr_ratio": 1.0}),
    "ratio-0.1": Way("backbone at a tenth of the head's rate", {"finetune.backbone_lr_ratio": 0.1}),
    "smoothing": Way("label smoothing 0.1", {"loss": {"name": "cross_entropy", "label_smoothing": 0.1}}),
    "seeds": Way("two seeds, half the epochs each", {"training.seeds": 2}, 0.5),
    "refit": Way("refit on all rows, two thirds of the epochs", {"training.refit": True}, 2 / 3),
    "sizes": Way(
        "two sizes (48 and 64 px), half the epochs each",
        {"variants": [{"name": "px48"}, {"name": "px64", "images": {"size": [64, 64]}}]},
        0.5,
    ),
    "networks": Way(
        "MobileNetV2 and SqueezeNet, half the epochs each",
        {"variants": [{"name": "mobilenet"}, {"name": "squeezenet", "model": SQUEEZENET}]},
        0.5,
    ),
    "long": Way("twice the epochs", share=2.0),
    "long-flip": Way("twice the epochs, a flip as the only augmentation", FLIPPED, 2.0),
}
MAIN = ("recipe", "no-tta", "shuffle", "script")
PLAN = (
    ("masks", 1, MAIN),
    ("masks", 0, ("recipe", "no-tta", "flip", "no-ema", "power-1", "smoothing", "networks", "seeds")),
    ("faces", 0, (*MAIN, "ratio-1")),
    ("masks", 2, MAIN),
    ("masks", 1, ("flip", "no-ema", "power-1", "ratio-1", "networks")),
    ("masks", 2, ("ratio-1",)),
    *(("faces", seed, ("ratio-1", "script", "recipe")) for seed in (1, 2)),
    *(("masks", seed, ("ratio-1", "refit", "long", "long-flip", "sizes")) for seed in (0, 1, 2)),
    ("masks", 0, ("ratio-0.1",)),
    *(("masks", seed, ("smoothing", "seeds", "networks", "flip", "no-ema", "power-1", "ratio-0.1")) for seed in (1, 2)),
    *(("faces", seed, ("shuffle", "refit", "long")) for seed in (0, 1, 2)),
)


def toml_value(value: object) -> str:
    """Return a value as it is written in a TOML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {toml_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return json.dumps(value)
