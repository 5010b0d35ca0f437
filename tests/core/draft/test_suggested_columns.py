"""The columns that `compete init` offers beside the image: which, by which patterns, and that they work."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest

from compete.config.load import load_config
from compete.draft import write_toml
from compete.draft.findings import Goal, Group, Source
from compete.draft.suggested_columns import patterns, suggest_columns
from compete.files.proposals import Choice
from compete.identity import read_sources
from compete.stages.prepare import prepare

sys.path.insert(0, str(Path(__file__).parents[2]))
from miniatures.drawing import image, put, table

ROWS, TEST_ROWS = 24, 8
JPEG = image(7)
Columns = dict[str, Callable[[int], object]]


def draw(columns: Columns) -> None:
    """Draw a competition whose tables share columns, given as functions of the row's number."""
    names = ["key", *columns]
    rows = [[f"r{number}", *(make(number) for make in columns.values())] for number in range(ROWS + TEST_ROWS)]
    put(Path("birds"), {
        "train.csv": table([*names, "label"], ([*row, "ab"[n % 2]] for n, row in enumerate(rows[:ROWS]))),
        "test.csv": table(names, rows[ROWS:]),
        "sample_submission.csv": table(["key", "label"], ([row[0], "a"] for row in rows[ROWS:])),
        **{f"images/{row[0]}.jpg": JPEG for row in rows},
    })  # fmt: skip


def uncomment(path: Path) -> dict:
    """Take the comment signs off the offered block, as its reader would."""
    text = path.read_text()
    head, start, rest = text.partition("# [columns]\n")
    block, end, tail = (start + rest).partition("\n\n")
    path.write_text(head + "\n".join(line.removeprefix("# ") for line in block.splitlines()) + end + tail)
    return tomllib.loads(path.read_text())["columns"]


LEAVES: Columns = {
    f"{kind}{number}": (lambda row, number=number: round(0.001 * (row * number % 67), 5))
    for kind in ("margin", "shape", "texture")
    for number in range(1, 65)
}
SKIN: Columns = {
    "patient_id": lambda row: f"IP_{row // 4}",
    "sex": lambda row: ("male", "female", "NA")[row % 3],
    "age_approx": lambda row: 45.0 + 5 * (row % 4) if row % 5 else "NA",
    "anatom_site_general_challenge": lambda row: ("head/neck", "torso")[row // 2 % 2],
}
FLAGS: Columns = {
    name: (lambda row, place=place: row >> place & 1) for place, name in enumerate(("Subject Focus", "Eyes", "Face"))
}


@pytest.mark.parametrize(
    ("columns", "why", "block", "encoded"),
    [
        (LEAVES, "192 numeric columns are", {"numeric": ["margin*", "shape*", "texture*"]}, 192),
        (
            SKIN,
            "1 numeric and 2 text columns are",
            {"numeric": ["age_approx"], "categorical": ["sex", "anatom_site_general_challenge"]},
            6,  # the age, and whether it is known
        ),
        (FLAGS, "3 numeric columns are", {"numeric": ["Subject Focus", "Eyes", "Face"]}, 3),
        ({"inc_angle": lambda row: 30 + row / 7 if row % 6 else "na"}, "1 numeric column is", {}, 2),
    ],
)
def test_shared_columns_are_offered_in_comments_that_work_once_taken_off(
    tmp_path, monkeypatch, columns, why, block, encoded
):
    monkeypatch.chdir(tmp_path)
    draw(columns)
    result = write_toml(Path("birds"))
    assert result.runs and "columns" not in tomllib.loads(result.path.read_text())
    assert f"# {why} in both tables; the network can see them beside the image:\n# [columns]" in (
        result.path.read_text()
    )
    said = f"  [columns] {why} in both tables; the network can see them beside the image: uncomment the block in"
    assert f"{said} birds.toml" in result.lines
    assert uncomment(result.path) == (block or {"numeric": list(columns)})
    config = load_config(result.path, ["training.device=cpu"])
    assert prepare(config, read_sources(config), folds_folder=None).column_count == encoded


def test_columns_of_records_are_offered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"id": f"r{n}", "band": [0.1 * n] * 16, "inc_angle": 30 + n / 7 if n % 6 else "na"} for n in range(32)]
    put(Path("ice"), {
        "train.json": json.dumps([row | {"is_ice": n % 2} for n, row in enumerate(rows[:24])]).encode(),
        "test.json": json.dumps(rows[24:]).encode(),
        "sample_submission.csv": table(["id", "is_ice"], ([row["id"], 0.5] for row in rows[24:])),
    })  # fmt: skip
    result = write_toml(Path("ice"))
    assert result.runs
    assert uncomment(result.path) == {"numeric": ["inc_angle"]}
    load_config(result.path)


def offer(cells: Sequence[object], test: Sequence[object] | None = None, name="colour", used=(), group=()):
    """What is offered of one column."""
    train = pd.DataFrame({"key": [f"r{n}" for n in range(len(cells))], name: cells, "label": "x"}).astype(str)
    rows = pd.DataFrame({"key": ["t"] * len(test or cells), name: test or cells}).astype(str)
    source = Source(train=train, test=rows, sample=rows, id="key", used=used)
    return suggest_columns(source, Goal("label", ("label",), (), ()), Group(group))


NAMES = ["red", "green", "blue"] * 8


@pytest.mark.parametrize(
    ("cells", "given"),
    [
        (NAMES, {}),
        ([1.5, 2.5, 3.5] * 8, {}),
        ([0, 1] * 12, {"name": "Subject Focus"}),
        ([f"{n / 7}" for n in range(24)], {}),
        ([1, 2] * 12, {"test": [7, 1]}),
        ([640, 480] * 12, {"name": "width"}),
        (["3", "4", "unknown"] * 8, {}),
    ],
)
def test_offered(cells, given):
    assert offer(cells, **given) is not None


@pytest.mark.parametrize(
    ("cells", "given"),
    [
        ([f"train/a{n}/b{n}.jpg" for n in (1, 2, 3)] * 8, {}),  # paths
        ([f"{name}.png" for name in NAMES], {}),
        (["a/b/c", "a/d/c"] * 12, {}),
        ([f"a sentence of its own, number {n}" for n in range(24)], {}),  # free text
        (["the same long sentence, written on the back of two images", "none"] * 12, {}),
        (range(24), {}),  # one for each row
        (NAMES, {"name": "location_id"}),
        (["2013-06-05 05:44:19", "2013-06-06 07:00:00"] * 12, {}),  # dates
        (["2013-06", "2013-07"] * 12, {}),
        (["5.6.2013", "6.6.2013"] * 12, {}),
        ([20130605, 20130606] * 12, {}),
        (NAMES, {"name": "date"}),
        (["red"] * 24, {}),  # nothing told apart
        (["NA", "", "1"] * 8, {}),
        (NAMES, {"test": ["NA"]}),
        (NAMES, {"test": ["pink", "brown", "red"]}),  # other names than in training
        ([1, 2, 3] * 8, {"test": [7, 8]}),
        ([640, 480] * 12, {"name": "width", "used": ("width",)}),
        (NAMES, {"group": (Choice("group", "colour"),)}),
        (NAMES, {"name": "label"}),
    ],
)
def test_not_offered(cells, given):
    assert offer(cells, **given) is None


@pytest.mark.parametrize(
    ("names", "others", "globs"),
    [
        (["m1", "m2", "m3"], ["id"], ["m*"]),
        (["m_1", "m_2", "m_3"], ["mean"], ["m_*"]),
        (["m1", "m2", "m3"], ["mean"], ["m[0-9]*"]),
        (["m1", "m2", "m3"], ["mean", "m4"], ["m1", "m2", "m3"]),
        (["image1", "image2", "image3"], ["image"], ["image[0-9]*"]),
        (["m1", "m2"], [], ["m1", "m2"]),
        (["1", "2", "3"], [], ["1", "2", "3"]),
        (["a[x]1", "a[x]2", "a[x]3"], ["ax9"], ["a[[]x]*"]),
        (["[labels]", "what?"], ["l"], ["[[]labels]", "what[?]"]),
    ],
)
def test_patterns_match_exactly_the_columns(names, others, globs):
    assert patterns(names, [*names, *others]) == globs
