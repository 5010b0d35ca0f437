"""The drawn batch, pixel by pixel."""

from __future__ import annotations

import numpy as np
from PIL import Image

from compete.config.load import load_config
from compete.study.dry_run import dry_run, first_step
from compete.study.preview import write_preview


def test_a_batch_is_drawn_before_and_after_augmentation(tiny):
    config = load_config(
        tiny / "tiny.toml", ['transforms=[{name="albumentations", random=[{name="HorizontalFlip", p=1}]}]']
    )
    with dry_run(config) as run:
        assert write_preview(run, tiny / "grid.png") == 5
        trainer, [batch] = first_step(run)
        plain = run.images.train.images[next(iter(trainer.epoch_batches))[0].image]
    sheet = np.asarray(Image.open(tiny / "grid.png"))
    scale, margin = 12, 6
    before = sheet[margin : margin + 96 : scale, margin : margin + 96 : scale]
    after = sheet[margin : margin + 96 : scale, 96 + 2 * margin : 2 * 96 + 2 * margin : scale]
    assert np.array_equal(before, plain) and np.array_equal(after, batch.images[0].numpy())
    assert np.array_equal(after, plain[:, ::-1])
