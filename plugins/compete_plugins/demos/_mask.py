"""Demo data for the mask competition: drawn people in the competition's layout, with its traps."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from compete import Count, component

from ._folder import fill_folder
from ._people import Plan, plan_people

_NOTE = """Drawings made by `compete demo mask`: a score on them says nothing about the real competition.

Nobody in them exists. eval/labels.csv holds the labels of the test images, so that you can score a submission
yourself; the real competition keeps them secret. Training does not read the file, and neither should you.

Labels that are wrong on purpose, as about 1 % of the real ones are:
"""


def _check_size(*, size: tuple[int, int], **_: object) -> Iterator[str]:
    if not all(32 <= side <= 2048 for side in size):
        yield f"size = {list(size)}: width and height must be between 32 and 2048 pixels."


@component(check=_check_size)
def mask_demo(
    folder: Path,
    *,
    people: Annotated[int, Field(ge=12, le=100_000)] = 200,
    test_people: Annotated[int, Field(ge=6, le=100_000)] = 80,
    size: tuple[Count, Count] = (120, 160),
    label_noise: Annotated[float, Field(ge=0, le=0.2)] = 0.01,
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 42,
) -> None:
    """Draw people with and without masks, in the layout of the mask competition and with its traps.

    Every person is drawn seven times: five with a mask, one with it worn wrongly, one without. 200 people is the
    smallest number that keeps both the competition's imbalance (51:1, there 49:1) and six people in its rarest
    group, so that each of five folds sees every class. A person's images look alike: a split by image leaks.
    Ages are cut at 18 and 60, one id occurs with two ages, some ids share a base (`-1`, `-2`), about 1 % of the
    labels are wrong, and file extensions are mixed. The same options give the same bytes.

    people: people to train on, seven images each.
    test_people: other people, whose images make the test set; their labels are in eval/labels.csv.
    size: width and height in pixels; the competition's own is [384, 512].
    label_noise: share of the training images with a wrong gender or with `normal` and `incorrect_mask` swapped.
    seed: another seed draws other people.
    """
    options = {"demo": "mask", "people": people, "test_people": test_people, "size": list(size)}
    options |= {"label_noise": label_noise, "seed": seed}

    def fill(new: Path) -> str:
        plan = plan_people(people, test_people, label_noise, seed)
        _draw_images(new, plan, size, seed)
        _write_tables(new, plan)
        return _NOTE + "".join(f"  {line}\n" for line in plan.wrong or ["none"])

    fill_folder(folder, options, fill)


def _write_tables(folder: Path, plan: Plan) -> None:
    listing = [(p.id, p.gender, "Asian", p.age, p.folder) for p in plan.people]
    people = pd.DataFrame(listing, columns=["id", "gender", "race", "age", "path"])
    people.to_csv(folder / "train/train.csv", index=False, lineterminator="\n")
    labels = pd.DataFrame(plan.test_labels, columns=["ImageID", "ans"])
    labels.to_csv(folder / "eval/labels.csv", index=False, lineterminator="\n")
    labels.assign(ans=0).to_csv(folder / "eval/info.csv", index=False, lineterminator="\n")


def _draw_images(folder: Path, plan: Plan, size: tuple[int, int], seed: int) -> None:
    """Draw and save the images. Each has seeds of its own, so that none depends on what was drawn before it."""
    from ._portrait import Looks, draw_portrait

    for image in plan.images:
        looks_rng = np.random.default_rng([seed, 2, image.key[0], image.person.looks])
        rng = np.random.default_rng([seed, 3, *image.key])
        looks = Looks(image.person.drawn_gender, image.person.true_age, looks_rng)
        drawn = draw_portrait(looks, image.state, size, rng)
        if image.path.suffix == ".png" and image.key[1] % 2:
            drawn.putalpha(255)  # some of the real ones have an alpha channel
        (folder / image.path).parent.mkdir(parents=True, exist_ok=True)
        drawn.save(folder / image.path, quality=int(rng.integers(80, 93)))
