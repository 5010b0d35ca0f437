"""`compete init` on folders without a sample submission: the TOML runs with no edit, and every label is right.

The images' colours are their classes, which the network of the test reads: a wrong row, label or test id shows.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest

import compete
from compete.config import plugins
from compete.config.load import load_config
from compete.draft import InitResult, write_toml
from compete.errors import CompeteError, UserError
from compete.scores import read_scores
from compete.stages.runner import run_competition

sys.path.insert(0, str(Path(__file__).parents[2]))
from miniatures.drawing import image, put, table, zipped

ORACLE = Path(__file__).parents[2] / "oracle_plugin.py"
N = 6
KINDS = ("bee", "hover fly")  # in the order of the classes
FAST = (
    'model={name="oracle", holds="class"}', 'head={name="bare"}', 'plugins=["oracle.py"]', "folds.n=2",
    "training.epochs=1", "training.device=cpu", "training.workers=0", "transforms=[]",
)  # fmt: skip


def drawn(label: str, kinds=KINDS) -> bytes:
    return image(list(kinds).index(label), kind="png")


def per_class(path: str, kinds=KINDS, count: int = N) -> dict[str, bytes]:
    """Images of each kind, at a path with {kind} and {n}."""
    return {path.format(kind=kind, n=n): drawn(kind, kinds) for kind in kinds for n in range(count)}


def to_predict(path: str, kinds=KINDS) -> dict[str, bytes]:
    """Test images, one of each kind, at a path with {n}."""
    return {path.format(n=n): drawn(kind, kinds) for n, kind in enumerate(kinds)}


def lines(rows: list[dict]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The data's folder, below the working directory; runs write no report page, which would take longest."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plugins, "BUNDLED", tuple(name for name in plugins.BUNDLED if name != "compete_plugins.report"))
    return Path("my {data}, 100%")


def ran(folder: Path, files: Mapping[str, bytes]) -> tuple[InitResult, pd.DataFrame, dict]:
    """Draw a folder, write its TOML and run it unedited but for the network; return the OOF and the written labels."""
    put(folder, files)
    result = write_toml(folder)
    assert result.runs, result.todo
    shutil.copy(ORACLE, "oracle.py")
    done = run_competition(load_config(result.path, list(FAST)))
    assert read_scores(done.folder).cv.oof == 1.0
    written = done.folder / "submission.csv"
    cells = dict(pd.read_csv(written, dtype=str).to_numpy().tolist()) if written.is_file() else {}
    return result, pd.read_parquet(done.folder / "oof.parquet"), cells


def said(result: InitResult) -> str:
    return "\n".join(result.lines)


# --- class folders --------------------------------------------------------------------------------------------------

LAYOUTS: dict[str, tuple[dict[str, bytes], int, dict[str, str]]] = {
    "folders at the root": (per_class("{kind}/{n}.png"), 12, {}),
    "folders at the root and test images": (
        per_class("{kind}/a {n}.png") | to_predict("test/{n}.png"), 12, {"0.png": "bee", "1.png": "hover fly"},
    ),
    "train and Test Images, deep": (
        per_class("d {{1}}/train/{kind}/x/{n}.png") | to_predict("d {{1}}/Test Images/{n}.PNG"),
        12, {"0.PNG": "bee", "1.PNG": "hover fly"},
    ),
    "train, valid and test, all in class folders": (
        per_class("train/{kind}/{n}.png") | per_class("valid/{kind}/{n}.png", count=2) | per_class("test/{kind}/{n}.png", count=1),
        16, {"bee/0.png": "bee", "hover fly/0.png": "hover fly"},
    ),
    "hidden folders": (
        per_class("{kind}/{n}.png") | per_class(".thumbs/{kind}/{n}.png") | {"__MACOSX/bee/._0.png": b"x"}, 12, {},
    ),
    "a class that is called like a test": (
        {path.replace("bee", "covid test"): data for path, data in per_class("{kind}/{n}.png").items()}, 12, {},
    ),
    "zipped": (
        {"flies.zip": zipped(per_class("{kind}/{n}.png"))}, 12, {},
    ),
    "train folders, val of loose images": (
        per_class("train/{kind}/{n}.png") | to_predict("val/{n}.png"), 12, {"0.png": "bee", "1.png": "hover fly"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_class_folders_run_without_an_edit(folder, layout):
    files, rows, labels = LAYOUTS[layout]
    result, oof, written = ran(folder, files)
    assert (len(oof), written) == (rows, labels)
    assert [item for item in result.todo if not item.startswith(("[metric]", "[model]"))] == []
    assert ("there is no test set" in said(result)) == (not labels)
    assert ("there is no sample submission: columns id and label are written" in said(result)) == bool(labels)


def test_images_of_validation_join_the_training_rows_aloud(folder):
    files = LAYOUTS["train, valid and test, all in class folders"][0]
    put(folder, files)
    text = said(write_toml(folder))
    assert "12 images of 'train', 4 images of 'valid': all are training rows, since folds validate" in text
    assert 'to leave out valid, set train = "train" without the pattern' in text
    assert "the names of its folders are not used" in text


LEVELS = [
    (per_class("flies/{kind}/{n}.png") | {"docs/logo.png": drawn("bee")}, 12, "1 of 13 images (7.7%) are not read: 'docs' (1)"),
    (per_class("camera 1/{kind}/{n}.png") | per_class("camera 2/{kind}/{n}.png"), 24, "hold the same folders, bee, hover fly, whose"),
    (per_class("part_1/{kind}{n}.png") | per_class("part_2/{kind}{n}.png"), 24, "taken from file names: 'bee' of part_1/bee0.png"),
    (per_class("train/{kind}/{n}.png") | {"train/x.png": drawn("bee")}, 12, "are not read: 'x.png' (1)"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "rows", "doubt"), LEVELS)
def test_the_level_of_the_class_folders_is_doubted_where_it_is_doubtful(folder, files, rows, doubt):
    result, oof, _ = ran(folder, files)
    assert len(oof) == rows
    [todo] = [item for item in result.todo if not item.startswith(("[metric]", "[model]"))]
    assert doubt in todo


def test_names_of_folders_are_whole_labels_whatever_they_look_like(folder):
    for kinds in (("0.5", "1.0", "2.0"), ("a", "a, b", "b"), ("a", "a b", "b")):
        put(folder, per_class("{kind}/{n}.png", kinds))
        result = write_toml(folder)
        assert '# 3 classes\nname = "label"' in result.path.read_text()
        result.path.unlink()
        shutil.rmtree(folder)


def test_years_below_class_folders_are_no_classes(folder):
    _, oof, _ = ran(folder, per_class("{kind}/2020/{n}.png") | per_class("{kind}/2021/a{n}.png"))
    assert len(oof) == 24


def test_imbalance_decides_the_metric(folder):
    put(folder, per_class("{kind}/{n}.png") | {f"bee/more{n}.png": drawn("bee") for n in range(60)})
    assert 'name = "macro_f1"' in write_toml(folder).path.read_text()


def test_a_table_that_is_no_sample_submission_does_not_hide_class_folders(folder):
    result, _, _ = ran(folder, per_class("{kind}/{n}.png") | {"my submission notes.csv": b"a,b\n1,2\n"})
    assert any("my submission notes.csv is not taken for a sample submission" in item for item in result.todo)


# --- file names -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["{kind}_{n}.png", "all/{n}_x-{kind}.png", "pics/{kind}{n}.png"])
def test_labels_in_file_names_run_and_are_a_thing_to_confirm(folder, path):
    kinds = ("bee", "оса")
    result, oof, _ = ran(folder, per_class(path, kinds))
    assert len(oof) == 12
    [todo] = [item for item in result.todo if item.startswith("[dataset] pattern")]
    assert "'bee' of " in todo and "'оса' of " in todo


@pytest.mark.parametrize("names", [["a.png", "b.png"], [f"{n:04}.png" for n in range(9)]])
def test_names_without_labels_are_refused_with_what_to_do(folder, names):
    put(folder, dict.fromkeys(names, drawn("bee")))
    with pytest.raises(UserError) as refused:
        write_toml(folder)
    assert "Put the images of each class in a folder of their own" in "\n".join(refused.value.problems)
    assert refused.value.problems[-1].endswith("finds the label in a path.")


# --- tables ---------------------------------------------------------------------------------------------------------

ROWS = [(f"{kind[:3]}_{n}.png", kind) for kind in KINDS for n in range(N)]
TRAIN = {f"pics/train/{name}": drawn(kind) for name, kind in ROWS}
PLACES = (
    "/kaggle/input/flies/pics/train/{}",
    "C:\\Users\\Ana B\\pics\\train\\{}",
    "./pics/train/{}",
    "../old/train/{}",
)


@pytest.mark.parametrize("place", PLACES)
def test_paths_of_another_machine_are_cut_to_what_is_there(folder, place):
    rows = [(place.format(name), kind) for name, kind in ROWS]
    result, oof, written = ran(
        folder, TRAIN | {"labels.csv": table(["path", "species"], rows)} | to_predict("pics/test/{n}.png")
    )
    assert (len(oof), written) == (12, {"0.png": "bee", "1.png": "hover fly"})
    assert ("paths of another place, cut to their last" in said(result)) == (not place.startswith("./"))
    assert 'sample = "none"' in result.path.read_text()


def test_paths_that_are_the_same_once_cut_are_a_thing_to_do(folder):
    rows = [(f"/data/{kind}/{n}.png", kind) for kind in KINDS for n in range(N)]
    put(folder, {f"pics/{n}.png": drawn("bee") for n in range(N)} | {"t.csv": table(["path", "species"], rows)})
    result = write_toml(folder)
    assert any("cuts the paths of 12 training rows of 12 to the same files" in item for item in result.todo)


def test_a_test_table_is_predicted_and_a_validation_table_is_a_thing_to_do(folder):
    files = TRAIN | to_predict("pics/test/{n}.png") | {
        "train.csv": table(["file", "label"], ROWS[:4] + ROWS[6:]), "val.csv": table(["file", "label"], ROWS[4:6]),
        "test.csv": table(["file"], [["0.png"], ["1.png"]]),
    }  # fmt: skip
    result, oof, written = ran(folder, files)
    assert (len(oof), written) == (10, {"0.png": "bee", "1.png": "hover fly"})
    assert any("val.csv names 2 images too, and is not read" in item for item in result.todo)


def test_a_column_says_which_rows_are_to_be_predicted(folder):
    rows = [(name, kind, "test" if "_0" in name else "val" if "_1" in name else "train") for name, kind in ROWS]
    result, oof, written = ran(folder, TRAIN | {"all.csv": table(["file", "label", "split"], rows)})
    assert (len(oof), written) == (10, {"bee_0.png": "bee", "hov_0.png": "hover fly"})
    assert any("test_where: the 2 test rows have a 'label', which is not used" in item for item in result.todo)


def test_what_may_be_a_test_row_is_a_thing_to_do(folder):
    rows = [(name, kind, int("_0" not in name)) for name, kind in ROWS]
    put(folder, TRAIN | {"t.csv": table(["file", "label", "is_train"], rows), "test.csv": table(["file"], [["z.png"]])})
    result = write_toml(folder)
    assert result.runs and "[dataset] test: test.csv is not read: it names no images that are there." in result.todo
    assert any("'is_train' (0, 1) may say which rows are to train on; all are." in item for item in result.todo)


def test_the_label_is_the_column_called_so_or_one_that_repeats_and_is_asked_for(folder):
    rows = [(name, kind, KINDS.index(kind), n, "ab"[n % 2]) for n, (name, kind) in enumerate(ROWS)]
    named = {"t.csv": table(["file", "class_name", "class_id", "n", "site"], rows)}
    result, _, _ = ran(folder, TRAIN | named)
    assert 'column = "class_name"' in result.path.read_text()
    assert not [item for item in result.todo if item.startswith("[target]")]
    result.path.unlink()
    put(folder, {"t.csv": table(["file", "insect", "code", "n", "site"], rows)})
    [todo] = [item for item in write_toml(folder).todo if item.startswith("[target]")]
    assert todo == "[target] column: 'insect' is taken for the label since its values repeat. Or is it 'site', 'code'?"


def test_a_table_without_labels_gives_way_to_class_folders(folder):
    files = per_class("{kind}/{n}.png")
    sizes = table(["file", "camera"], ([path, "ab"[n % 2]] for n, path in enumerate(files)))
    result, oof, _ = ran(folder, files | {"sizes.csv": sizes})
    assert 'name = "folder"' in result.path.read_text() and len(oof) == 12


def test_archives_in_archives_are_read(folder):
    files = {"all.zip": zipped({"train.zip": zipped(per_class("{kind}/{n}.png"))})}
    result, oof, _ = ran(folder, files)
    assert 'name = "folder"' in result.path.read_text() and len(oof) == 12


def test_numbers_are_a_label_where_nothing_else_is(folder):
    put(folder, TRAIN | {"t.csv": table(["file", "price"], [(name, n + 0.5) for n, (name, _) in enumerate(ROWS)])})
    result = write_toml(folder)
    assert '[target]\n# numbers from 0.5 to 11.5, 12 different ones\nname = "regression"' in result.path.read_text()
    assert "[target] column: 'price' is taken for the label since it holds numbers." in result.todo


# --- other forms ----------------------------------------------------------------------------------------------------


def metadata(part: str, kinds: list[str], ending: str) -> dict[str, bytes]:
    names = [f"{n:03}.png" for n in range(len(kinds))]
    rows = [{"file_name": name, "label": kind} for name, kind in zip(names, kinds, strict=True)]
    text = lines(rows) if ending == "jsonl" else table(["file_name", "label"], (list(row.values()) for row in rows))
    images = {f"{part}/{name}": drawn(kind) for name, kind in zip(names, kinds, strict=True)}
    return images | {f"{part}/metadata.{ending}": text}


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_image_folders_of_the_hub(folder, ending):
    files = metadata("train", [*KINDS] * N, ending) | metadata("test", [*KINDS], ending)
    result, oof, written = ran(folder, files | metadata("validation", [*KINDS], ending))
    assert (len(oof), written) == (12, {"000.png": "bee", "001.png": "hover fly"})
    assert any(f"validation/metadata.{ending} names 2 images too" in item for item in result.todo)


def coco(kinds: list[str], names: list[str]) -> bytes:
    images = [{"id": n, "file_name": name, "width": 16, "height": 16} for n, name in enumerate(names)]
    marks = [{"id": n, "image_id": n, "category_id": 7 - KINDS.index(kind)} for n, kind in enumerate(kinds)]
    classes = [{"id": 7 - n, "name": kind} for n, kind in enumerate(KINDS)]
    return json.dumps({"images": images, "annotations": marks, "categories": classes}).encode()


def test_coco_annotations_of_parts_with_categories_by_name(folder):
    files = {}
    for part, count in (("train", N), ("valid", 2), ("test", 1)):
        kinds = [*KINDS] * count
        names = [f"{part}_{n}.png" for n in range(len(kinds))]
        files |= {f"{part}/{name}": drawn(kind) for name, kind in zip(names, kinds, strict=True)}
        files[f"{part}/_annotations.coco.json"] = coco(kinds, names)
    _, oof, written = ran(folder, files)
    assert (len(oof), written) == (16, {"0": "bee", "1": "hover fly"})


def test_coco_parts_whose_images_have_the_same_names_are_not_mixed(folder):
    files = {}
    for part, kinds in (("train", [*KINDS] * N), ("val", [*reversed(KINDS)])):
        names = [f"{n}.png" for n in range(len(kinds))]
        files |= {f"{part}/{name}": drawn(kind) for name, kind in zip(names, kinds, strict=True)}
        files[f"{part}.json"] = coco(kinds, names)
    result, oof, _ = ran(folder, files)
    assert len(oof) == 12 and any("val.json (2 images) is not read: its file names" in item for item in result.todo)


def xml(*names: str) -> bytes:
    boxes = "".join(
        f"<object><name>{name}</name><bndbox><xmin>0</xmin><ymin>0</ymin><xmax>{9 - n}</xmax><ymax>9</ymax></bndbox>"
        "</object>" for n, name in enumerate(names)
    )  # fmt: skip
    return f"<annotation><folder>x</folder>{boxes}</annotation>".encode()


@pytest.mark.parametrize(("images", "xmls"), [("JPEGImages", "Annotations"), ("train", "train")])
def test_voc_annotations(folder, images, xmls):
    files = {f"{images}/{name}": drawn(kind) for name, kind in ROWS} | to_predict("test/{n}.png")
    files |= {f"{xmls}/{name[:-4]}.xml": xml(kind) for name, kind in ROWS}
    files[f"{xmls}/bee_0.xml"] = xml("bee", "hover fly")
    result, oof, written = ran(folder, files)
    assert (len(oof), written) == (12, {"0": "bee", "1": "hover fly"})
    assert any("1 of 12 images looked at (8.3%) show several classes: bee_0" in item for item in result.todo)


def shard(kinds: list[str]) -> bytes:
    data = io.BytesIO()
    rows = [{"image": {"bytes": drawn(kind), "path": None}, "label": kind} for kind in kinds]
    pd.DataFrame(rows).to_parquet(data)
    return data.getvalue()


def test_parquet_shards_of_the_hub(folder):
    files = {f"data/train-0000{n}-of-00002.parquet": shard([*KINDS] * 3) for n in range(2)}
    files |= {
        "data/validation-00000-of-00001.parquet": shard([*KINDS]),
        "data/test-00000-of-00001.parquet": shard([*KINDS]),
    }
    result, oof, written = ran(folder, files)
    assert (len(oof), written) == (14, {"test/0": "bee", "test/1": "hover fly"})
    assert "of which 1 for validation: all are training rows" in said(result)


PLUGIN = """
from compete import Choice, Proposal, Tables, hookimpl
import pandas as pd

def listing(root, *, file: str):
    "Rows that a text file lists; without a sample submission."
    rows = [line.split(" ", 1) for line in (root / file).read_text().splitlines()]
    train = pd.DataFrame([(name, name, kind) for name, kind in rows], columns=["id", "image", "sort"], dtype=str)
    none = pd.DataFrame({"id": [], "image": []}, dtype=str)
    return Tables(train, none, none.rename(columns={"image": "label"}))

@hookimpl
def register_datasets():
    return {"listing": listing}

@hookimpl
def propose_dataset(scan):
    return Proposal("listing", (Choice("file", "rows.txt"),)) if "rows.txt" in scan.others else None
"""


def test_the_dataset_of_a_plugin_needs_no_sample_submission(folder):
    put(folder, {name: drawn(kind) for name, kind in ROWS} | {"rows.txt": "\n".join(map(" ".join, ROWS)).encode()})
    Path("listing.py").write_text(PLUGIN)
    result = write_toml(folder, plugin_files=[Path("listing.py")])
    assert result.runs, result.todo
    text = result.path.read_text()
    assert 'name = "listing"' in text and 'column = "sort"' in text and "there is no test set" in said(result)


def test_python_says_that_there_is_no_submission(folder):
    put(folder, per_class("{kind}/{n}.png"))
    shutil.copy(ORACLE, "oracle.py")
    done = compete.run(write_toml(folder).path, FAST)
    assert len(done.oof) == 12
    with pytest.raises(CompeteError, match="no test set, so no submission"):
        _ = done.submission


def test_one_class_folder_is_sent_to_the_folder_of_all(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("all of mine/cat/1.jpg", "all of mine/dog/2.jpg", "elsewhere/notes.txt"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"x")
    with pytest.raises(UserError) as refused:
        write_toml(Path("all of mine/cat"))
    assert refused.value.problems[-1].endswith(
        f"one of cat, dog? Then name the folder that holds them, {tmp_path}/all of mine."
    )
