"""One epoch of images from local files, a local tar and a web server on loopback, decoded each time or from the cache.

    python bench/stream.py --images 400 --side 256 --delay 0.02

Draws JPEGs into a temporary folder, serves it, and reads one shuffled epoch in each way, in turn, `--repeats` times.
`--delay` is what the server waits before it answers, in seconds: a store far away answers after 0.02 to 0.1. Prints
medians in images per second with their range, and the median of the ratios to local files of the same turn; trust the
ratios. The cache is built before its epoch, which is timed apart. The server runs in this process, on the same cores.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image as Picture

from compete.config.plugins import load_plugins
from compete.config.settings import Images
from compete.data.decoder import Decoder
from compete.data.images import ImagesByRow, open_image_set
from compete.data.loaders import EpochBatches, ImageDataset, make_loader, prediction_batches, read_batches
from compete.files.root import Files

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from file_fixtures import make_tar
from store_server import StoreServer, serve

BATCH, CACHED_EPOCHS = 32, 20  # one epoch from the cache is too short to time


def draw(folder: Path, count: int, side: int) -> list[str]:
    """Draw smooth random images and a tar of them."""
    rng = np.random.default_rng(0)
    names = [f"{number}.jpg" for number in range(count)]
    for name in names:
        small = Picture.fromarray(rng.integers(0, 255, (side // 16, side // 16, 3), dtype=np.uint8))
        small.resize((side, side), Picture.Resampling.BICUBIC).save(folder / name, quality=90)
    make_tar(folder / "all.tar", {name: (folder / name).read_bytes() for name in names})
    return names


def seconds(root: Path | str, paths: list[str], place: Path, cache: bool, workers: int) -> tuple[float, float]:
    """Return the time to open the images (the index, the cache), and that of one shuffled epoch."""
    settings = Images(size=(224, 224), cache=cache, cache_dir=str(place / "cache"))
    started = time.perf_counter()
    files = Files(root, place)
    assert files.present(paths).all()
    decoder = Decoder(files, {"jpg": load_plugins().registry["readers"]["jpg"].factory}, settings)
    table = pd.DataFrame({"id": paths, "image": paths})
    images = open_image_set(table, decoder, "bench" if cache else "", lambda *_: None).images
    opened = time.perf_counter()
    batches, rows = EpochBatches(), np.random.default_rng(1).permutation(len(paths))
    batches.batches = prediction_batches(rows, ImagesByRow(np.arange(len(paths)), len(paths)), BATCH)
    loader = make_loader(ImageDataset(images), batches, workers, pin_memory=False)
    began, epochs = time.perf_counter(), CACHED_EPOCHS if cache else 1
    for _ in range(epochs):
        assert sum(len(batch.rows) for batch in read_batches(loader)) == len(paths)
    return opened - started, (time.perf_counter() - began) / epochs


def ways(folder: Path, server: StoreServer, names: list[str]) -> Iterator[tuple[str, Path | str, list[str]]]:
    """Yield each source: its name, its root and its paths."""
    members = [f"all.tar/{name}" for name in names]
    yield "local files", folder, names
    yield "local tar", folder, members
    yield "http files", server.url, names
    yield "http tar", server.url, members


def main() -> None:
    """Time every way in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    times: dict[tuple[str, bool], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "data"
        folder.mkdir()
        names = draw(folder, options.images, options.side)
        with serve(folder) as server:
            server.delay_s = options.delay
            for number in range(options.repeats):
                for cache in (False, True):
                    for name, root, paths in ways(folder, server, names):
                        work = Path(place) / f"{number}-{cache}-{name}"
                        times.setdefault((name, cache), []).append(
                            seconds(root, paths, work, cache, 0 if cache else options.workers)
                        )
    show(times, options.images)


def show(times: dict[tuple[str, bool], list[tuple[float, float]]], count: int) -> None:
    """Print a line for each way."""
    print(f"{'':12} {'cache':5} {'open s':>8} {'images/s':>20} {'ratio':>6}")
    for (name, cache), found in times.items():
        rates = sorted(count / epoch for _, epoch in found)
        base = [epoch for _, epoch in times["local files", cache]]
        ratio = statistics.median(local / epoch for local, (_, epoch) in zip(base, found, strict=True))
        spread = f"{statistics.median(rates):.0f} ({rates[0]:.0f}-{rates[-1]:.0f})"
        opened = statistics.median(opening for opening, _ in found)
        print(f"{name:12} {'on' if cache else 'off':5} {opened:8.2f} {spread:>20} {ratio:6.2f}")


if __name__ == "__main__":
    main()
