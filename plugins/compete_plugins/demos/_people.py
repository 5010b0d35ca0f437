"""Who is drawn for the mask competition: genders, ages, ids and the traps of the real listing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha1
from pathlib import PurePosixPath

import numpy as np

# People of the real training set (2,700) by gender and age band.
BANDS = ((18, 29), (30, 59), (60, 60))
_SHARES = {
    ("male", 0): 549, ("male", 1): 410, ("male", 2): 83,
    ("female", 0): 732, ("female", 1): 817, ("female", 2): 109,
}  # fmt: skip
_RARE_BAND = 2
# Ages pile up at both ends, in the twenties and in the fifties. Counted: 18, 55 to 60; the rest is a guess.
_AGE_WEIGHTS = (
    {18: 192, **dict.fromkeys(range(19, 26), 130), **dict.fromkeys(range(26, 30), 45)},
    {**dict.fromkeys(range(30, 45), 16), **dict.fromkeys(range(45, 50), 24), **dict.fromkeys(range(50, 55), 59),
     55: 111, 56: 112, 57: 106, 58: 159, 59: 85},
    {60: 192},
)  # fmt: skip
_ALWAYS = ((18, 29), (30, 58, 59), ())  # ages next to a border, where there are people enough

STATES = {**{f"mask{n}": "wear" for n in range(1, 6)}, "incorrect_mask": "incorrect", "normal": "normal"}
_CLASSES = {"wear": 0, "incorrect": 6, "normal": 12}
_SWAP = {"incorrect_mask": "normal", "normal": "incorrect_mask"}

# Of the 18,900 real training images 511 end in png and 354 in jpeg.
_PNG_SHARE, _JPEG_SHARE = 511 / 18_900, 354 / 18_900
_SUFFIXED_SHARE = 41 / 2_700  # ids with -1 or -2


@dataclass(frozen=True)
class Subject:
    """A row of the listing, and who is really drawn for it: `identity` is one person, `true_age` is not cut."""

    id: str
    gender: str
    age: int
    identity: int
    true_age: int
    drawn_gender: str

    @property
    def folder(self) -> str:
        """The folder's name, which the listing calls path."""
        return f"{self.id}_{self.gender}_Asian_{self.age}"


@dataclass(frozen=True)
class Image:
    """A file to draw: whom, in which state, and its number within its split, which seeds the image."""

    path: PurePosixPath
    split: int
    number: int
    subject: Subject
    state: str
    alpha: bool = False


@dataclass(frozen=True)
class Plan:
    """Everything that is decided before anything is drawn; `wrong` lists the wrong labels in words."""

    train: tuple[Subject, ...]
    images: tuple[Image, ...]
    labels: tuple[tuple[str, int], ...]
    wrong: tuple[str, ...]


def plan_people(people: int, test_people: int, label_noise: float, seed: int) -> Plan:
    """Decide who is drawn, in which images, with which labels."""
    rng = np.random.default_rng([seed, 1])
    train = _draw_subjects(people, min(6, people // 12), rng)
    train = _give_ids(train, rng)
    wrong_people, swapped = _label_noise(train, label_noise, rng)
    train = [_other_gender(s) if s.folder in wrong_people else s for s in train]
    images = _train_images(train, swapped, rng)
    test = _draw_subjects(test_people, min(3, test_people // 12), rng)
    test_images, labels = _test_images(test, seed, rng)
    wrong = [f"train/images/{name}: the gender" for name in sorted(wrong_people)]
    wrong += [f"train/images/{name}: normal and incorrect_mask are swapped" for name in sorted(swapped)]
    return Plan(tuple(train), (*images, *test_images), labels, tuple(wrong))


def _draw_subjects(people: int, fewest: int, rng: np.random.Generator) -> list[Subject]:
    """Draw people in the real shares of gender and age band, at least `fewest` of each; ids come later."""
    subjects: list[Subject] = []
    for (gender, band), count in _share_out(people, max(fewest, 1)).items():
        for age in _ages(band, count, rng):
            identity = len(subjects)
            subjects.append(Subject("", gender, age, identity, _true_age(age, rng), gender))
    return subjects


def _share_out(people: int, fewest: int) -> dict[tuple[str, int], int]:
    """Share people out over the groups as in the real set, rounding so that they add up."""
    counts = dict.fromkeys(_SHARES, fewest)
    total = sum(_SHARES.values())
    for _ in range(people - fewest * len(counts)):
        most_lacking = max(counts, key=lambda group: _SHARES[group] * people / total - counts[group])
        counts[most_lacking] += 1
    return counts


def _ages(band: int, count: int, rng: np.random.Generator) -> list[int]:
    weights = _AGE_WEIGHTS[band]
    shares = np.array(list(weights.values()), float)
    ages = rng.choice(list(weights), count, p=shares / shares.sum())
    return [*_ALWAYS[band], *ages.tolist()][:count]


def _true_age(age: int, rng: np.random.Generator) -> int:
    """Return an age that the listing's cut at 18 and 60 would turn into this one."""
    if age == 60:
        return 60 + min(int(rng.gamma(2.0, 4.0)), 20)
    return 18 - int(rng.integers(0, 3)) if age == 18 else age


def _give_ids(subjects: list[Subject], rng: np.random.Generator) -> list[Subject]:
    """Give six-digit ids: one twice with two ages, some sharing a base under the suffixes -1 and -2."""
    numbers = rng.choice(np.arange(1, 7000), len(subjects), replace=False)
    ids = [f"{number:06d}" for number in numbers]
    # Old people are few: to share a group between them could leave a fold without a class.
    order = rng.permutation([i for i, s in enumerate(subjects) if s.age < BANDS[_RARE_BAND][0]]).tolist()
    subjects, twin = _same_id_twice(subjects, ids, order)
    order = [i for i in order if i not in twin]
    pairs = max(1, round((_SUFFIXED_SHARE * len(subjects) - 1) / 2))
    for _ in range(pairs):
        first, second = order.pop(), order.pop()
        ids[first], ids[second] = f"{ids[first]}-1", f"{ids[first]}-2"
    plain, suffixed = order.pop(), order.pop()
    ids[suffixed] = f"{ids[plain]}-1"
    named = [replace(s, id=identity) for s, identity in zip(subjects, ids, strict=True)]
    return sorted(named, key=lambda s: s.folder)


def _same_id_twice(subjects: list[Subject], ids: list[str], order: list[int]) -> tuple[list[Subject], list[int]]:
    """Make one young person appear twice, a year apart; return who that is."""
    first, second = [i for i in order if (subjects[i].gender, subjects[i].age < 30) == ("female", True)][:2]
    ids[second] = ids[first]
    changed = list(subjects)
    changed[first] = replace(subjects[first], age=19, true_age=19)
    changed[second] = replace(changed[first], age=20, true_age=20)
    return changed, [first, second]


def _label_noise(
    subjects: list[Subject], share: float, rng: np.random.Generator
) -> tuple[frozenset[str], frozenset[str]]:
    """Choose the folders whose gender is wrong (seven images each), and those with two images swapped.

    Half of the wrong labels come from each kind, as far as whole folders allow.
    """
    wrong = round(share * len(subjects) * len(STATES))
    genders = min(wrong // (2 * len(STATES)), len(subjects) // 4)
    swaps = min((wrong - genders * len(STATES)) // 2, len(subjects) // 2)
    young = [s.folder for s in subjects if s.age < BANDS[_RARE_BAND][0]]
    flipped = rng.choice(young, min(genders, len(young)), replace=False)
    others = [s.folder for s in subjects if s.folder not in flipped]
    return frozenset(flipped.tolist()), frozenset(rng.choice(others, min(swaps, len(others)), replace=False).tolist())


def _other_gender(subject: Subject) -> Subject:
    return replace(subject, drawn_gender="male" if subject.gender == "female" else "female")


def _train_images(subjects: list[Subject], swapped: frozenset[str], rng: np.random.Generator) -> list[Image]:
    count = len(subjects) * len(STATES)
    endings = _endings(count, rng)
    images = []
    for number, (subject, stem) in enumerate((s, stem) for s in subjects for stem in STATES):
        ending = next(endings)
        shown = _SWAP.get(stem, stem) if subject.folder in swapped else stem
        path = PurePosixPath("train/images", subject.folder, f"{stem}.{ending.removeprefix('alpha ')}")
        images.append(Image(path, 0, number, subject, STATES[shown], ending.startswith("alpha")))
    return images


def _endings(count: int, rng: np.random.Generator) -> Iterator[str]:
    """Yield file endings in the real shares, mixed; every other png has an alpha channel."""
    png, jpeg = max(2, round(_PNG_SHARE * count)), max(1, round(_JPEG_SHARE * count))
    endings = ["alpha png"] * (png // 2) + ["png"] * (png - png // 2) + ["jpeg"] * jpeg
    endings += ["jpg"] * (count - len(endings))
    for place in rng.permutation(count):
        yield endings[place]


def _test_images(
    subjects: list[Subject], seed: int, rng: np.random.Generator
) -> tuple[list[Image], tuple[tuple[str, int], ...]]:
    """Return the test images and their labels, in a mixed order and under names that say nothing."""
    pairs = [(subject, state) for subject in subjects for state in STATES.values()]
    images, labels = [], []
    for number, place in enumerate(rng.permutation(len(pairs))):
        subject, state = pairs[place]
        name = f"{sha1(f'{seed}/{number}'.encode(), usedforsecurity=False).hexdigest()}.jpg"
        images.append(Image(PurePosixPath("eval/images", name), 1, number, subject, state))
        labels.append((name, label_of(state, subject.gender, subject.age)))
    return images, tuple(labels)


def label_of(state: str, gender: str, age: int) -> int:
    """Return the class: mask * 6 + gender * 3 + age band."""
    band = next(number for number, (_, last) in enumerate(BANDS) if age <= last)
    return _CLASSES[state] + (3 if gender == "female" else 0) + band
