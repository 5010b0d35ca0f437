"""Every TOML of the gallery validates, and a run on a miniature of the real data writes a correct submission."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from compete import Files, Tables
from compete.config.load import load_config
from compete.stages.check_file import check_file
from compete.stages.prepare import read_tables
from compete.stages.runner import run_competition
from compete.submission.check import check_submission
from compete.submission.csv_file import write_submission
from compete_plugins.datasets._tables import find_file, find_sample

sys.path.insert(0, str(Path(__file__).parent))
from miniatures import MINIATURES, STRETCH
from miniatures.drawing import Drawn

ROOT = Path(__file__).parents[1]
GALLERY = {path.stem: path for path in sorted((ROOT / "competitions").glob("*.toml"))}
ORACLE = ROOT / "tests/oracle_plugin.py"
SIDE = 24
ALL = {**MINIATURES, **STRETCH}


# --- what graders require of the cells, and when they are correct -----------------------------------------------


def numbers(cells: pd.DataFrame) -> np.ndarray:
    return cells.to_numpy().astype(float)


def sets(cells: pd.DataFrame) -> list[list[str]]:
    return [cell.split(" ") for cell in cells.iloc[:, 0]]


def are_probabilities(cells: pd.DataFrame) -> bool:
    return bool(((numbers(cells) >= 0) & (numbers(cells) <= 1)).all())


def are_class_probabilities(cells: pd.DataFrame) -> bool:
    return are_probabilities(cells) and bool((abs(numbers(cells).sum(axis=1) - 1) < 1e-5).all())


def are_distinct(cells: pd.DataFrame) -> bool:
    return all(row != [""] and len(set(row)) == len(row) for row in sets(cells))


FITS = {
    "probability": are_probabilities,
    "classes": are_class_probabilities,
    "columns": are_probabilities,
    "label": lambda cells: bool((cells != "").to_numpy().all()),
    "tokens": are_distinct,
    "top_k": lambda cells: are_distinct(cells) and all(len(row) == 5 for row in sets(cells)),
    "value": lambda cells: bool(((numbers(cells) >= 1) & (numbers(cells) <= 100)).all()),
}
CORRECT = {
    "probability": lambda cells, labels: (numbers(cells)[:, 0] > 0.5).tolist() == [label == 1 for label in labels],
    "classes": lambda cells, labels: cells.columns[numbers(cells).argmax(axis=1)].tolist() == labels,
    "columns": lambda cells, labels: [set(cells.columns[row > 0.5]) for row in numbers(cells)] == labels,
    "label": lambda cells, labels: cells.iloc[:, 0].tolist() == [str(label) for label in labels],
    "tokens": lambda cells, labels: [set(row) for row in sets(cells)] == labels,
    "top_k": lambda cells, labels: [row[0] for row in sets(cells)] == [str(label) for label in labels],
    "value": lambda cells, labels: np.allclose(numbers(cells)[:, 0], labels, atol=0.6),
}


# --- the tests ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GALLERY)
def test_every_toml_validates(name):
    load_config(GALLERY[name])


@pytest.mark.parametrize("name", ALL)
def test_a_kaggle_competition_has_one_name(name):
    config = load_config(GALLERY[name])
    assert (config.competition.name, config.competition.root) == (name, f"data/{name}")
    assert config.competition.url == f"https://www.kaggle.com/competitions/{name}"
    assert config.one("uploads").options["competition"] == name
    assert f"kaggle competitions download -c {name} " in GALLERY[name].read_text()


@pytest.fixture(scope="module", params=sorted(ALL))
def place(request, tmp_path_factory) -> tuple[str, Path, Drawn]:
    """A competition, a folder with its miniature in it, and the labels. Its two tests share decoded images."""
    name, folder = request.param, tmp_path_factory.mktemp(request.param)
    torch.set_num_threads(1)
    shutil.copy(ORACLE, folder / "oracle.py")
    drawn = ALL[name](folder / "data" / name)
    return name, folder, drawn


@pytest.fixture
def slim(monkeypatch) -> None:
    """Runs without the report page, which would take longer than the rest of them."""
    import compete.config.plugins

    bundled = tuple(name for name in compete.config.plugins.BUNDLED if name != "compete_plugins.report")
    monkeypatch.setattr(compete.config.plugins, "BUNDLED", bundled)


def run(name: str, folder: Path, model: str, *more: str) -> pd.DataFrame:
    """Run a TOML of the gallery with a tiny network, tiny images and one epoch; return its submission as text."""
    text = re.sub(r"size = \[\d+, \d+\]", f"size = [{SIDE}, {SIDE}]", GALLERY[name].read_text())
    toml = folder / f"{name}.toml"
    toml.write_text(text)
    folds = "folds.share=0.4" if 'name = "holdout"' in text else "folds.n=2"
    overrides = [
        'plugins=["oracle.py"]', f"model={model}", folds, "training.epochs=1", "training.batch_size=8",
        "training.precision=32-true", "training.device=cpu", "training.workers=0", "images.cache=true", *more,
    ]  # fmt: skip
    done = run_competition(load_config(toml, overrides))
    table = pd.read_csv(done.folder / "submission.csv", dtype=str, keep_default_na=False)
    return table.drop(columns="Unnamed: 0", errors="ignore")  # the index of iwildcam-2019's sample, which is kept


def test_it_trains_and_writes_a_file_that_passes_the_check(place, slim, monkeypatch):
    name, folder, drawn = place
    monkeypatch.chdir(folder)
    written = run(name, folder, '{name="resnet9", width=4}')
    assert list(written.columns) == drawn.header
    assert written.iloc[:, 0].tolist() == list(drawn.rows or drawn.labels)
    assert FITS[drawn.kind](written.iloc[:, 1:])


def test_every_label_reaches_its_id(place, slim, monkeypatch):
    name, folder, drawn = place
    monkeypatch.chdir(folder)
    written = run(name, folder, f'{{name="oracle", holds="{drawn.holds}"}}', 'head={name="bare"}')
    labels = [drawn.labels[row] for row in written.iloc[:, 0]]
    assert CORRECT[drawn.kind](written.iloc[:, 1:], labels)


def test_the_damaged_images_of_iwildcam_2020_are_left_out_of_training(tmp_path, slim, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(ORACLE, tmp_path / "oracle.py")
    name = "iwildcam-2020-fgvc7"
    drawn = ALL[name](tmp_path / "data" / name)
    damaged = sorted((tmp_path / "data" / name / "train").glob("*.jpg"))[3]
    damaged.write_bytes(damaged.read_bytes()[:200])
    written = run(name, tmp_path, f'{{name="oracle", holds="{drawn.holds}"}}', 'head={name="bare"}')
    assert dict(zip(written["Id"], written["Category"], strict=True)) == drawn.labels


def test_the_repeated_image_of_hotel_id_is_read_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "hotel-id-2021-fgvc8"
    ALL[name](tmp_path / "data" / name)
    table = tmp_path / "data" / name / "train.csv"
    first, *rows = table.read_text().splitlines()
    table.write_text("\n".join([first, *rows, rows[5]]) + "\n")
    tables = load_config(GALLERY[name]).one("datasets").build(tmp_path / "data" / name)
    assert len(tables.train) == len(rows) and "left out: repeated id: " in tables.note


def test_a_test_row_without_its_image_gets_the_mean_prediction(tmp_path, slim, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(ORACLE, tmp_path / "oracle.py")
    name = "histopathologic-cancer-detection"
    drawn = ALL[name](tmp_path / "data" / name)
    *others, lost = drawn.labels
    (tmp_path / "data" / name / "test" / f"{lost}.tif").unlink()
    written = run(name, tmp_path, '{name="oracle", holds="share"}', "dataset.missing_images=skip")
    cells = written.set_index("id")["label"].astype(float)
    assert cells[lost] == pytest.approx(cells[others].mean(), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "rows", "groups", "without"),
    [
        ("alaska2-image-steganalysis", 40, 10, []),
        ("cdiscount-image-classification-challenge", 32, None, []),
        ("inaturalist-2019-fgvc6", 32, None, []),
        ("iwildcam-2019-fgvc6", 33, 8, []),
        ("iwildcam-2020-fgvc7", 30, 10, []),
        ("hms-harmful-brain-activity-classification", 36, 12, []),
        ("mlsp-2013-birds", 42, None, []),
        ("paddy-disease-classification", 44, None, ["variety", "age"]),
        ("ranzcr-clip-catheter-line-classification", 48, 16, []),
        ("rsna-breast-cancer-detection", 40, 20, ["biopsy", "BIRADS", "view"]),
        ("siim-isic-melanoma-classification", 32, 16, ["diagnosis", "benign_malignant"]),
        ("the-icml-2013-whale-challenge-right-whale-redux", 40, 16, []),
    ],
)
def test_rows_groups_and_leaks_match_the_comment(name, rows, groups, without, tmp_path, monkeypatch):
    train = tables_of(name, tmp_path, monkeypatch).train
    assert len(train) == rows
    assert (train["group"].nunique() if "group" in train else None) == groups
    assert not set(without) & set(train.columns)


@pytest.mark.parametrize(
    ("name", "cell", "why"),
    [
        ("aptos2019-blindness-detection", "2.4", "must be an integer"),
        ("aptos2019-blindness-detection", "5", "is above 4"),
        ("cassava-leaf-disease-classification", "3.0", "must be an integer"),
        ("dog-breed-identification", "0.01", "rows must sum to one"),
        ("leaf-classification", "0.011", "rows must sum to one"),
        ("petfinder-pawpularity-score", "0.5", "is below 1"),
        ("plant-pathology-2021-fgvc8", "rust,complex", "'rust,complex' is not an allowed label"),
        (
            "plant-seedlings-classification",
            "Sugar Beet",
            "'Sugar Beet' is not an allowed label.*Did you mean 'Sugar beet'",
        ),
        ("ranzcr-clip-catheter-line-classification", "1.5", "is above 1"),
    ],
)
def test_what_the_grader_would_reject_is_a_problem(name, cell, why, tmp_path, monkeypatch):
    sample = tables_of(name, tmp_path, monkeypatch).sample
    wrong = sample.assign(**dict.fromkeys(sample.columns[1:], cell))
    check = check_submission(wrong, sample, **load_config(GALLERY[name]).checks.submission_rules())
    assert check.problems and all(re.search(why, problem) for problem in check.problems)


@pytest.mark.parametrize("name", sorted(ALL))
def test_the_sample_itself_passes_and_would_be_written_as_it_is(name, tmp_path, monkeypatch):
    tables = tables_of(name, tmp_path, monkeypatch)
    config = load_config(GALLERY[name])
    path = tmp_path / "mine.csv"
    write_submission(tables.sample, path, tables.form)
    check_file(config, path)
    options = config.one("datasets").options
    files = Files(Path(config.competition.root))
    sample = find_sample(files, options["sample"])
    assert path.read_bytes() == files.read(find_file(files, sample))


def tables_of(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Tables:
    """Draw a miniature and read it as the gallery's TOML says."""
    monkeypatch.chdir(folder)
    ALL[name](folder / "data" / name)
    return read_tables(load_config(GALLERY[name]))
