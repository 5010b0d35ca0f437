"""How fast images reach the network: decoded each time or from the cache, with and without loader processes.

    python bench/input.py --images 600 --height 512 --width 384 --size 96

Draws JPEGs of the given size into a temporary folder and reads one shuffled epoch of them in each way, three times in
turn. Prints medians in images per second, and ratios to the first way; trust the ratios.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image as Image

from compete.config.plugins import load_plugins
from compete.config.settings import Images
from compete.data.decoder import Decoder
from compete.data.images import ImagesByRow, open_image_set
from compete.data.loaders import EpochBatches, ImageDataset, make_loader, prediction_batches
from compete.files.contents import Contents
from compete.files.root import Files
from compete.identity import digest_bytes


def draw(folder: Path, count: int, height: int, width: int) -> list[str]:
    """Draw smooth random images, 20 to 60 KB each at 512 x 384."""
    rng = np.random.default_rng(0)
    names = [f"{number}.jpg" for number in range(count)]
    for name in names:
        small = Image.fromarray(rng.integers(0, 255, (24, 18, 3), dtype=np.uint8))
        small.resize((width, height), Image.Resampling.BICUBIC).save(folder / name, quality=90)
    return names


def epoch_seconds(dataset: ImageDataset, count: int, workers: int) -> float:
    """Read one shuffled epoch in batches of 32."""
    rows = np.random.default_rng(1).permutation(count)
    batches = EpochBatches()
    batches.batches = prediction_batches(rows, ImagesByRow(np.arange(count), count), 32)
    started = time.perf_counter()
    read = sum(len(batch.rows) for batch in make_loader(dataset, batches, workers, pin_memory=False))
    assert read == count
    return time.perf_counter() - started


def digest_seconds(contents: Contents, folder: Path, names: list[str]) -> float:
    """Find out what the files hold; without a memory each is read and hashed."""
    started = time.perf_counter()
    contents.digests(Files(folder), names, lambda _done, _total: None)
    (folder / "none.parquet").unlink(missing_ok=True)
    return time.perf_counter() - started


def ways(folder: Path, names: list[str], size: int) -> Mapping[str, Callable[[], float]]:
    """Return the ways to read an epoch, each as a function that gives its seconds."""
    registry = load_plugins().registry["readers"]
    readers = {name: component.factory for name, component in registry.items()}
    datasets = {}
    for cache in (False, True):
        settings = Images(size=(size, size), cache=cache, cache_dir=str(folder / "cache"))
        decoder = Decoder(Files(folder), readers, settings)
        opened = open_image_set(pd.DataFrame({"image": names}), decoder, "key", lambda _done, _total: None)
        datasets[cache] = ImageDataset(opened.images)
    contents = Contents(folder / "contents.parquet", digest_bytes)
    forgetful = replace(contents, memory=folder / "none.parquet")
    return {
        "digests of the files": lambda: digest_seconds(forgetful, folder, names),
        "digests, remembered": lambda: digest_seconds(contents, folder, names),
        "decode each time, 0 workers": lambda: epoch_seconds(datasets[False], len(names), 0),
        "decode each time, 2 workers": lambda: epoch_seconds(datasets[False], len(names), 2),
        "cache, 0 workers": lambda: epoch_seconds(datasets[True], len(names), 0),
        "cache, 2 workers": lambda: epoch_seconds(datasets[True], len(names), 2),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("images", 600), ("height", 512), ("width", 384), ("size", 96), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        names = draw(Path(name), options.images, options.height, options.width)
        timed = ways(Path(name), names, options.size)
        measured: dict[str, list[float]] = {way: [] for way in timed}
        for _ in range(options.rounds):
            for way, seconds in timed.items():
                measured[way].append(seconds())
    first = statistics.median(next(iter(measured.values())))
    for way, seconds in measured.items():
        median = statistics.median(seconds)
        print(f"{way:<28} {options.images / median:>9.0f} images/s   x {first / median:.1f}")


if __name__ == "__main__":
    main()
