"""Sounds become images: the spectrogram that suits their length, and how it is scaled."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from compete.init.findings import Key, Pixels, Section

# Of two seconds at 2,000 samples a second these make 129 rows and 118 columns, in which a whale's call is seen.
COLUMNS, HOPS_IN_A_WINDOW = 125, 8
LARGEST_WINDOW = 2048


def sound_pixels(lengths: list[int], unreadable: tuple[str, ...]) -> Pixels:
    """Return what spectrograms of sounds of so many samples look like."""
    window, hop = windows(lengths)
    sizes = tuple((window // 2 + 1, max(1, (length - window) // hop + 1)) for length in lengths)
    return Pixels(sizes, channels=1, images=False, unreadable=unreadable, samples=tuple(lengths))


def windows(lengths: list[int] | tuple[int, ...]) -> tuple[int, int]:
    """Return a spectrogram's window and hop, powers of two."""
    typical = median(lengths) if lengths else 0
    hop = 1 << max(3, int(typical // COLUMNS).bit_length() - 1)
    window = min(HOPS_IN_A_WINDOW * hop, LARGEST_WINDOW)
    return window, min(hop, window // 2)


def sound_sections(pixels: Pixels) -> Iterator[Section]:
    """Yield the transforms that make a image of a sound."""
    window, hop = windows(pixels.samples)
    typical = f"of about {median(pixels.samples):.0f} samples" if pixels.samples else "of unknown length"
    why = f"sounds {typical} become {window // 2 + 1} rows, low notes below, with a column for every {hop} samples"
    yield Section("transforms", (Key("name", "spectrogram"), Key("window", window), Key("hop", hop)), why, repeats=True)
    keys = Key("name", "scale"), Key("low", 5.0), Key("high", 99.8), Key("log", True)
    yield Section("transforms", keys, "loudness by its logarithm; what is as low as the noise becomes 0", repeats=True)
