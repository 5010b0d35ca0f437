"""How long albumentations and torchvision take for the same augmentation of one image.

    python bench/transforms.py --sizes 96 224 384 --n 200

Both run as in a loader process: on uint8 images, with one thread. Prints the median in ms, of three rounds in turn.
"""

from __future__ import annotations

import argparse
import statistics
import time
from importlib.metadata import version
from typing import Any

import cv2
import numpy as np
import torch

from compete_plugins.transforms import register_transforms


def pairs(size: int) -> dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
    """Return the same augmentation as each library spells it: albumentations, torchvision."""
    crop = {"name": "RandomResizedCrop", "size": [size, size], "scale": [0.5, 1.0]}
    colour = {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.05}
    colours = {"brightness": [0.8, 1.2], "contrast": [0.8, 1.2], "saturation": [0.8, 1.2], "hue": [-0.05, 0.05]}
    affine = {"name": "Affine", "rotate": [-10, 10], "scale": [0.9, 1.1], "p": 1.0}
    return {
        "flip": (
            [{"name": "HorizontalFlip", "p": 0.5}],
            [{"name": "RandomHorizontalFlip"}],
        ),
        "crop": ([{**crop, "p": 1.0}], [crop]),
        "affine": (
            [affine],
            [{"name": "RandomAffine", "degrees": 10, "scale": [0.9, 1.1], "interpolation": "bilinear"}],
        ),
        "colour": ([{"name": "ColorJitter", **colours, "p": 1.0}], [{"name": "ColorJitter", **colour}]),
        "blur": (
            [{"name": "GaussianBlur", "blur_limit": [5, 5], "p": 1.0}],
            [{"name": "GaussianBlur", "kernel_size": 5}],
        ),
        "erase": (
            [{"name": "CoarseDropout", "num_holes_range": [1, 1], "p": 1.0}],
            [{"name": "RandomErasing", "p": 1.0}],
        ),
        "elastic": (
            [{"name": "ElasticTransform", "alpha": 50, "sigma": 5, "p": 1.0}],
            [{"name": "ElasticTransform"}],
        ),
    }


def milliseconds(library: str, entries: list[dict[str, Any]], size: int, count: int) -> float:
    """Return the time per image, after a first one."""
    random = register_transforms()[library](random=tuple(entries)).random
    image = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    random(image, 0)
    started = time.perf_counter()
    for seed in range(count):
        random(image, seed)
    return (time.perf_counter() - started) / count * 1000


def main() -> None:
    """Print a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[96, 224, 384])
    parser.add_argument("--n", type=int, default=200)
    given = parser.parse_args()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    libraries = ("albumentations", "torchvision")
    print(", ".join(f"{name} {version(name)}" for name in libraries), f"; n = 3 x {given.n}, ms per image")
    for size in given.sizes:
        for title, both in pairs(size).items():
            rounds = [
                [milliseconds(n, e, size, given.n) for n, e in zip(libraries, both, strict=True)] for _ in range(3)
            ]
            ours, theirs = (statistics.median(column) for column in zip(*rounds, strict=True))
            print(
                f"{size:4} px  {title:8} {ours:7.3f} {theirs:7.3f}  torchvision takes {theirs / ours:.1f} times as long"
            )


if __name__ == "__main__":
    main()
