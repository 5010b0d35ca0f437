"""`compete init`: what it finds in folders of many layouts, what it says about it, and what it refuses."""

from __future__ import annotations

import io
import json
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from compete.advice import timing
from compete.advice.timing import Timing
from compete.config.load import load_config
from compete.draft import write_toml
from compete.errors import UserError

sys.path.insert(0, str(Path(__file__).parents[2]))
from compete_plugins.datasets import _heads
from compete_plugins.datasets._proposals import templates as _templates
from miniatures.drawing import hashes, image, put, table, tarred, zipped
from miniatures.records import cdiscount

JPEG, PNG = image(7), image(7, kind="png")
IDS, TEST_IDS = hashes(24, 8), hashes(8, 8, "test")
GALLERY = Path(__file__).parents[3] / "competitions"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The competition's folder, below the working directory."""
    monkeypatch.chdir(tmp_path)
    return Path("data/birds")


def init(folder: Path, files: dict[str, bytes]) -> dict:
    """Draw a competition, look at it, and return the TOML, which must go through a rehearsal."""
    put(folder, files)
    result = write_toml(folder)
    assert result.runs, result.todo
    load_config(result.path)
    return tomllib.loads(result.path.read_text())


def cycled(labels) -> list:
    return [labels[number % len(labels)] for number in range(len(IDS))]


def flat(labels, sample="0.5", asked="label", train="train/{}.jpg", test="test/{}.jpg", data=JPEG) -> dict[str, bytes]:
    """A training table, a sample submission, and a image for every id."""
    return {
        "train.csv": table(["id", "label"], zip(IDS, cycled(labels), strict=True)),
        "sample_submission.csv": table(["id", asked], ([name, sample] for name in TEST_IDS)),
        **{train.format(name): data for name in IDS},
        **{test.format(name): data for name in TEST_IDS},
    }


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*")}


# --- layouts --------------------------------------------------------------------------------------------------------


def test_a_table_and_a_folder_of_images_with_the_reason_for_each_choice(folder):
    put(folder, flat(["0", "1"]))
    before = snapshot(folder)
    result = write_toml(folder)
    text = result.path.read_text()
    assert (result.path, result.runs) == (Path("birds.toml"), True)
    assert '# finds 24 of 24 images (100.0%)\nimage = "train/{id}.jpg"' in text
    assert "# two labels: 0 (12), 1 (12)" in text
    assert "# TODO [metric]: 'roc_auc' is a guess" in text.partition("[competition]")[0]
    assert any(line.startswith("TODO [metric]") for line in result.lines)
    assert snapshot(folder) == before


def test_images_and_tables_may_be_packed(folder):
    plain = flat(["0", "1"])
    images = {name: data for name, data in plain.items() if name.endswith(".jpg")}
    data = init(folder, {
        "train.csv.zip": zipped({"train.csv": plain["train.csv"]}),
        "sample_submission.csv": plain["sample_submission.csv"],
        "train.zip": zipped({name.removeprefix("train/"): images[name] for name in images if "train/" in name}),
        "test.tar.gz": tarred({name: images[name] for name in images if "test/" in name}),
    })  # fmt: skip
    assert data["dataset"]["train"] == "train.csv"
    assert (data["dataset"]["image"], data["dataset"]["test_image"]) == ("train/{id}.jpg", "test/{id}.jpg")


def test_a_competition_that_is_one_zip(folder):
    data = init(folder, {"all.zip": zipped(flat(["a", "b", "c"], "a"))})
    assert data["dataset"]["train"] == "all/train.csv"
    assert data["dataset"]["image"] == "all/train/{id}.jpg"
    assert data["submission"] == {"name": "label"}


@pytest.mark.parametrize(
    ("train", "template"),
    [
        ("images/{0}.jpg", "images/{{id}}.jpg"),
        ("train/{0[0]}/{0[1]}{0[2]}/{0}.jpg", "train/{{id[0]}}/{{id[1:3]}}/{{id}}.jpg"),
        ("deep/er/train/{0}.jpg", "deep/er/train/{{id}}.jpg"),
    ],
)
def test_templates_are_derived_from_the_files(folder, train, template):
    data = init(folder, flat(["0", "1"], train=train))
    assert data["dataset"]["image"] == template.format()


def test_a_folder_that_is_a_column_in_training_only(folder):
    files = flat(cycled(["red kite", "crow"]), "crow", train="nowhere/{}.jpg")
    paths = {f"train/{label}/{name}.jpg": JPEG for name, label in zip(IDS, cycled(["red kite", "crow"]), strict=True)}
    data = init(folder, {name: data for name, data in files.items() if "nowhere" not in name} | paths)
    assert (data["dataset"]["image"], data["dataset"]["test_image"]) == ("train/{label}/{id}.jpg", "test/{id}.jpg")


def test_mixed_extensions_and_another_spelling_of_the_id(folder):
    files = flat(["0", "1"])
    files |= {f"train/{name}.png": PNG for name in IDS[:9]}
    files = {name: data for name, data in files.items() if name not in {f"train/{name}.jpg" for name in IDS[:9]}}
    files["sample_submission.csv"] = table(["ID", "Label"], ([name, 0.5] for name in TEST_IDS))
    data = init(folder, files)
    assert (data["dataset"]["id"], data["dataset"]["image"]) == ("id", "train/{id}.*")
    assert data["target"]["column"] == "label"


def test_the_same_names_in_train_and_test_are_told_apart_by_their_folders(folder):
    files = {f"{part}_images/{number}.jpg": JPEG for part in ("test", "train") for number in range(20)}
    files["train.csv"] = table(["id", "fold", "target"], ([number, number % 5, number % 2] for number in range(20)))
    files["sample_submission.csv"] = table(["id", "target"], ([number, 0.5] for number in range(20)))
    data = init(folder, files)
    assert (data["dataset"]["image"], data["dataset"]["test_image"]) == (
        "train_images/{id}.jpg",
        "test_images/{id}.jpg",
    )


def test_the_table_of_test_rows_may_name_the_images(folder):
    rows = [[number, f"{name}.jpg"] for number, name in enumerate(TEST_IDS)]
    train = [[100 + number, f"{name}.jpg", number % 3] for number, name in enumerate(IDS)]
    data = init(folder, flat(["0"]) | {
        "train.csv": table(["id", "file", "kind"], train),
        "test.csv": table(["id", "file"], rows),
        "sample_submission.csv": table(["id", "label"], ([number, 0] for number, _ in rows)),
    })  # fmt: skip
    assert (data["dataset"]["test"], data["dataset"]["image"]) == ("test.csv", "train/{file}")
    assert data["target"] == {"name": "label", "column": "kind"}


def test_semicolons_latin_1_and_missing_images(folder):
    files = flat(["jay", "kákapó"], "jay")
    for name in ("train.csv", "sample_submission.csv"):
        files[name] = files[name].replace(b",", b";").decode().encode("latin-1")
    del files[f"train/{IDS[3]}.jpg"]
    data = init(folder, files)
    assert (data["dataset"]["separator"], data["dataset"]["encoding"]) == (";", "cp1252")
    assert data["dataset"]["missing_images"] == "skip"
    text = Path("birds.toml").read_text()
    assert "encoding: train.csv is not UTF-8. Does it read 'kákapó' in cp1252?" in text
    assert f"# left out are 1 of 24 training rows (4.2%): {IDS[3]}" in text
    assert f"# TODO [dataset] image: no image for 1 of 24 training rows (4.2%): {IDS[3]}." in text


def test_label_folders(folder):
    images = {f"train/{label}/{name}.png": PNG for label in ("Sugar beet", "Maize") for name in IDS[:8]}
    sample = {"sample_submission.csv": table(["file", "species"], ([f"{name}.png", "Maize"] for name in TEST_IDS))}
    tests = {f"test/{name}.png": PNG for name in TEST_IDS}
    data = init(folder, images | {"train/Maize/one more.png": PNG} | tests | sample)
    assert data["dataset"] == {
        "name": "folder", "train": "train", "sample": "sample_submission.csv", "test": "test/{file}",
    }  # fmt: skip
    assert (data["target"]["name"], data["submission"]["name"]) == ("label", "label")


def test_versions_of_images_in_folders_at_the_root_become_yes_and_no(folder):
    images = {f"{part}/{number}.jpg": JPEG for part in ("Clean", "Blur", "Noise") for number in range(20)}
    tests = {f"Test/{number}.jpg": JPEG for number in range(6)}
    sample = {"sample_submission.csv": table(["Id", "Label"], ([f"{number}.jpg", 0] for number in range(6)))}
    data = init(folder, images | tests | sample)
    assert data["dataset"]["labels"] == {"Blur": "1", "Clean": "0", "Noise": "1"}
    assert data["dataset"]["group_pattern"] == "[^/]+$"
    assert [turn["name"] for turn in data["transforms"][0]["random"]] == ["D4"]
    assert "TODO [dataset] labels: 'Clean' is taken for 0" in Path("birds.toml").read_text()


@pytest.mark.parametrize("name", ["{label}.{number}.jpg", "{label} {number}.jpg", "x{number}_{label}.jpg"])
def test_labels_in_file_names(folder, name):
    images = {
        f"train/{name.format(label=label, number=number)}": JPEG for label in ("owl", "wren") for number in range(9)
    }
    tests = {f"test/{number}.jpg": JPEG for number in range(6)}
    data = init(folder, images | tests | {"sample_submission.csv": table(["id", "y"], ([n, 0.5] for n in range(6)))})
    assert data["target"] == {"name": "binary", "column": "label", "positive": "wren"}
    assert "is 'wren' the class whose probability is asked for, and not 'owl'?" in Path("birds.toml").read_text()


def test_the_mask_competition_is_known(folder):
    people = [
        [f"{number:06}", ("male", "female")[number % 2], "Asian", 20 + number, f"p{number}"] for number in range(6)
    ]
    stems = [*(f"mask{number}" for number in range(1, 6)), "incorrect_mask", "normal"]
    data = init(folder, {
        "train/train.csv": table(["id", "gender", "race", "age", "path"], people),
        **{f"train/images/{person[-1]}/{stem}.jpg": JPEG for person in people for stem in stems},
        "eval/info.csv": table(["ImageID", "ans"], ([f"{name}.jpg", 0] for name in TEST_IDS)),
        **{f"eval/images/{name}.jpg": JPEG for name in TEST_IDS},
    })  # fmt: skip
    assert (data["dataset"], data["target"]["name"]) == ({"name": "mask"}, "label")
    assert "6 groups stay whole" in Path("birds.toml").read_text()


def test_an_array_whose_channels_are_unclear_is_asked_about_once(folder):
    array = io.BytesIO()
    np.save(array, np.zeros((40, 24, 24), np.float32))
    put(folder, flat(["a", "b"], "a", train="train/{}.npy", test="test/{}.npy", data=array.getvalue()))
    asked = [item for item in write_toml(folder).todo if "layout" in item]
    assert len(asked) == 1 and 'layout = "chw" (40 channels)' in asked[0]


def test_arrays_give_their_size_and_channels(folder):
    array = io.BytesIO()
    np.save(array, np.random.default_rng(0).random((6, 20, 12)).astype(np.float16))
    data = init(folder, flat(["0", "1"], train="train/{}.npy", test="test/{}.npy", data=array.getvalue()))
    assert data["images"] == {"size": [20, 12], "channels": 6}
    assert "transforms" not in data


def coco(images: int, annotations: list[int], first: int = 0) -> bytes:
    """A COCO-like file; `annotations` are the images' numbers, in the order of the annotations."""
    listed = [{"id": number, "file_name": f"a/{number}.jpg"} for number in range(first, first + images)]
    labels = [{"id": n, "image_id": number, "category_id": number % 3} for n, number in enumerate(annotations)]
    return json.dumps({"info": {"year": 1}, "images": listed, "annotations": labels}).encode()


def coco_files(annotations: list[int]) -> dict[str, bytes]:
    return {
        "train.json": coco(40, annotations),
        "test.json": json.dumps([{"id": number, "file_name": f"a/{number}.jpg"} for number in range(8)]).encode(),
        "sample_submission.csv": table(["Id", "Predicted"], ([number, 0] for number in range(8))),
        **{f"train/a/{number}.jpg": JPEG for number in range(40)},
        **{f"test/a/{number}.jpg": JPEG for number in range(8)},
    }


def test_coco_files_are_only_read_on_where_their_first_parts_do_not_join(folder, monkeypatch):
    monkeypatch.setattr(_heads, "WINDOW_BYTES", 700)
    data = init(folder, coco_files([*range(39, -1, -1), 5]))
    assert (data["dataset"]["image"], data["dataset"]["test_image"]) == ("train/{file_name}", "test/{file_name}")
    assert "# 3 classes" in Path("birds.toml").read_text()


def test_annotations_that_disagree_and_a_file_without_images(folder):
    files = coco_files([*range(40)])
    files["train.json"] = files["train.json"][:-2] + b', {"id": 99, "image_id": 1, "category_id": 0}]}'
    files["val.json"] = coco(3, [500, 501, 502], first=500)
    data = init(folder, files)
    assert (data["dataset"]["train"], data["dataset"]["several_labels"]) == ("train.json", "first")
    assert "# val.json is left out: its images are not there" in Path("birds.toml").read_text()


# --- folders that hold the same file names --------------------------------------------------------------------------

FOLDERS = ("filtered", "plain")
VERSIONS = {f"supplement/{part}/rec_{name}.png": PNG for part in FOLDERS for name in IDS}
LONG_SAMPLE = table(["Id", "Probability"], ([100 * n, 0] for n in range(9)))


def birds(rows, name="essential/names.txt") -> dict[str, bytes]:
    return VERSIONS | {"sample_submission.csv": LONG_SAMPLE, name: table(["rec_id", "filename"], enumerate(rows))}


@pytest.mark.parametrize("name", ["essential/names.txt", "essential/names.csv"])
def test_folders_are_no_labels_where_a_table_names_the_files_that_all_of_them_hold(folder, name):
    put(folder, birds([f"rec_{name}" for name in IDS], name))
    with pytest.raises(UserError) as refused:
        write_toml(folder)
    assert refused.value.problems == [
        f"{folder.resolve()}: the folders filtered, plain hold the same file names, so their names are not labels. {name} names "
        'the images: write the TOML by hand, with [dataset] name = "csv", image = "supplement/plain/{filename}.png", '
        "and as `train` the table with the labels (`compete options dataset csv` has its other options)."
    ]


def test_a_text_table_that_names_the_images_is_told_where_nothing_holds_labels(folder):
    files = birds([f"rec_{name}" for name in IDS])
    put(folder, {name: data for name, data in files.items() if "/plain/" not in name})
    with pytest.raises(UserError, match=r"nothing gives the training rows.*essential/names.txt names the images"):
        write_toml(folder)


@pytest.mark.parametrize("rows", [["other"] * 24, ["\0\xff"]])
def test_without_such_a_table_the_folders_are_a_doubtful_guess(folder, rows):
    put(folder, birds(rows))
    result = write_toml(folder)
    assert "the folders filtered, plain hold the same file names" in " ".join(result.todo)
    assert "is in all 2 folders" not in result.todo and result.runs is False
    assert result.lines[-1].startswith("next: edit birds.toml, for a run would stop here: ")


def versions(tests: int) -> dict[str, bytes]:
    return {
        **{f"{part}/c{number}.jpg": JPEG for part in ("Clean", "Blur") for number in range(20)},
        **{f"Test/{number}.jpg": JPEG for number in range(tests)},
        "sample_submission.csv": table(["Id", "Label"], ([f"{number}.jpg", 0.5] for number in range(6))),
    }


def test_folders_of_versions_beside_test_images_are_labels_without_a_doubt(folder):
    put(folder, versions(6))
    assert "hold the same file names" not in " ".join(write_toml(folder).todo)


def test_folders_of_versions_are_doubtful_where_a_table_names_them_and_test_images_are_there(folder):
    put(folder, versions(6) | {"quality.csv": table(["file", "quality"], ([f"c{n}.jpg", 75] for n in range(20)))})
    result = write_toml(folder)
    assert "the folders Blur, Clean hold the same file names" in " ".join(result.todo)


def test_numbers_in_a_table_name_no_images(folder):
    files = {name.replace("/c", "/"): data for name, data in versions(6).items()}
    put(folder, files | {"quality.csv": table(["run", "quality"], ([n, 75] for n in range(20)))})
    assert "hold the same file names" not in " ".join(write_toml(folder).todo)


# --- what is predicted, and how it is written -----------------------------------------------------------------------


COLUMNS = ["healthy", "rust", "scab"]


@pytest.mark.parametrize(
    ("cells", "kind", "metric"),
    [
        ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], "one_hot", "mean_column_auc"),
        ([[1, 0, 0], [0, 1, 1], [0, 0, 0], [0, 1, 0]], "columns", "mean_column_auc"),
        ([[3, 0, 1], [0, 2, 0], [1, 1, 5]], "votes", "kl_divergence"),
    ],
)
def test_columns_of_the_training_table_that_the_sample_has_too(folder, cells, kind, metric):
    files = flat(["0"])
    files["train.csv"] = table(["id", "extra", *COLUMNS], ([i, 4, *c] for i, c in zip(IDS, cycled(cells), strict=True)))
    files["sample_submission.csv"] = table(["id", *COLUMNS], ([name, 0.3, 0.3, 0.4] for name in TEST_IDS))
    data = init(folder, files)
    assert data["target"] == {"name": kind, "columns": COLUMNS}
    assert (data["submission"]["name"], data["metric"]["name"]) == ("probabilities", metric)


def test_labels_that_are_the_sample_s_columns_also_ones_that_no_row_has(folder):
    files = flat(["collie", "beagle"])
    breeds = ["beagle", "collie", "pug"]
    files["sample_submission.csv"] = table(["id", *breeds], ([name, 0.3, 0.3, 0.4] for name in TEST_IDS))
    data = init(folder, files)
    assert data["target"] == {"name": "label", "column": "label", "classes": breeds}
    assert data["checks"]["rows_sum_to_one"] is True
    assert data["metric"]["name"] == "log_loss"


@pytest.mark.parametrize(
    ("text", "metric"),
    [
        ("Submissions are scored on the quadratic weighted kappa.", "roc_auc"),  # does not suit two labels
        ("evaluated by the multi-class logarithmic loss", "log_loss"),
        ("scored on area under the ROC curve", "roc_auc"),
    ],
)
def test_a_description_says_the_metric_where_it_suits_the_target(folder, text, metric):
    data = init(folder, flat(["0", "1"]) | {"description.md": text.encode()})
    assert data["metric"]["name"] == metric


def test_label_folders_without_a_readable_image_are_asked_about(folder):
    files = {f"train/{label}/{name}.jpg": JPEG for label in ("cat", "dog") for name in IDS}
    files |= {f"train/hen/{name}.heic": b"x" for name in IDS}
    sample = table(["id", "label"], ([name, "cat"] for name in TEST_IDS))
    put(folder, files | {"sample_submission.csv": sample, **{f"test/{name}.jpg": JPEG for name in TEST_IDS}})
    assert "1 folder of 'train' without an image, so without a class: hen" in " ".join(write_toml(folder).todo)


def test_a_described_metric_that_does_not_suit_the_target_is_said(folder):
    page = b"# Evaluation\nScored on the area under the ROC curve.\n"
    put(folder, flat(["a", "b", "c"], "a") | {"description.md": page})
    assert "description.md says 'area under', but 'roc_auc' does not suit" in " ".join(write_toml(folder).todo)


def test_a_described_area_under_the_curve_answers_whether_probabilities_are_asked_for(folder):
    page = b"# Evaluation\nScored on the area under the ROC curve.\n"
    put(folder, flat(["0", "1"], "0"))
    asked = "if the metric is accuracy or F1"
    assert asked in " ".join(write_toml(folder, Path("plain.toml")).todo)
    put(folder, {"description.md": page})
    assert asked not in " ".join(write_toml(folder, Path("said.toml")).todo)


@pytest.mark.parametrize(("labels", "metric"), [(["crow", "jay", "owl"], "map_at_k"), (["0", "1"], "roc_auc")])
def test_the_gallery_s_metric_counts_where_name_and_target_agree(tmp_path, monkeypatch, labels, metric):
    monkeypatch.chdir(tmp_path)
    folder = Path("hotel-id-2021-fgvc8")
    put(folder, flat(labels, labels[0]))
    data = tomllib.loads(write_toml(folder).path.read_text())
    assert data["metric"]["name"] == metric


def test_a_wide_table_is_looked_at_in_part(folder):
    names = [f"c{number}" for number in range(3000)]
    rows = ([name, *"7" * 3000, label] for name, label in zip(IDS, cycled(["a", "b"]), strict=True))
    put(folder, flat(["a", "b"], "a") | {"train.csv": table(["id", *names, "label"], rows)})
    with pytest.MonkeyPatch.context() as patch:
        looked = []
        patch.setattr(_templates, "_slashes", lambda table: looked.append(table.shape[1]) or table)
        todo = write_toml(folder).todo
    assert max(looked) <= 501 and "columns were not looked at" in " ".join(todo)


def test_imbalance_and_rare_classes(folder):
    data = init(folder, flat([*["crow"] * 22, "jay", "owl"], "crow"))
    assert data["sampler"] == {"name": "weighted", "power": 0.5} and data["postprocess"] == [{"name": "prior"}]
    assert data["metric"]["name"] == "macro_f1"
    assert data["checks"] == {"missing_class": "warn", "allowed": ["crow", "jay", "owl"]}


def test_versions_of_images_that_are_no_squares_are_flipped_but_not_turned(folder):
    put(folder, {name: image(7, (30, 20)) if name.endswith("jpg") else data for name, data in versions(6).items()})
    data = tomllib.loads(write_toml(folder).path.read_text())
    assert data["images"]["size"] == [20, 30]
    assert [turn["name"] for turn in data["transforms"][0]["random"]] == ["HorizontalFlip", "VerticalFlip"]


def crowded(tmp: str, sample: str, k: int = 1, kinds: int = 1_000) -> dict[str, bytes]:
    """A table with so many classes, two rows each, that share a few images."""
    rows = [[n, f"{IDS[n % len(IDS)]}.jpg", f"{tmp}{n % kinds}"] for n in range(2 * kinds)]
    return flat(["0"]) | {
        "train.csv": table(["id", "file", "label"], rows),
        "test.csv": table(["id", "file"], ([number, f"{name}.jpg"] for number, name in enumerate(TEST_IDS))),
        "sample_submission.csv": table(["id", "label"], ([n, " ".join([sample] * k)] for n in range(len(TEST_IDS)))),
    }


@pytest.mark.parametrize(("k", "kept"), [(1, 20), (5, 20), (30, 30)])
def test_of_many_classes_the_best_of_a_row_are_kept(folder, k, kept):
    put(folder, crowded("w_", "w_1", k))
    result = write_toml(folder)
    assert result.runs and tomllib.loads(result.path.read_text())["inference"] == {"keep_top": kept}
    why = "of 1000 classes, the best of a row are enough for the metric, and all of them fill the memory"
    assert f"  [inference] keep_top = {kept}  ({why})" in result.lines


@pytest.mark.parametrize("page", [b"scored by the logarithmic loss", b""])
def test_every_class_is_kept_where_the_metric_or_a_threshold_needs_it(folder, page):
    names = crowded("w_", "w_1", 5 if not page else 1)
    names["train.csv"] += b"" if page else b"9999,a.jpg,new_whale\n9998,a.jpg,new_whale\n"
    assert "inference" not in init(folder, names | {"train/a.jpg": JPEG, "page.md": page})


def test_predictions_that_memory_cannot_hold_are_told(folder, monkeypatch):
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(total=1_000_000))
    put(folder, crowded("w_", "w_1") | {"page.md": b"scored by the logarithmic loss"})
    result = write_toml(folder)
    assert "Set keep_top = 20 to keep the best 20 classes of a row." in result.todo[0]


def test_a_class_for_what_is_none_of_the_others_is_put_first_by_a_threshold_that_is_fitted(folder):
    data = init(folder, flat([*["new_whale"] * 3, "w_1", "w_2", "w_3"], "new_whale w_1"))
    assert data["postprocess"] == [{"name": "open_set", "label": "new_whale"}]
    assert data["submission"] == {"name": "top_k", "k": 2}
    assert "# by its name, 'new_whale' is whatever is none of the other classes" in Path("birds.toml").read_text()


def test_a_group_and_a_leak_in_the_toml(folder):
    files = flat(["0", "1"])
    rows = [[name, number % 2, "yn"[number % 2], number // 3] for number, name in enumerate(IDS)]
    files["train.csv"] = table(["id", "label", "verdict", "patient"], rows)
    data = init(folder, files)
    assert (data["dataset"]["group"], data["dataset"]["drop"]) == ("patient", ["verdict"])


# --- refusals -------------------------------------------------------------------------------------------------------

SAMPLE = table(["id", "label"], ([name, 0.5] for name in TEST_IDS))
REFUSED = {
    "data/birds is empty; put the competition's files there.": {".DS_Store": b""},
    "holds no image (jpg, jpeg,": {"train.csv": b"id,label\na,1\n", "sample_submission.csv": SAMPLE},
    "no column of the training rows is called like a label, or holds values that repeat": {
        "train/a.jpg": JPEG,
        "train.csv": b"id,l\na,1\n",
    },
    "has no sample submission, a table with 'submission' in its name": {"a.jpg": JPEG, "t.csv": b"id,l\nb,1\n"},
    "Put the images of each class in a folder of their own": {"train/a.jpg": JPEG},
    "sample_submission.csv has a header but no rows": {"train/a.jpg": JPEG, "sample_submission.csv": b"id,label\n"},
    "sample_submission.csv has one column only": flat(["0", "1"]) | {"sample_submission.csv": b"id\na\n"},
    "sample_submission.csv is empty": {"train/a.jpg": JPEG, "sample_submission.csv": b""},
    "nothing gives the training rows. No table has a column 'id'": {"a.jpg": JPEG, "sample_submission.csv": SAMPLE},
    "column 'label' of the training rows holds one value only: '1'": flat(["1"]),
    "asks for 2 columns (x, y), but the training rows have neither": flat(["0", "1"])
    | {"sample_submission.csv": b"id,x,y\na,0,0\n"},
    "column 'x', which sample_submission.csv asks for, has non-numeric cells": flat(["0"])
    | {"train.csv": table(["id", "x", "y"], ([i, "a", 1] for i in IDS)), "sample_submission.csv": b"id,x,y\na,0,0\n"},
    "no column but their ids": flat(["0"]) | {"train.csv": table(["id"], ([name] for name in IDS))},
    "label_key = 'category_id': train.json: annotations has no such column": coco_files([])
    | {"train.json": coco(40, [*range(40)]).replace(b"category_id", b"kind")},
    "b.zip: the archive cannot be read": {"b.zip": b"PK\x03\x04broken", "sample_submission.csv": SAMPLE},
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_no_competition_is_refused_in_one_sentence(folder, message):
    put(folder, REFUSED[message])
    with pytest.raises(UserError) as refused:
        write_toml(folder)
    assert any(message in problem for problem in refused.value.problems), refused.value.problems
    assert not Path("birds.toml").exists()


def test_places_that_are_refused(folder, monkeypatch):
    with pytest.raises(UserError, match="no such folder: data/birds"):
        write_toml(folder)
    put(folder, flat(["0", "1"]))
    with pytest.raises(UserError, match=r"no such folder: data/bird, seen from .*\. Did you mean 'birds'\?"):
        write_toml(Path("data/bird"))
    with pytest.raises(
        UserError, match=r"train\.csv: a file\. Name the folder that holds all files: compete init data/birds$"
    ):
        write_toml(folder / "train.csv")
    with pytest.raises(UserError, match="would be in the competition's folder, which is only read"):
        write_toml(folder, folder / "birds.toml")
    Path("birds.toml").write_text("mine")
    with pytest.raises(UserError, match=r"birds.toml exists already. Name another file with -o"):
        write_toml(folder)
    monkeypatch.chdir(folder)
    with pytest.raises(UserError, match=r"this is inside the competition's folder.*: cd \.\. && compete init birds$"):
        write_toml(Path(), Path("../../other.toml"))


@pytest.mark.parametrize(("gallery", "files"), [("birds", {}), ("owls", {"owls.zip": zipped({"a.jpg": JPEG})})])
def test_a_toml_of_the_gallery_is_named_also_where_a_folder_is_not_understood(folder, gallery, files):
    put(folder, {"train/a.jpg": JPEG} | files)
    put(Path("competitions"), {"crows.toml": b"", f"{gallery}.toml": b""})
    with pytest.raises(UserError) as refused:
        write_toml(folder)
    hint = f"there is a TOML for this competition: competitions/{gallery}.toml"
    assert refused.value.problems[-1].endswith(f"\n{hint}")
    put(folder, flat(["0", "1"]))
    assert write_toml(folder).lines[-2] == hint


def test_a_toml_of_the_gallery_is_named_by_what_was_downloaded(folder):
    put(folder, flat(["0", "1"]) | {".downloaded.json": b'{"platform": "kaggle", "competition": "owls"}'})
    put(Path("competitions"), {"owls.toml": b""})
    assert "there is a TOML for this competition: competitions/owls.toml" in write_toml(folder).lines


def test_the_file_that_is_written_is_no_toml_of_the_gallery(folder):
    put(folder, flat(["0", "1"]))
    lines = write_toml(folder, Path("competitions/birds.toml")).lines
    assert lines[-1] == "next: compete run competitions/birds.toml" and "there is a TOML" not in " ".join(lines)


def test_what_would_stop_a_run_is_the_first_thing_to_do(folder):
    files = flat(["0", "1"])
    broken = {f"train/{IDS[0]}.jpg": b"no image"}
    del files[f"test/{TEST_IDS[2]}.jpg"]
    put(folder, files | broken)
    result = write_toml(folder, Path("new/there.toml"))
    assert result.runs is False and "rehearsed: a run would stop" in result.lines
    assert result.lines[-1].startswith("next: edit new/there.toml, for a run would stop here: test_image = 'test/{id}")
    assert not any("next: compete run" in line for line in result.lines)
    assert result.todo[0].startswith("a run would stop here: test_image = 'test/{id}.jpg': 1 of 8")
    assert "'test/{id}.jpg' finds only 7 of 8 test images" in " ".join(result.todo)
    assert f"unreadable image: train/{IDS[0]}.jpg" in " ".join(result.todo)
    assert "# TODO a run would stop here" in result.path.read_text()


def test_records_that_end_too_early_are_the_first_thing_to_do(folder):
    cdiscount(folder)
    whole = (folder / "train.bson").read_bytes()
    (folder / "train.bson").write_bytes(whole[: len(whole) * 2 // 3])
    result = write_toml(folder)
    assert "damaged BSON in the document at byte" in result.todo[0] and result.runs is False
    assert result.lines[-1].startswith("next: edit birds.toml, for a run would stop here: train.bson: damaged BSON")


def test_test_rows_without_any_image_are_a_thing_to_do(folder):
    put(folder, {name: data for name, data in flat(["0", "1"]).items() if not name.startswith("test/")})
    result = write_toml(folder)
    assert not result.runs
    assert "no image is named after a test row" in " ".join(result.todo)


def test_large_records_are_not_rehearsed(folder, monkeypatch):
    monkeypatch.setattr("compete.draft.MOST_BYTES_REHEARSED", 100)
    put(folder, flat(["0", "1"]))
    result = write_toml(folder)
    assert result.runs is None
    assert "not rehearsed: its files are too large to read now" in result.lines


def test_large_tables_are_sampled_but_counted(folder, monkeypatch):
    monkeypatch.setattr(_heads, "MOST_ROWS", 10)
    put(folder, flat(["0", "1"]))
    write_toml(folder)
    assert "# 24 rows: id, label" in Path("birds.toml").read_text()


# --- what is left out -----------------------------------------------------------------------------------------------


def test_images_in_two_folders_are_found_in_both(folder):
    files = flat(["a", "b", "c"], "a")
    for number in range(0, 24, 3):
        files[f"train_2/{IDS[number]}.jpg"] = files.pop(f"train/{IDS[number]}.jpg")
    assert init(folder, files)["dataset"]["image"] == ["train/{id}.jpg", "train_2/{id}.jpg"]


def test_files_of_other_things_with_the_same_names_are_no_images_of_the_rest(folder):
    files = flat(["a", "b", "c"], "a")
    files |= {f"masks/{name}.jpg": JPEG for name in IDS}
    del files[f"train/{IDS[3]}.jpg"]
    data = init(folder, files)
    assert (data["dataset"]["image"], data["dataset"]["missing_images"]) == ("train/{id}.jpg", "skip")


def test_a_class_without_images_stops_a_run_and_is_named(folder):
    files = flat(["a", "b", "c"], "a")
    for number in range(0, 24, 3):
        del files[f"train/{IDS[number]}.jpg"]
    put(folder, files)
    result = write_toml(folder)
    assert "missing_images" not in tomllib.loads(result.path.read_text())["dataset"]
    assert result.runs is False
    todo = next(todo for todo in result.todo if "no image for" in todo)
    assert "8 of 24 training rows (33.3%)" in todo and "label = 'a' (8 of 8)" in todo


def test_an_image_of_two_extensions_is_chosen_aloud(folder):
    files = flat(["a", "b"], "a")
    files[f"train/{IDS[5]}.png"] = files.pop(f"train/{IDS[5]}.jpg")
    files[f"train/{IDS[6]}.png"] = PNG
    put(folder, files)
    result = write_toml(folder)
    assert tomllib.loads(result.path.read_text())["dataset"]["image"] == ["train/{id}.jpg", "train/{id}.png"]
    assert any("1 training row has files under several of" in todo for todo in result.todo)


def test_hidden_folders_are_not_looked_at(folder):
    files = {f"train/{label}/{number}.png": PNG for label in ("cat", "dog") for number in range(6)}
    files |= {f"train/.ipynb_checkpoints/{number}-checkpoint.png": PNG for number in range(6)}
    files |= {f"test/{number}.png": PNG for number in range(6, 9)}
    files[".ipynb_checkpoints/sample_submission-checkpoint.csv"] = b"id,label\n"
    files["sample_submission.csv"] = table(["id", "label"], ([number, "cat"] for number in range(6, 9)))
    text = str(init(folder, files))
    assert "ipynb_checkpoints" not in text and "-checkpoint" not in text


def test_parts_are_no_classes(folder):
    files = {f"train/{number}.png": PNG for number in range(9)} | {f"test/t{number}.png": PNG for number in range(9)}
    put(folder, {**files, "sample_submission.csv": table(["id", "label"], [["x", "a"], ["y", "a"]])})
    with pytest.raises(UserError, match="nothing gives the training rows"):
        write_toml(folder)


def test_folders_that_are_not_read_are_named(folder):
    files = {f"train/{label}/{n}.png": PNG for label in ("cat", "dog") for n in "abcdef"}
    files |= {f"valid/{label}/{n}.png": PNG for label in ("cat", "dog") for n in "uvw"}
    files |= {f"test/{number}.png": PNG for number in range(6, 9)}
    files["sample_submission.csv"] = table(["id", "label"], ([number, "cat"] for number in range(6, 9)))
    put(folder, files)
    assert any("are not read: 'valid' (" in todo for todo in write_toml(folder).todo)


def test_classes_whose_files_are_numbered_alike_are_no_versions_of_one_image(folder):
    files = {
        f"train/{label}/{n}.png": image(7 * at, kind="png") for at, label in enumerate(("cat", "dog")) for n in range(9)
    }
    files |= {f"test/{number}.png": PNG for number in range(3)}
    files["sample_submission.csv"] = table(["id", "label"], ([number, "cat"] for number in range(3)))
    data = init(folder, files)
    assert "group_pattern" not in data["dataset"]
    assert "classes, not versions of one image" in Path("birds.toml").read_text().replace("\n#", "")


# --- contradictions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels", [["turn_left", "turn_right", "none"], ["ear_L", "ear_R", "nose"], ["cw", "ccw", "x"]]
)
def test_images_of_left_and_right_are_not_flipped(folder, labels):
    data = init(folder, flat(labels, labels[0]))
    names = {transform["name"] for each in data["transforms"] for transform in each["random"]}
    assert names == {"Affine", "RandomBrightnessContrast"} and "tta" not in data
    assert "# no flip, since" in Path("birds.toml").read_text()


def test_a_rare_class_is_not_scored_by_accuracy_and_drawn_more_often(folder):
    data = init(folder, flat(["a"] * 10 + ["a", "b", "b", "c"] + ["b"] * 10, "a"))
    assert (data["metric"]["name"], data["sampler"]["name"]) == ("macro_f1", "weighted")
    assert data["postprocess"] == [{"name": "prior"}]


def test_a_column_called_group_that_cannot_group_is_dropped(folder):
    put(folder, {**flat(["0", "1"])})
    lines = (folder / "train.csv").read_text().splitlines()
    (folder / "train.csv").write_text("\n".join([f"{lines[0]},group", *(f"{line},one" for line in lines[1:])]))
    write_toml(folder)
    assert load_config(Path("birds.toml")).one("datasets").options["drop"] == ("group",)


def test_true_and_false_in_the_sample_s_columns_are_label_sets(folder):
    put(folder, {**flat(["0", "1"])})
    ids = [line.split(",")[0] for line in (folder / "train.csv").read_text().splitlines()[1:]]
    cells = [f"{id},{number % 2 == 0},{number % 3 == 0}" for number, id in enumerate(ids)]
    (folder / "train.csv").write_text("\n".join(["id,red,round", *cells]))
    sample = next(folder.glob("*sample*"))
    tests = [line.split(",")[0] for line in sample.read_text().splitlines()[1:]]
    sample.write_text("\n".join(["id,red,round", *(f"{id},0.5,0.5" for id in tests)]))
    assert write_toml(folder).runs
    assert load_config(Path("birds.toml")).one("targets").name == "columns"


def test_photographs_that_nothing_reads_are_counted(folder):
    put(folder, flat(["0", "1"]))
    (folder / "train/9.heic").write_bytes(b"x")
    assert any(
        "1 file not read: train/9.heic." in item and "convert them to .jpg" in item for item in write_toml(folder).todo
    )


def test_a_precision_that_was_timed_to_be_faster_is_written(folder, monkeypatch):
    put(folder, flat(["cat", "dog"]))
    monkeypatch.setattr(timing, "time_run", lambda path: Timing(0.5, 5, 60, "cpu", bf16_seconds=1.0))
    result = write_toml(folder, timed=True)
    text = result.path.read_text()
    assert load_config(result.path).training.precision == "32-true"
    assert "bf16 takes 2.0 times as long" in text and any("in fp32" in line for line in result.lines)
    assert "precision" not in write_toml(folder, Path("untimed.toml")).path.read_text()
