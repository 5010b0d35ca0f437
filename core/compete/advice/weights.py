"""Whether a backbone's pretrained weights can be had now: in the hub's cache, in a local file, or from the hub."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from compete.advice.facts import Weights

FILES = (".safetensors", ".pth", ".bin")
PLACES = (".", "weights", "models", "/kaggle/input")
SECONDS = 3.0  # that the hub has for an answer
MOST_FILES = 2_000


def find_weights(backbone: str, ask_hub: bool = True) -> Weights:
    """Return where the weights of a timm backbone such as "resnet34.a1_in1k" are. The one place that knows."""
    from huggingface_hub import try_to_load_from_cache

    repository = f"timm/{backbone}"
    if isinstance(try_to_load_from_cache(repository, "model.safetensors"), str):
        return Weights(backbone, "cache")
    size_mb = reachable_mb(repository) if ask_hub else 0
    return Weights(backbone, "hub", size_mb) if size_mb else Weights(backbone)


def reachable_mb(repository: str) -> int:
    """Return the size of a repository's weights in MB; 0 where the hub does not answer, or is not to be asked."""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url

    if constants.HF_HUB_OFFLINE or os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on"):
        return 0
    try:
        found = get_hf_file_metadata(hf_hub_url(repository, "model.safetensors"), timeout=SECONDS)
    except Exception:  # whatever a network, proxy or HTTP library raises: the weights cannot be had now
        return 0
    return max(1, round((found.size or 0) / 1e6))


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
