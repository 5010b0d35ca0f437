"""`compete init` where the images are no images: DICOM, sounds, Parquet; and ids made of two columns."""

from __future__ import annotations

import io
import sys
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from compete.draft import write_toml
from compete.draft.choices import sound_sections
from compete.draft.findings import Pixels
from compete.draft.sizes import image_keys, sound_pixels, windows
from compete.errors import UserError
from compete.files.extensions import choose_family

sys.path.insert(0, str(Path(__file__).parents[2]))
from compete_plugins.datasets._proposals.composite_ids import composite_template
from miniatures import STRETCH
from miniatures.drawing import image, put, table
from miniatures.stretch import dicom

GALLERY = Path(__file__).parents[3] / "competitions"
NAMES = [f"n{number}" for number in range(24)]
NAMED = {
    "train.csv": table(["id", "label"], ((name, number % 2) for number, name in enumerate(NAMES[:16]))),
    "sample_submission.csv": table(["id", "label"], ((name, 0.5) for name in NAMES[16:])),
}
PHOTOGRAPHS, TABLES = choose_family({}), ("parquet",)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The competition's folder, below the working directory."""
    monkeypatch.chdir(tmp_path)
    return Path("data/scans")


def drafted(folder: Path, name: str) -> tuple[dict, dict, str]:
    """Draw a miniature and return what `init` makes of it, the gallery's TOML, and the draft's text."""
    STRETCH[name](folder)
    result = write_toml(folder)
    assert result.runs, result.todo
    text = result.path.read_text()
    return tomllib.loads(text), tomllib.loads((GALLERY / f"{name}.toml").read_text()), text


def numbers(rows: int = 40) -> bytes:
    data = io.BytesIO()
    pd.DataFrame(np.random.default_rng(0).random((rows, 20)).astype(np.float32)).to_parquet(data)
    return data.getvalue()


# --- competitions of the gallery ------------------------------------------------------------------------------------


def test_scans_of_which_several_make_one_row_of_the_sample(folder):
    data, gallery, text = drafted(folder, "rsna-breast-cancer-detection")
    for key in ("name", "test", "image", "test_image", "join_on", "join_labels", "group"):
        assert data["dataset"][key] == gallery["dataset"][key]
    assert not {"id", "duplicates"} & set(data["dataset"])
    assert "# it has what makes all the ids of the sample submission" in text
    assert data["target"] == gallery["target"]
    assert "# such files are read with: pip install 'compete[dicom]'\n[images]" in text
    assert 'averaged; [inference] pool = "max" would trust the highest' in text.replace("\n# ", " ")
    assert "view" not in text.partition("# [columns]")[2].partition("[[")[0]  # it differs between the joined rows


def test_sounds_become_spectrograms(folder):
    data, gallery, text = drafted(folder, "the-icml-2013-whale-challenge-right-whale-redux")
    assert data["dataset"]["extensions"] == ["aif"] and data["dataset"]["train"] == "train2"
    assert (data["target"]["name"], data["images"]["reader"], data["images"]["channels"]) == ("binary", "raw", 1)
    assert data["transforms"] == gallery["transforms"][:2]  # and no flips
    assert "# 16 hours, by the dates in file names" in text
    assert "# such files are read with: pip install 'compete[sound]'" in text


def test_windows_of_longer_recordings_are_a_thing_to_do(folder):
    data, gallery, text = drafted(folder, "hms-harmful-brain-activity-classification")
    for key in ("image", "test_image", "test", "duplicates", "group"):
        assert data["dataset"][key] == gallery["dataset"][key]
    assert data["target"] == gallery["target"]
    assert data["images"]["channels"] == 1
    assert "# TODO [dataset] duplicates: rows are windows of longer recordings, beginning at" in text


# --- which files are the images -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extensions", "chosen"),
    [
        ({}, PHOTOGRAPHS),
        ({"jpg": 40, "dcm": 300}, PHOTOGRAPHS),
        ({"png": 3, "dcm": 300}, ("dcm", "dicom")),
        ({"parquet": 9}, PHOTOGRAPHS),
        ({"parquet": 10, "pdf": 99}, TABLES),
    ],
)
def test_the_images_are_photographs_unless_nearly_all_files_are_of_another_kind(extensions, chosen):
    assert choose_family(extensions) == chosen


def test_files_that_a_reader_reads_beside_photographs_are_no_images(folder):
    put(folder, {
        **NAMED,
        **{f"images/{name}.jpg": image(7) for name in NAMES},
        **{f"scans/{name}.dcm": b"never opened" for name in NAMES},
    })  # fmt: skip
    result = write_toml(folder)
    assert result.runs and tomllib.loads(result.path.read_text())["dataset"]["image"] == "images/{id}.jpg"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"train/a.nii": b"n", "b.tfrec": b""},
            "There are .nii, .tfrec files, which no reader reads: convert them to .jpg or .npy",
        ),
        ({"a.parquet": b"", "b.parquet": b""}, "The 2 .parquet files are too few for images: `[images] reader = "),
    ],
)
def test_what_no_reader_reads_is_told_and_nothing_else_is_to_be_converted(folder, files, message):
    put(folder, files | {"sample_submission.csv": b"id,label\na,1\n"})
    with pytest.raises(UserError) as refused:
        write_toml(folder)
    assert message in refused.value.problems[0]
    assert "npy, dcm, dicom, aif, aiff, wav, flac, ogg, parquet)" in refused.value.problems[0]


def test_a_package_that_is_not_there_is_named(folder, monkeypatch):
    STRETCH["rsna-breast-cancer-detection"](folder)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    result = write_toml(folder)
    assert result.runs is False and "pip install 'compete[dicom]'" in result.todo[0]
    assert result.lines[-1].startswith("next: edit scans.toml, for a run would stop here: ")


def test_scans_in_label_folders(folder):
    scan = dicom(np.full((12, 20), 700))
    put(folder, {
        **{f"train/{label}/{number}{label}.dcm": scan for label in ("sick", "well") for number in range(9)},
        **{f"test/{number}.dcm": scan for number in range(4)},
        "sample_submission.csv": table(["id", "label"], ((number, "well") for number in range(4))),
    })  # fmt: skip
    result = write_toml(folder)
    data = tomllib.loads(result.path.read_text())
    assert result.runs, result.todo
    assert data["dataset"]["extensions"] == ["dcm"] and data["images"] == {"size": [12, 20]}


def test_tables_of_numbers_are_read_as_they_are(folder):
    put(folder, {
        **NAMED,
        **{f"waves/{name}.parquet": numbers() for name in NAMES},
    })  # fmt: skip
    result = write_toml(folder)
    data = tomllib.loads(result.path.read_text())
    assert result.runs, result.todo
    assert data["images"] == {"size": [40, 20], "channels": 1} and "transforms" not in data


def test_long_and_narrow_tables_are_cut_to_what_a_network_takes():
    key = next(image_keys(Pixels(((10_000, 20),) * 3, 1, images=False)))
    assert key.value == [448, 32]


# --- sounds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lengths", "window", "hop"),
    [([4000], 256, 32), ([220_500] * 3, 2048, 1024), ([10], 64, 8), ([], 64, 8), ([10**8], 2048, 1024)],
)
def test_windows_suit_the_length_of_the_sounds(lengths, window, hop):
    assert windows(lengths) == (window, hop)


def test_what_spectrograms_of_sounds_look_like():
    pixels = sound_pixels([4000, 8000], ())
    assert (pixels.sizes, pixels.channels, pixels.images) == (((129, 118), (129, 243)), 1, False)
    size, *_ = image_keys(pixels)
    assert size.value == [128, 192] and "2 spectrograms are 129 to 129 high" in size.why
    assert "sounds of unknown length become" in next(sound_sections(sound_pixels([], ("a.wav: damaged",)))).why


# --- ids made of two columns ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", ["_", "-", " "])
def test_ids_are_made_of_two_columns_by_any_sign(sign):
    train = pd.DataFrame({"age": ["1"], "side": ["L"], "who": ["7"], "a[b]": ["x"]})
    test = pd.DataFrame({"who": ["8", "8", "9"], "side": ["L", "R", "L"], "age": ["2", "2", "3"], "new": ["8", "", ""]})
    ids = pd.Series([f"8{sign}L", f"9{sign}L"])
    assert composite_template(train, test, ids) == f"{{who}}{sign}{{side}}"
    assert composite_template(train.drop(columns="side"), test, ids) == ""
    assert composite_template(train, test, pd.Series([f"8{sign}L", "9"])) == ""


def test_a_test_table_without_the_sample_s_ids_is_known_by_the_columns_that_make_them(folder):
    name = "rsna-breast-cancer-detection"
    STRETCH[name](folder)
    test = pd.read_csv(folder / "test.csv", dtype=str)
    test.drop(columns="prediction_id").to_csv(folder / "test.csv", index=False)
    result = write_toml(folder)
    assert result.runs, result.todo
    assert tomllib.loads(result.path.read_text())["dataset"]["join_on"] == "{patient_id}_{laterality}"
