"""Who is drawn for the mask competition: genders, ages, ids and the traps of the real listing."""

from dataclasses import dataclass, replace
from hashlib import sha1
from pathlib import PurePosixPath

import numpy as np

# People of the real training set (2,700) by gender and age band.
_SHARES = {("male", 0): 549, ("male", 1): 410, ("male", 2): 83}
_SHARES |= {("female", 0): 732, ("female", 1): 817, ("female", 2): 109}
# Ages of each band: they pile up at 18, in the early twenties and from 55 on.
_AGES = ([*[18] * 4, *[*range(19, 26)] * 3, *range(26, 30)], [*range(30, 55), *[*range(55, 60)] * 6], [60])
STATES = {**{f"mask{n}": "wear" for n in range(1, 6)}, "incorrect_mask": "incorrect", "normal": "normal"}
_PNG_SHARE, _JPEG_SHARE, _SUFFIXED_SHARE = 511 / 18_900, 354 / 18_900, 41 / 2_700  # of the real training set


@dataclass(frozen=True)
class Person:
    """A row of the listing, and who is really drawn: `looks` seeds the looks, `true_age` may exceed 18 to 60."""

    id: str
    gender: str
    age: int
    looks: int
    true_age: int
    drawn_gender: str

    @property
    def folder(self) -> str:
        """The folder's name, which the listing calls path."""
        return f"{self.id}_{self.gender}_Asian_{self.age}"


@dataclass(frozen=True)
class PlannedImage:
    """A file to draw: whom, in which state; its key is its split (0 train, 1 test) and its number there."""

    path: PurePosixPath
    key: tuple[int, int]
    person: Person
    state: str


@dataclass(frozen=True)
class Plan:
    """All that is decided before anything is drawn; `people` are those of the listing, `wrong` names wrong labels."""

    people: list[Person]
    images: list[PlannedImage]
    test_labels: list[tuple[str, int]]
    wrong: list[str]


def plan_people(people: int, test_people: int, label_noise: float, seed: int) -> Plan:
    """Decide who is drawn, in which images, with which labels."""
    rng = np.random.default_rng([seed, 1])
    train = _give_ids(_choose_people(people, min(6, people // 12), rng), rng)
    flipped, swapped = _choose_wrong_labels(train, label_noise, rng)
    other = {"male": "female", "female": "male"}
    train = [replace(p, drawn_gender=other[p.gender]) if p.folder in flipped else p for p in train]
    images = _plan_train(train, swapped, rng)
    test = _plan_test(_choose_people(test_people, min(3, test_people // 12), rng), seed, rng)
    labels = [(image.path.name, label_of(image.state, image.person.gender, image.person.age)) for image in test]
    wrong = [f"train/images/{name}: the gender" for name in sorted(flipped)]
    wrong += [f"train/images/{name}: normal and incorrect_mask are swapped" for name in sorted(swapped)]
    return Plan(train, images + test, labels, wrong)


def label_of(state: str, gender: str, age: int) -> int:
    """Return the class: mask * 6 + gender * 3 + age band."""
    mask = ("wear", "incorrect", "normal").index(state)
    return mask * 6 + (gender == "female") * 3 + (age >= 30) + (age >= 60)


def _choose_people(count: int, fewest: int, rng: np.random.Generator) -> list[Person]:
    """Choose people in the real shares of gender and age band, at least `fewest` (or one) of each; ids come later."""
    counts = dict.fromkeys(_SHARES, max(fewest, 1))
    while sum(counts.values()) < count:
        counts[max(counts, key=lambda group: _SHARES[group] * count / sum(_SHARES.values()) - counts[group])] += 1
    people: list[Person] = []
    for gender, band in (group for group, number in counts.items() for _ in range(number)):
        age = int(rng.choice(_AGES[band]))
        beyond = {18: -int(rng.integers(0, 3)), 60: min(int(rng.gamma(2.0, 4.0)), 20)}  # the listing cuts them off
        people.append(Person("", gender, age, len(people), age + beyond.get(age, 0), gender))
    return people


def _give_ids(people: list[Person], rng: np.random.Generator) -> list[Person]:
    """Give six-digit ids: one twice with two ages, some sharing a base under the suffixes -1 and -2."""
    ids = [f"{number:06d}" for number in rng.choice(np.arange(1, 7000), len(people), replace=False)]
    # Old people are few: two of them sharing a group could leave a fold without a class.
    order = [int(i) for i in rng.permutation(len(people)) if people[i].age < 60]
    first, second = [i for i in order if people[i].gender == "female" and people[i].age < 30][:2]
    people[first] = replace(people[first], age=19, true_age=19)
    people[second], ids[second] = replace(people[first], age=20, true_age=20), ids[first]
    others = iter([i for i in order if i not in (first, second)])
    for suffix in ("", *["-1"] * max(1, round((_SUFFIXED_SHARE * len(people) - 1) / 2))):
        one, two = next(others), next(others)
        ids[one], ids[two] = ids[one] + suffix, ids[one] + ("-2" if suffix else "-1")
    return sorted((replace(p, id=i) for p, i in zip(people, ids, strict=True)), key=lambda p: p.folder)


def _choose_wrong_labels(people: list[Person], share: float, rng: np.random.Generator) -> tuple[set[str], set[str]]:
    """Choose folders whose gender is wrong (seven images each) and folders with two images swapped, half of each."""
    wrong = round(share * len(people) * len(STATES))
    genders = wrong // (2 * len(STATES))
    # Not the old, who are few, nor the ages of the one person with two folders.
    flipped = set(rng.choice([p.folder for p in people if p.age not in (19, 20, 60)], genders, replace=False).tolist())
    others = [p.folder for p in people if p.folder not in flipped]
    return flipped, set(rng.choice(others, (wrong - genders * len(STATES)) // 2, replace=False).tolist())


def _plan_train(people: list[Person], swapped: set[str], rng: np.random.Generator) -> list[PlannedImage]:
    """Plan seven images a person. Extensions are mixed in the real shares."""
    count = len(people) * len(STATES)
    png, jpeg = max(2, round(_PNG_SHARE * count)), max(1, round(_JPEG_SHARE * count))
    extensions = rng.permutation(["png"] * png + ["jpeg"] * jpeg + ["jpg"] * (count - png - jpeg)).tolist()
    images = []
    for number, (person, stem) in enumerate((p, stem) for p in people for stem in STATES):
        swap = {"incorrect_mask": "normal", "normal": "incorrect_mask"} if person.folder in swapped else {}
        path = PurePosixPath("train/images", person.folder, f"{stem}.{extensions[number]}")
        images.append(PlannedImage(path, (0, number), person, STATES[swap.get(stem, stem)]))
    return images


def _plan_test(people: list[Person], seed: int, rng: np.random.Generator) -> list[PlannedImage]:
    """Plan the test images, shuffled and under names that reveal nothing."""
    pairs, images = [(person, state) for person in people for state in STATES.values()], []
    for number, place in enumerate(rng.permutation(len(pairs))):
        name = f"{sha1(f'{seed}/{number}'.encode(), usedforsecurity=False).hexdigest()}.jpg"
        images.append(PlannedImage(PurePosixPath("eval/images", name), (1, number), *pairs[place]))
    return images
