import json
import re
from collections import Counter
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from compete import DataError
from compete.config.plugins import load_plugins
from compete_plugins.demos import mask_demo
from compete_plugins.demos._folder import fill_folder
from compete_plugins.demos._people import STATES, label_of, plan_people
from compete_plugins.demos._portrait import Looks, draw_portrait

TINY = {"people": 12, "test_people": 6, "size": (36, 48)}
GROUPS = [("male", 0), ("male", 1), ("male", 2), ("female", 0), ("female", 1), ("female", 2)]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("demos") / "data" / "mask"
    mask_demo(folder, **TINY)
    return folder


@pytest.fixture(scope="module")
def default_plan():
    return plan_people(200, 80, 0.01, 42)


def group(person) -> tuple[str, int]:
    return person.gender, (person.age >= 30) + (person.age >= 60)


def in_split(plan, split: int) -> list:
    return [image for image in plan.images if image.key[0] == split]


def digests(root: Path) -> dict[str, str]:
    files = (p for p in root.rglob("*") if p.is_file())
    return {str(p.relative_to(root)): sha256(p.read_bytes()).hexdigest() for p in files}


def test_the_listing_names_a_folder_of_seven_images_for_every_person(drawn):
    table = pd.read_csv(drawn / "train/train.csv", dtype={"id": str})
    assert table.columns.tolist() == ["id", "gender", "race", "age", "path"]
    assert table["id"].str.fullmatch(r"\d{6}(-[12])?").all()
    assert (table["path"] == [f"{r.id}_{r.gender}_Asian_{r.age}" for r in table.itertuples()]).all()
    seven = ["incorrect_mask", "mask1", "mask2", "mask3", "mask4", "mask5", "normal"]
    found = {p.name: sorted(image.stem for image in p.iterdir()) for p in (drawn / "train/images").iterdir()}
    assert found == dict.fromkeys(table["path"], seven)


def test_the_test_set_hides_who_is_shown_and_has_its_labels_in_a_file_of_their_own(drawn):
    info, labels = pd.read_csv(drawn / "eval/info.csv"), pd.read_csv(drawn / "eval/labels.csv")
    assert info.columns.tolist() == labels.columns.tolist() == ["ImageID", "ans"]
    assert (info["ans"] == 0).all() and (info["ImageID"] == labels["ImageID"]).all()
    assert info["ImageID"].str.fullmatch(r"[0-9a-f]{40}\.jpg").all()
    assert sorted(info["ImageID"]) == sorted(p.name for p in (drawn / "eval/images").iterdir())
    assert np.bincount(labels["ans"] // 6).tolist() == [30, 6, 6]


def test_images_have_the_size_and_the_formats_of_their_extensions(drawn):
    formats, kinds = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}, Counter()
    for path in (p for p in drawn.rglob("images/**/*") if p.is_file()):
        with Image.open(path) as image:
            kinds[path.suffix, image.mode] += 1
            assert (image.size, image.format) == ((36, 48), formats[path.suffix])
            assert np.asarray(image.convert("RGB")).std() > 10
    assert kinds == {(".jpg", "RGB"): 80 + 42, (".jpeg", "RGB"): 2, (".png", "RGBA"): 2}


def test_the_note_says_that_the_images_are_drawings_and_with_which_options(drawn):
    lines = (drawn / "DRAWN.txt").read_text().splitlines()
    assert lines[0].startswith("Drawings made by `compete demo mask`: a score on them says nothing")
    assert any("eval/labels.csv" in line for line in lines) and "  none" in lines
    options = json.loads(lines[-1].removeprefix("options: "))
    assert options == {"demo": "mask", **TINY, "size": [36, 48], "label_noise": 0.01, "seed": 42}


def test_the_default_keeps_the_real_shares_and_imbalance(default_plan):
    people = Counter(map(group, default_plan.people))
    real = [549, 410, 83, 732, 817, 109]
    assert [people[key] for key in GROUPS] == pytest.approx([count * 200 / 2700 for count in real], abs=1)
    assert (people.total(), min(people.values())) == (200, 6)
    classes = Counter(label_of(i.state, i.person.gender, i.person.age) for i in in_split(default_plan, 0))
    assert set(classes) == set(range(18))
    assert max(classes.values()) / min(classes.values()) == pytest.approx(305 / 6)


@pytest.mark.parametrize("people", [12, 24, 61, 2700])
@pytest.mark.parametrize("label_noise", [0.0, 0.2])
def test_every_size_holds_every_group_and_the_asked_noise(people, label_noise):
    plan = plan_people(people, 6, label_noise, 1)
    assert len({p.folder for p in plan.people}) == people
    assert set(map(group, plan.people)) == {group(i.person) for i in in_split(plan, 1)} == set(GROUPS)
    wrong = sum(len(STATES) if line.endswith("gender") else 2 for line in plan.wrong)
    assert wrong == pytest.approx(label_noise * people * 7, abs=1.5)


def test_ages_are_cut_at_both_ends_and_one_id_has_two_ages_of_one_person(default_plan):
    ages = {p.age for p in default_plan.people}
    assert {18, 19, 20, 29, 30, 58, 59, 60} <= ages <= set(range(18, 61))
    assert max(p.true_age for p in default_plan.people) > 66
    (twice,) = [key for key, count in Counter(p.id for p in default_plan.people).items() if count == 2]
    first, second = [p for p in default_plan.people if p.id == twice]
    assert {first.age, second.age} == {19, 20}
    assert (first.looks, first.drawn_gender) == (second.looks, second.drawn_gender)


def test_some_ids_share_a_base_and_are_different_people_below_60(default_plan):
    suffixed = [p for p in default_plan.people if "-" in p.id]
    assert sorted(p.id[6:] for p in suffixed) == ["-1", "-1", "-2"]
    for person in suffixed:
        family = [p for p in default_plan.people if p.id[:6] == person.id[:6]]
        assert len(family) == len({p.looks for p in family}) == 2
        assert all(p.age < 60 for p in family)


def test_about_one_percent_of_the_training_labels_but_no_test_label_is_wrong(default_plan):
    gender = [i for i in in_split(default_plan, 0) if i.person.drawn_gender != i.person.gender]
    state = [i for i in in_split(default_plan, 0) if STATES[i.path.stem] != i.state]
    assert (len(gender), len(state)) == (7, 6)
    named = {re.search(r"images/([^:]+):", line).group(1) for line in default_plan.wrong}
    assert named == {i.person.folder for i in [*gender, *state]}
    for image, label in zip(in_split(default_plan, 1), default_plan.test_labels, strict=True):
        assert label == (image.path.name, label_of(image.state, image.person.drawn_gender, image.person.age))


def test_label_formula():
    people = [("wear", "male", 29), ("wear", "male", 30), ("wear", "female", 59), ("wear", "female", 60)]
    people += [("incorrect", "male", 18), ("incorrect", "female", 60), ("normal", "male", 60)]
    assert [label_of(*person) for person in people] == [0, 1, 4, 5, 6, 11, 14]


def portrait(state: str, person: int = 0, shot: int = 0, size: tuple[int, int] = (60, 80)) -> np.ndarray:
    looks = Looks("female", 25, np.random.default_rng(person))
    return np.asarray(draw_portrait(looks, state, size, np.random.default_rng(shot)), float)


def test_masks_cover_the_lower_face():
    wear, incorrect, normal = (portrait(state)[40:66, 18:42] for state in ("wear", "incorrect", "normal"))
    assert min(np.abs(wear - normal).mean(), np.abs(incorrect - normal).mean()) > 5


def test_images_of_one_person_look_alike():
    first = portrait("normal")
    same = np.mean([np.abs(portrait("normal", 0, shot) - first).mean() for shot in range(1, 10)])
    other = np.mean([np.abs(portrait("normal", person, person) - first).mean() for person in range(1, 30)])
    assert same < 0.8 * other


def test_unusual_sizes_can_be_drawn_and_impossible_ones_are_refused():
    for size in ((33, 32), (96, 40), (40, 96)):
        assert portrait("wear", size=size).shape == (size[1], size[0], 3)
    check = load_plugins().registry["demos"]["mask"].traits.check
    problems = [list(check(size=(side, 160))) for side in (120, 16)]
    assert problems == [[], ["size = [16, 160]: width and height must be between 32 and 2048 pixels."]]


def test_the_same_options_give_the_same_bytes_and_another_seed_other_people(drawn, tmp_path):
    mask_demo(tmp_path / "again", **TINY)
    assert digests(tmp_path / "again") == digests(drawn)
    other = plan_people(TINY["people"], TINY["test_people"], 0.01, seed=43)
    assert not {p.folder for p in other.people} & {p.name for p in (drawn / "train/images").iterdir()}


def test_a_finished_folder_is_left_as_it_is_and_other_options_are_refused(drawn):
    before = {p: p.stat().st_mtime_ns for p in drawn.rglob("*")}
    mask_demo(drawn, **TINY)
    with pytest.raises(DataError, match=r"holds drawings made with other options \(seed = 42, not 7\)") as error:
        mask_demo(drawn, **TINY, seed=7)
    assert str(drawn) in str(error.value)
    assert {p: p.stat().st_mtime_ns for p in drawn.rglob("*")} == before


@pytest.mark.parametrize("note", ["my own notes\n", "options: {broken\n", "options: 3\n"])
def test_whatever_else_is_there_is_refused_and_left_alone(tmp_path, note):
    (tmp_path / "photo.jpg").write_text("precious")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/DRAWN.txt").write_text(note)
    before = digests(tmp_path)
    for name, problem in (("", "is not empty, and its files"), ("notes", "is not empty"), ("photo.jpg", "is a file")):
        with pytest.raises(DataError, match=problem):
            mask_demo(tmp_path / name, **TINY)
    assert digests(tmp_path) == before


def test_an_empty_folder_is_filled_and_a_failure_leaves_nothing_behind(tmp_path):
    def fail(folder: Path) -> str:
        (folder / "half").touch()
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fill_folder(tmp_path / "mask", {}, fail)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mask").mkdir()
    fill_folder(tmp_path / "mask", {"seed": 1}, lambda new: "note")
    assert [p.read_text() for p in tmp_path.rglob("*.*")] == ['note\noptions: {"seed": 1}\n']
