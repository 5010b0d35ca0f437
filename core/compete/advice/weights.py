"""Whether a backbone's pretrained weights can be had now: in the hub's cache, in a local file, or from the hub."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from compete.advice.facts import Weights
from compete.config.options import bind
from compete.model.weights import weights_of, weights_state

if TYPE_CHECKING:
    from compete.config.registry import Component

FILES = (".safetensors", ".pth", ".bin")
PLACES = (".", "weights", "models", "/kaggle/input")
SECONDS = 3.0  # that the hub has for an answer
MOST_FILES = 2_000


def find_weights(timm: Component | None, backbone: str, ask_hub: bool = True) -> Weights:
    """Return where the weights of a timm backbone such as "resnet34.a1_in1k" are, as the model's component says."""
    bound = None if timm is None else bind(timm, {"backbone": backbone, "pretrained": True}, "[model]")[0]
    asked = () if bound is None else weights_of(bound)
    if not asked:
        return Weights(backbone)
    if asked[0].path is not None:
        return Weights(backbone, "cache")
    state = weights_state(asked[0], SECONDS) if ask_hub else None
    if state is None or state.reason:
        return Weights(backbone)
    return Weights(backbone, "hub", max(1, round(state.size / 1e6)))


def local_weights(names: Collection[str], wanted: str = "") -> Weights | None:
    """Return a file of weights that is called after a backbone, such as weights/resnet18.a1_in1k.safetensors.

    That of the wanted backbone comes first, then others whose name tells the weights too.
    """
    found = [
        Weights(backbone, path.as_posix(), round(path.stat().st_size / 1e6))
        for place in PLACES
        for path in _files(Path(place))
        if (backbone := _backbone(path.name.removesuffix(path.suffix), names))
    ]
    return min(found, key=lambda weights: (weights.backbone != wanted, "." not in weights.backbone), default=None)


def _backbone(name: str, names: Collection[str]) -> str:
    """Return the backbone that a file's name tells, with its tag if that is timm's: mean and std depend on it."""
    architecture = name.partition(".")[0]
    if architecture not in names or architecture == name:
        return architecture if architecture in names else ""
    import timm

    return name if name in timm.list_pretrained(f"{architecture}.*") else architecture


def _files(place: Path) -> list[Path]:
    pattern = "*/*" if place.is_absolute() else "*"
    found = []
    for number, path in enumerate(place.glob(pattern) if place.is_dir() else ()):
        if number >= MOST_FILES:
            break
        if path.suffix in FILES and path.is_file():
            found.append(path)
    return sorted(found)
