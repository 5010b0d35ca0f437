from __future__ import annotations

import json
import re
from collections import Counter
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from compete import DataError
from compete.config.registry import Component
from compete_plugins.demos import _folder, _mask, mask_demo, register_demos
from compete_plugins.demos._canvas import Canvas, Pose, ellipse, ribbon, smooth
from compete_plugins.demos._looks import draw_person
from compete_plugins.demos._people import STATES, label_of, plan_people
from compete_plugins.demos._portrait import choose_shot, draw_images

TINY = {"people": 12, "test_people": 6, "size": (36, 48)}
REAL_SHARES = {
    ("male", 0): 549, ("male", 1): 410, ("male", 2): 83,
    ("female", 0): 732, ("female", 1): 817, ("female", 2): 109,
}  # fmt: skip


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("samples") / "data" / "mask"
    mask_demo(folder, **TINY)
    return folder


@pytest.fixture(scope="module")
def default_plan():
    return plan_people(200, 80, 0.01, 42)


def listing(root: Path) -> pd.DataFrame:
    return pd.read_csv(root / "train/train.csv", dtype={"id": str})


def digests(root: Path) -> dict[str, str]:
    files = (p for p in root.rglob("*") if p.is_file())
    return {str(p.relative_to(root)): sha256(p.read_bytes()).hexdigest() for p in files}


def band(age: int) -> int:
    return (age >= 30) + (age >= 60)


# --- layout --------------------------------------------------------------------------------------------------


def test_mask_is_registered():
    assert register_demos() == {"mask": mask_demo}


def test_the_listing_has_the_competitions_columns_and_folder_names(drawn):
    table = listing(drawn)
    assert table.columns.tolist() == ["id", "gender", "race", "age", "path"]
    assert set(table["race"]) == {"Asian"}
    assert table["id"].str.fullmatch(r"\d{6}(-[12])?").all()
    assert (table["path"] == [f"{r.id}_{r.gender}_Asian_{r.age}" for r in table.itertuples()]).all()
    assert sorted(p.name for p in (drawn / "train/images").iterdir()) == sorted(table["path"])


def test_every_person_has_the_seven_images(drawn):
    for folder in (drawn / "train/images").iterdir():
        stems = sorted(p.stem for p in folder.iterdir())
        assert stems == sorted(["mask1", "mask2", "mask3", "mask4", "mask5", "incorrect_mask", "normal"])


def test_the_test_set_hides_who_is_shown_and_gives_its_answers_in_a_file_of_their_own(drawn):
    info, labels = pd.read_csv(drawn / "eval/info.csv"), pd.read_csv(drawn / "eval/labels.csv")
    assert info.columns.tolist() == labels.columns.tolist() == ["ImageID", "ans"]
    assert (info["ans"] == 0).all()
    assert info["ImageID"].tolist() == labels["ImageID"].tolist()
    assert info["ImageID"].str.fullmatch(r"[0-9a-f]{40}\.jpg").all()
    assert sorted(info["ImageID"]) == sorted(p.name for p in (drawn / "eval/images").iterdir())
    assert np.bincount(labels["ans"] // 6).tolist() == [30, 6, 6]


def test_images_open_at_the_asked_size_and_in_the_format_their_name_says(drawn):
    formats = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}
    for path in [*drawn.rglob("*.jpg"), *drawn.rglob("*.jpeg"), *drawn.rglob("*.png")]:
        with Image.open(path) as image:
            assert (image.size, image.format) == ((36, 48), formats[path.suffix])
            assert np.asarray(image.convert("RGB")).std() > 10


def test_endings_are_mixed_and_some_png_have_an_alpha_channel(drawn):
    modes = Counter()
    for path in (drawn / "train/images").rglob("*.*"):
        with Image.open(path) as image:
            modes[path.suffix, image.mode] += 1
    assert modes == {(".jpg", "RGB"): 80, (".jpeg", "RGB"): 2, (".png", "RGB"): 1, (".png", "RGBA"): 1}


def test_endings_of_the_default_have_the_real_shares(default_plan):
    endings = Counter(p.path.suffix for p in default_plan.images if p.split == 0)
    assert endings == {".jpg": 1336, ".png": 38, ".jpeg": 26}
    assert sum(p.alpha for p in default_plan.images) == 19


def test_the_note_says_first_that_nothing_is_a_images(drawn):
    lines = (drawn / "DRAWN.txt").read_text().splitlines()
    assert "Drawings made by `compete demo mask`, not images" in lines[0]
    assert "nothing about the real competition" in lines[0]
    assert any("eval/labels.csv" in line for line in lines)
    options = json.loads(next(line for line in lines if line.startswith("options: ")).removeprefix("options: "))
    assert options == {"sample": "mask", **TINY, "size": [36, 48], "label_noise": 0.01, "seed": 42}


# --- who is drawn --------------------------------------------------------------------------------------------


def test_the_default_keeps_the_real_shares_and_imbalance(default_plan):
    people = Counter((s.gender, band(s.age)) for s in default_plan.train)
    assert people.total() == 200
    for group, real in REAL_SHARES.items():
        assert people[group] == pytest.approx(real * 200 / 2700, abs=1)
    assert min(people.values()) == 6
    classes = Counter(label_of(p.state, p.subject.gender, p.subject.age) for p in default_plan.images if p.split == 0)
    assert set(classes) == set(range(18))
    assert 45 < max(classes.values()) / min(classes.values()) < 55


def test_the_test_people_are_others_in_the_same_shares(default_plan):
    people = Counter((s.gender, band(s.age)) for s in {p.subject for p in default_plan.images if p.split == 1})
    assert people == {
        ("male", 0): 16, ("male", 1): 12, ("male", 2): 3, ("female", 0): 22, ("female", 1): 24, ("female", 2): 3,
    }  # fmt: skip


@pytest.mark.parametrize("people", [12, 24, 61, 2700])
def test_every_size_holds_every_group_and_adds_up(people):
    plan = plan_people(people, 6, 0.01, 1)
    assert len({s.folder for s in plan.train}) == people
    assert len({(s.gender, band(s.age)) for s in plan.train}) == 6


def test_ages_are_cut_at_both_ends_and_the_borders_are_there(default_plan):
    ages = Counter(s.age for s in default_plan.train)
    assert (min(ages), max(ages)) == (18, 60)
    assert {18, 19, 20, 29, 30, 58, 59, 60} <= set(ages)
    true = [s.true_age for s in default_plan.train if s.age == 60]
    assert min(true) >= 60
    assert max(true) > 66


def test_one_id_occurs_twice_with_two_ages_of_one_person(default_plan):
    ids = Counter(s.id for s in default_plan.train)
    (twice,) = [identity for identity, count in ids.items() if count == 2]
    first, second = [s for s in default_plan.train if s.id == twice]
    assert {first.age, second.age} == {19, 20}
    assert first.identity == second.identity


def test_some_ids_share_a_base_and_are_different_people(default_plan):
    suffixed = [s for s in default_plan.train if "-" in s.id]
    assert len(suffixed) == 3
    families: dict[str, list] = {}
    for s in default_plan.train:
        families.setdefault(s.id[:6], []).append(s)
    assert all(len(families[s.id[:6]]) == 2 for s in suffixed)
    assert all(len({t.identity for t in families[s.id[:6]]}) == 2 for s in suffixed)
    assert all(s.age < 60 for s in suffixed)


def test_about_one_percent_of_the_training_labels_are_wrong(default_plan):
    images = [p for p in default_plan.images if p.split == 0]
    gender = [p for p in images if p.subject.drawn_gender != p.subject.gender]
    state = [p for p in images if STATES[p.path.stem] != p.state]
    assert (len(gender), len(state)) == (7, 6)
    assert len(default_plan.wrong) == 1 + 3
    named = {re.search(r"images/([^:]+):", line).group(1) for line in default_plan.wrong}
    assert named == {p.subject.folder for p in [*gender, *state]}


def test_no_test_label_is_wrong_and_noise_can_be_turned_off(default_plan):
    test = [p for p in default_plan.images if p.split == 1]
    assert all(p.subject.drawn_gender == p.subject.gender for p in test)
    labels = [label_of(p.state, p.subject.gender, p.subject.age) for p in test]
    assert labels == [answer for _, answer in default_plan.labels]
    clean = plan_people(200, 80, 0.0, 42)
    assert clean.wrong == ()
    assert all(STATES[p.path.stem] == p.state for p in clean.images if p.split == 0)


def test_the_note_names_the_wrong_labels(drawn, default_plan):
    assert "  none" in (drawn / "DRAWN.txt").read_text().splitlines()
    note = _mask._note(default_plan, {})
    assert all(line in note for line in default_plan.wrong)


@pytest.mark.parametrize(
    ("state", "gender", "age", "label"),
    [("wear", "male", 29, 0), ("wear", "male", 30, 1), ("wear", "female", 59, 4), ("wear", "female", 60, 5),
     ("incorrect", "male", 18, 6), ("incorrect", "female", 60, 11), ("normal", "male", 60, 14),
     ("normal", "female", 18, 15)],
)  # fmt: skip
def test_label_formula(state, gender, age, label):
    assert label_of(state, gender, age) == label


# --- the same again ------------------------------------------------------------------------------------------


def test_the_same_options_give_the_same_bytes_in_every_order(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(_mask, "_draw_all", lambda draw, images: [draw(p) for p in reversed(images)])
    mask_demo(tmp_path / "again", **TINY)
    assert digests(tmp_path / "again") == digests(drawn)


def test_many_processes_draw_what_one_draws(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(_mask, "_SERIAL_AT_MOST", 0)
    monkeypatch.setattr(_mask.os, "cpu_count", lambda: 2)
    mask_demo(tmp_path / "again", **TINY)
    assert digests(tmp_path / "again") == digests(drawn)


def test_another_seed_draws_other_people(drawn):
    other = plan_people(TINY["people"], TINY["test_people"], 0.01, seed=43)
    assert not {s.folder for s in other.train} & set(listing(drawn)["path"])
    assert not {name for name, _ in other.labels} & set(pd.read_csv(drawn / "eval/info.csv")["ImageID"])


# --- whose folder it is --------------------------------------------------------------------------------------


def test_a_finished_folder_is_left_as_it_is(drawn):
    before = {p: p.stat().st_mtime_ns for p in drawn.rglob("*")}
    mask_demo(drawn, **TINY)
    assert {p: p.stat().st_mtime_ns for p in drawn.rglob("*")} == before


def test_a_folder_drawn_with_other_options_is_refused(drawn):
    before = digests(drawn)
    with pytest.raises(DataError, match=r"holds drawings made with other options \(seed = 42, not 7\)") as error:
        mask_demo(drawn, **TINY, seed=7)
    assert str(drawn) in str(error.value)
    assert digests(drawn) == before


@pytest.mark.parametrize("note", [None, "my own notes\n", "options: {broken\n", "options: 3\n"])
def test_a_folder_with_anything_else_in_it_is_refused(tmp_path, note):
    name = "photo.jpg" if note is None else "DRAWN.txt"
    (tmp_path / name).write_text(note or "precious")
    with pytest.raises(DataError, match="is not empty, and nothing in it will be touched"):
        mask_demo(tmp_path, **TINY)
    assert digests(tmp_path) == {name: sha256((note or "precious").encode()).hexdigest()}


def test_a_file_is_refused(tmp_path):
    (tmp_path / "mask").write_text("precious")
    with pytest.raises(DataError, match="is a file"):
        mask_demo(tmp_path / "mask", **TINY)


def test_an_empty_folder_is_filled_and_a_parent_made(tmp_path):
    (tmp_path / "there").mkdir()
    _folder.draw_folder(tmp_path / "there", "x", {}, lambda f: (f / "a").touch())
    _folder.draw_folder(tmp_path / "new/below", "x", {}, lambda f: (f / "a").touch())
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", "a", "below", "new", "there"]


def test_a_failure_leaves_nothing_behind(tmp_path):
    def fail(folder):
        (folder / "half").touch()
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        _folder.draw_folder(tmp_path / "mask", "x", {}, fail)
    assert list(tmp_path.iterdir()) == []


def test_sizes_that_cannot_be_drawn_are_refused():
    check = Component("demos", "mask", mask_demo, "test").traits.check
    assert list(check(size=(120, 160))) == []
    assert list(check(size=(16, 160))) == ["size = [16, 160]: width and height must be between 32 and 2048 pixels."]


# --- what the drawings show ----------------------------------------------------------------------------------


def portrait(state: str, seed: int = 0, gender: str = "female", age: int = 25) -> np.ndarray:
    person = draw_person(gender, age, np.random.default_rng([seed, 1]))
    rng = np.random.default_rng([seed, 2])
    return draw_images(person, choose_shot(person, state, rng), (60, 80), rng)


def test_states_look_different_on_the_lower_face():
    lower = [portrait(state)[40:66, 18:42].astype(float) for state in ("wear", "incorrect", "normal")]
    assert min(np.abs(lower[0] - lower[2]).mean(), np.abs(lower[1] - lower[2]).mean()) > 5


def test_signs_of_age_grow_with_age_and_overlap():
    def lines(age):
        people = [draw_person("male", age, np.random.default_rng([age, n])) for n in range(60)]
        return np.array([p.signs.crow + p.signs.forehead + p.hair.grey for p in people])

    young, border, old, older = lines(20), lines(45), lines(57), lines(64)
    assert young.mean() < border.mean() < old.mean() < older.mean()
    assert old.max() > np.quantile(older, 0.25)


def test_a_person_is_the_same_in_every_images():
    first, again = (draw_person("male", 40, np.random.default_rng(5)) for _ in range(2))
    assert first == again


@pytest.mark.parametrize("size", [(33, 32), (96, 40), (40, 96)])
def test_unusual_sizes_can_be_drawn(size):
    person = draw_person("male", 70, np.random.default_rng(3))
    rng = np.random.default_rng(4)
    assert draw_images(person, choose_shot(person, "wear", rng), size, rng).shape == (size[1], size[0], 3)


# --- the drawing board ---------------------------------------------------------------------------------------


def test_a_shape_covers_its_area_and_alpha_mixes():
    canvas = Canvas(40, 40)
    square = np.array([(20.0, 20.0), (60.0, 20.0), (60.0, 60.0), (20.0, 60.0)])
    canvas.shape(square, (200, 100, 50))
    canvas.shape(square, (0, 0, 0), alpha=0.5)
    image = canvas.finished()
    assert image[20, 20] == pytest.approx([100, 50, 25], abs=1)
    assert image[2, 2].tolist() == [0, 0, 0]


def test_shapes_are_clipped_softened_and_may_lie_off_the_board():
    canvas = Canvas(40, 40)
    canvas.shape(ellipse(40, 40, 30, 30), (255, 255, 255), inside=ellipse(20, 40, 20, 40))
    image = canvas.finished()
    assert image[20, 15].min() > 250
    assert image[20, 30].max() == 0
    before = canvas.pixels.copy()
    canvas.shape(ellipse(900, 900, 10, 10), (255, 0, 0), soft=3)
    assert (canvas.pixels == before).all()
    canvas.shape(ellipse(60, 40, 8, 8), (255, 255, 255), soft=6)
    assert 0 < canvas.finished()[20, 36].max() < 200


def test_curves_pass_through_their_points():
    points = np.array([(0.0, 0.0), (10.0, 5.0), (20.0, 0.0)])
    assert np.allclose(smooth(points)[[0, 6, 12]], points)
    assert len(smooth(points, closed=True)) == 18
    assert np.ptp(ribbon(smooth(np.array([(0.0, 0.0), (10.0, 0.0)])), 4.0, taper=0.0)[:, 1]) == pytest.approx(4.0)


def test_a_turned_head_moves_what_stands_out():
    nose, ear = [(0.0, 0.2)], [(1.15, 0.0)]
    ahead, turned = Pose(0, 0, 100), Pose(0, 0, 100, yaw=0.3)
    assert turned.place(nose, bulge=0.6)[0, 0] - ahead.place(nose, bulge=0.6)[0, 0] > 15
    assert turned.place(ear, bulge=0.6)[0, 0] < ahead.place(ear, bulge=0.6)[0, 0] + 12
    assert Pose(5, 7, 10, roll=np.pi / 2).place([(1.0, 0.0)])[0] == pytest.approx([5, 17])


def test_jpegs_are_written_without_optional_parts(drawn):
    path = next((drawn / "eval/images").iterdir())
    with Image.open(BytesIO(path.read_bytes())) as image:
        assert "exif" not in image.info
