"""The stand-in for the mask competition: drawn people, in the competition's layout, with its traps."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from compete import component

from ._folder import NOTE_FILE, draw_folder, options_line
from ._image import write_image
from ._people import Image, Plan, plan_people

FIRST_LINE = (
    "Drawings made by `compete demo mask`, not images: a score on them says nothing about the real competition."
)
_SMALLEST, _LARGEST = 32, 2048
_SERIAL_AT_MOST = 300  # below that, starting processes takes longer than drawing


def _check_size(*, size: tuple[int, int], **_: object) -> Iterator[str]:
    if not all(_SMALLEST <= side <= _LARGEST for side in size):
        yield f"size = {list(size)}: width and height must be between {_SMALLEST} and {_LARGEST} pixels."


@component(check=_check_size)
def mask_demo(
    folder: Path,
    *,
    people: Annotated[int, Field(ge=12)] = 200,
    test_people: Annotated[int, Field(ge=6)] = 80,
    size: tuple[int, int] = (120, 160),
    label_noise: Annotated[float, Field(ge=0, le=0.2)] = 0.01,
    seed: Annotated[int, Field(ge=0)] = 42,
) -> None:
    """Draw people with and without masks, in the layout of the mask competition and with its traps.

    Every person is drawn seven times: five with a mask, one with it worn wrongly, one without. 200 people is the
    smallest number that keeps both the competition's imbalance (51:1, there 49:1) and six people in its rarest
    group, so that each of five folds sees every class; they are drawn in about 20 seconds.
    Ages are cut at 18 and 60, one id occurs with two ages, some ids share a base (`-1`, `-2`), about 1 % of the
    labels are wrong, and file endings are mixed. The same options give the same bytes.

    people: people to train on, seven images each.
    test_people: other people, whose images make the test set; their labels are in eval/labels.csv.
    size: width and height in pixels; the competition's own is [384, 512]: four times slower, five times larger.
    label_noise: share of the training images with a wrong gender or with `normal` and `incorrect_mask` swapped.
    seed: another seed draws other people.
    """
    options = {
        "people": people, "test_people": test_people, "size": list(size), "label_noise": label_noise, "seed": seed,
    }  # fmt: skip
    plan = plan_people(people, test_people, label_noise, seed)
    draw_folder(folder, "mask", options, partial(_draw, plan=plan, size=size, seed=seed, options=options))


def _draw(folder: Path, *, plan: Plan, size: tuple[int, int], seed: int, options: dict[str, Any]) -> None:
    listing = [(s.id, s.gender, "Asian", s.age, s.folder) for s in plan.train]
    for parent in {image.path.parent for image in plan.images}:
        (folder / parent).mkdir(parents=True, exist_ok=True)
    _write_table(folder / "train/train.csv", ("id", "gender", "race", "age", "path"), listing)
    _write_table(folder / "eval/info.csv", ("ImageID", "ans"), [(name, 0) for name, _ in plan.labels])
    _write_table(folder / "eval/labels.csv", ("ImageID", "ans"), plan.labels)
    _draw_all(partial(write_image, folder, size=size, seed=seed), plan.images)
    (folder / NOTE_FILE).write_text(_note(plan, options), encoding="utf-8")


def _write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _draw_all(draw: Callable[[Image], None], images: Sequence[Image]) -> None:
    """Draw images on every core. Each image is drawn from its own seed, so the order does not matter."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    cores = min(os.cpu_count() or 1, 8)
    if cores == 1 or len(images) <= _SERIAL_AT_MOST:
        for image in images:
            draw(image)
        return
    # Spawned, because a forked copy of a process with threads (torch has some) may hang.
    with ProcessPoolExecutor(cores, get_context("spawn"), _use_one_thread) as pool:
        for _ in pool.map(draw, images, chunksize=20):
            pass


def _use_one_thread() -> None:
    """Keep one drawing process on one core; there are as many of them as cores."""
    import cv2

    cv2.setNumThreads(1)


def _note(plan: Plan, options: dict[str, Any]) -> str:
    """Say what these images are, which labels are given away, and which labels are wrong on purpose."""
    wrong = [f"  {line}" for line in plan.wrong] or ["  none"]
    return "\n".join([
        FIRST_LINE,
        "",
        "Nobody in them exists. eval/labels.csv holds the labels to the test images, so that you can score a",
        "submission yourself; the real competition gives none. Training does not read it, and neither should you.",
        "",
        "Wrong on purpose, as about 1 % of the real labels are:",
        *wrong,
        "",
        options_line("mask", options),
        "",
    ])  # fmt: skip
