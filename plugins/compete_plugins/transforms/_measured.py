"""Fixed transforms for measured data: the choice of channels, their range, and sound as an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from compete import Count, DataError, Number, Transform, component, plural

Image = np.ndarray[Any, Any]  # (H, W, C)
Grid = tuple[Annotated[int, Field(ge=1, le=64)], Annotated[int, Field(ge=1, le=64)]]
Channel = Annotated[int, Field(ge=0, le=4095)]


def check_channels(*, keep: list[int | list[int]] | None, split: Grid, tile: Grid) -> Iterator[str]:
    """Yield what is wrong with the options."""
    if keep is None and split == tile == (1, 1):
        yield "set keep, split or tile."
    if keep == []:
        yield "keep lists no channels."
    if [] in (keep or []):
        yield "keep holds an empty list: list the channels to average."
    if keep is not None and len(keep) % (tile[0] * tile[1]):
        yield f"tile = {list(tile)}: {plural(len(keep), 'channel')} cannot be divided among {tile[0] * tile[1]} tiles."


@component(check=check_channels)
def channels(
    *, keep: list[Channel | list[Channel]] | None = None, split: Grid = (1, 1), tile: Grid = (1, 1)
) -> Transform:
    """Choose, average, stack or lay out the channels of every image; the result is cached.

    First, `split = [down, across]` cuts the image into parts of equal size, whose channels are stacked: `[1, 4]` turns
    4 maps side by side into 4 channels. Then `keep` lists the channels in order by number, from 0; a list stands for
    the mean of its channels: `[0, 1, [0, 1]]`. Finally, `tile = [down, across]` lays the channels out row by row: six
    channels with `[6, 1]` become one tall image, with `[3, 1]` an image of two channels. Set `[images] channels` to the
    resulting number.
    """
    return Transform(fixed=partial(_rearranged, keep=keep, split=split, tile=tile))


def check_scale(*, method: str, low: float | None, high: float | None, log: bool, **_: object) -> Iterator[str]:
    """Yield what is wrong with the range."""
    if method == "min_max" and (low is not None or high is not None):
        yield "method = 'min_max' takes neither low nor high."
    if method == "range" and (low is None or high is None):
        yield "method = 'range' needs low and high."
    if method == "percentiles":
        low, high = _percents(low, high)
        if low < 0 or high > 100:
            yield f"low = {low:g} and high = {high:g} must be percentiles, 0 to 100."
    if low is not None and high is not None and low >= high:
        yield f"low = {low:g} must be below high = {high:g}."
    if method == "range" and log and low is not None and low <= 0:
        yield f"low = {low:g} must be above 0 with log = true."


@component(check=check_scale)
def scale(
    *,
    method: Literal["percentiles", "min_max", "range"] = "percentiles",
    low: Number | None = None,
    high: Number | None = None,
    log: bool = False,
    per: Literal["image", "channel"] = "image",
) -> Transform:
    """Scale measured values to 0..1, float32, and clip what lies beyond; the result is cached.

    `method`: `percentiles` maps the percentiles `low` (1) and `high` (99) of each image to 0 and 1 (if they are equal,
    the smallest and the largest value), `min_max` its smallest and largest value, and `range` the values `low` and
    `high`, the same for all images, so that their levels stay comparable. `per = "channel"` scales each channel by
    itself. With `log` the logarithm is scaled; `low` and `high` are still in the data's own unit. Values that are not
    finite, or have no logarithm, become 0. For `[images] reader = "raw"`; other readers scale and clip by percentiles
    themselves.
    """
    if method == "percentiles":
        low, high = _percents(low, high)
    return Transform(fixed=partial(_scaled, method=method, low=low, high=high, log=log, per=per))


def spectrogram(
    *,
    window: Annotated[int, Field(ge=8, le=65_536)] = 256,
    hop: Count = 64,
    power: Annotated[float, Field(gt=0, le=10)] = 1.0,
) -> Transform:
    """Turn a sound, read with `[images] reader = "raw"`, into an image: low frequencies below, time to the right.

    `window` samples under a Hann window give one column of window/2 + 1 rows; the next column starts `hop` samples
    later. Cells are magnitudes to the `power`. Channels are averaged. A transform `scale` (`method = "percentiles"`,
    `log = true`) should follow.
    """
    return Transform(fixed=partial(_spectrogram, window=window, hop=hop, power=power))


def _percents(low: float | None, high: float | None) -> tuple[float, float]:
    return 1.0 if low is None else low, 99.0 if high is None else high


def _rearranged(image: Image, *, keep: Sequence[int | list[int]] | None, split: Grid, tile: Grid) -> Image:
    image = _split(image, *split)
    if keep is not None:
        kept = np.stack([_channel(image, item) for item in keep], axis=2)
        image = (kept.round() if image.dtype == np.uint8 else kept).astype(image.dtype)
    return _tiled(image, *tile)


def _channel(image: Image, item: int | list[int]) -> Image:
    numbers = [item] if isinstance(item, int) else item
    if max(numbers) >= image.shape[2]:
        raise DataError(
            f"[[transforms]] channels keep = {max(numbers)}: images have {plural(image.shape[2], 'channel')}, from 0."
        )
    taken = image[:, :, numbers]
    mean: Image = taken[:, :, 0] if len(numbers) == 1 else taken.mean(axis=2)  # -> (H, W)
    return mean


def _split(image: Image, down: int, across: int) -> Image:
    height, width, count = image.shape
    if height % down or width % across:
        raise DataError(
            f"[[transforms]] channels split = [{down}, {across}]: an image of {height} x {width} cannot be cut evenly."
        )
    # (H, W, C) -> (H / down, W / across, down * across * C)
    parts = image.reshape(down, height // down, across, width // across, count)
    return parts.transpose(1, 3, 0, 2, 4).reshape(height // down, width // across, -1)


def _tiled(image: Image, down: int, across: int) -> Image:
    height, width, count = image.shape
    if count % (down * across):
        raise DataError(
            f"[[transforms]] channels tile = [{down}, {across}]: {plural(count, 'channel')} cannot be divided among "
            f"{down * across} tiles."
        )
    # (H, W, C) -> (down * H, across * W, C / (down * across))
    tiles = image.reshape(height, width, down, across, -1)
    return np.ascontiguousarray(tiles.transpose(2, 0, 3, 1, 4).reshape(down * height, across * width, -1))


def _scaled(image: Image, *, method: str, low: float | None, high: float | None, log: bool, per: str) -> Image:
    if per == "channel":
        whole = partial(_scaled, method=method, low=low, high=high, log=log, per="image")
        return np.concatenate([whole(image[:, :, [number]]) for number in range(image.shape[2])], axis=2)
    values = image.astype(np.float32)
    usable = np.isfinite(values) & (values > 0) if log else np.isfinite(values)
    if not usable.any():
        return np.zeros_like(values)
    least, most = _bounds(values[usable], method, low, high)
    clipped = np.clip(np.where(usable, values, least), least, most)
    if log:
        clipped, least, most = np.log(clipped), float(np.log(least)), float(np.log(most))
    scaled: Image = ((clipped - least) * (1.0 / (most - least) if most > least else 0.0)).astype(np.float32)
    return scaled


def _bounds(values: Image, method: str, low: float | None, high: float | None) -> tuple[float, float]:
    if method == "min_max":
        return float(values.min()), float(values.max())
    assert low is not None and high is not None, "the check refuses a range without bounds"
    if method == "range":
        return low, high
    least, most = np.percentile(values, (low, high))
    if least == most:  # as where few pixels are not background
        least, most = values.min(), values.max()
    return float(least), float(most)


def _spectrogram(image: Image, *, window: int, hop: int, power: float) -> Image:
    if image.shape[0] != 1:
        raise DataError("[[transforms]] spectrogram needs sounds: set [images] reader = 'raw'.")
    samples = image[0].mean(axis=1)
    samples = np.pad(samples, (0, max(0, window - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(samples, window)[::hop]  # (samples,) -> (columns, window)
    magnitudes = np.abs(np.fft.rfft(frames * np.hanning(window), axis=1)) ** power
    return np.ascontiguousarray(magnitudes.T[::-1, :, None].astype(np.float32))
