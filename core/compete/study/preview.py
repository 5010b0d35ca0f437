"""A grid of training images as the network gets them: after the random transforms, with their labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from compete.data.decoder import as_fractions
from compete.store import write_atomic
from compete.study.dry_run import first_step

if TYPE_CHECKING:
    from compete.session import Run
    from compete.types import Array

MOST_IMAGES, COLUMNS = 24, 6
SMALLEST_PIXELS = 96  # of an image's longer side in the grid
MARGIN, TEXT = 6, 14


def write_preview(run: Run, path: Path) -> int:
    """Write the first training images of an epoch, each beside itself before augmentation; return how many.

    Channels beyond the third are left out, and one channel is grey; measured data is shown from its smallest value to
    its largest.
    """
    from PIL import Image, ImageDraw

    trainer, batches = first_step(run)
    rows = np.concatenate([batch.rows.numpy() for batch in batches])[:MOST_IMAGES]
    augmented = [image for batch in batches for image in batch.images.numpy()][:MOST_IMAGES]
    items = [item for items in trainer.epoch_batches for item in items][: len(rows)]
    plain = [run.images.train.images[item.image] for item in items]
    height, width = plain[0].shape[:2]
    scale = max(1, -(-SMALLEST_PIXELS // max(height, width)))
    cell = 2 * width * scale + 3 * MARGIN, height * scale + TEXT + 2 * MARGIN
    lines = -(-len(rows) // COLUMNS)
    sheet = Image.new("RGB", (min(COLUMNS, len(rows)) * cell[0], lines * cell[1]), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (row, before, after) in enumerate(zip(rows, plain, augmented, strict=True)):
        left, top = number % COLUMNS * cell[0] + MARGIN, number // COLUMNS * cell[1] + MARGIN
        for place, image in enumerate((before, after)):
            shown = Image.fromarray(_shown(image)).resize((width * scale, height * scale), Image.Resampling.NEAREST)
            sheet.paste(shown, (left + place * (width * scale + MARGIN), top))
        draw.text((left, top + height * scale + 1), _label(run, int(row)), fill="black")
    write_atomic(path, lambda file: sheet.save(file, "png"))
    return len(rows)


def _shown(image: Array) -> Array:
    """Return an image (H, W, C) as uint8 (H, W, 3)."""
    if image.dtype != np.uint8:
        values = np.nan_to_num(as_fractions(image))
        low, high = values.min(), values.max()
        image = ((values - low) / (high - low or 1) * 255).astype(np.uint8)
    colours = image[:, :, :3] if image.shape[2] >= 3 else image[:, :, :1]
    return np.ascontiguousarray(np.broadcast_to(colours, (*image.shape[:2], 3)))


def _label(run: Run, row: int) -> str:
    labels, classes = run.dataset.labels[row], run.target.classes
    if np.ndim(labels) == 0 and np.issubdtype(run.dataset.labels.dtype, np.integer) and len(classes) > 1:
        text = classes[int(labels)]
    else:
        text = ", ".join(f"{value:g}" for value in np.atleast_1d(labels)[:4])
    return text.encode("latin-1", "replace").decode("latin-1")[:28]  # the letters of Pillow's own font
