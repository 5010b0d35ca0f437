"""A finished run predicts other images as it did its own test images, from its folder alone."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import compete
from compete.api.result import Result
from compete.errors import CompeteError, DataError, SubmissionError, UserError

FAST = {"training.epochs": 1, "training.precision": "32-true"}
TEST = [f"t{number}" for number in range(7)]


def finish(tiny: Path, **overrides: object) -> Result:
    return compete.run(tiny / "tiny.toml", {**FAST, **{key.replace("__", "."): v for key, v in overrides.items()}})


def assert_like_the_run(predicted: pd.DataFrame, run: Result) -> None:
    """Every value is the run's to the last bit, and every label is that of its submission."""
    pd.testing.assert_frame_equal(predicted.drop(columns="label"), run.test, check_exact=True)
    assert predicted["label"].astype(str).tolist() == run.submission.iloc[:, 1].tolist()


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"images__cache": False, "inference__batch_size": 3},
        {"training__seeds": 2, "tta": [{"name": "flips"}], "ensemble": {"name": "weighted", "rounds": 5}},
        {"ensemble": {"name": "rank_mean"}},
        {"postprocess": [{"name": "prior", "tau": 1.5}], "ensemble": {"name": "geometric_mean"}},
        {"inference__keep_top": 2, "metric": {"name": "map_at_k", "k": 2}},
    ],
    ids=["mean", "uncached", "weighted", "ranks", "postprocessed", "top"],
)
def test_its_own_test_images_get_the_values_of_its_files(tiny, overrides):
    done = finish(tiny, **overrides)
    assert_like_the_run(compete.load_run(done.folder).predict("data/test"), done)


def test_it_needs_its_folder_and_plugins_only(tiny, monkeypatch):
    done = finish(tiny)
    test, submission = done.test, done.submission
    place = tiny / "elsewhere"
    place.mkdir()
    shutil.move(tiny / "data/test", place / "images")
    shutil.move(done.folder, place / "run")
    shutil.move(tiny / "tiny_plugin.py", place)
    shutil.rmtree(tiny / "data")
    shutil.rmtree(tiny / ".compete")
    monkeypatch.chdir(place)
    predicted = compete.load_run("run", device="cpu").predict("images")
    assert predicted.drop(columns="label").equals(test) and predicted["label"].tolist() == submission["label"].tolist()


def test_every_form_of_images_gives_the_same_values(tiny):
    done = finish(tiny)
    paths = [tiny / f"data/test/{name}.png" for name in TEST]
    arrays = [np.array(Image.open(path)) for path in paths]
    shutil.make_archive(str(tiny / "packed"), "zip", tiny / "data/test")
    numbered = [str(number) for number in range(len(TEST))]
    forms = {
        "paths": (paths, TEST),
        "texts": ([str(path.relative_to(tiny)) for path in paths], TEST),
        "archive": ("packed.zip", TEST),
        "pillow": ([Image.open(path) for path in paths], TEST),
        "bytes": ([path.read_bytes() for path in paths], numbered),
        "arrays": (arrays, numbered),
        "stack": (np.stack(arrays), numbered),
        "alpha": ([Image.open(path).convert("RGBA").copy() for path in paths], numbered),
        "rows of one image": ([[path] for path in paths], TEST),
        "table": (pd.DataFrame({"image": paths, "id": list("abcdefg")}), list("abcdefg")),
        "series": (pd.Series(paths), TEST),
        "generator": ((path for path in paths), TEST),
    }
    for name, (images, ids) in forms.items():
        predicted = done.predict(images)
        assert predicted.index.tolist() == ids, name
        assert (predicted.to_numpy() == forms_expected(done)).all(), name
    single = done.predict(paths[0])
    assert single.index.tolist() == ["t0"] and np.allclose(single.iloc[0, :3].astype(float), done.test.loc["t0"])
    below = done.predict(["t3.png"], root="data/test")
    assert np.allclose(below.iloc[0, :3].astype(float), done.test.loc["t3"])


def forms_expected(done: Result) -> np.ndarray:
    return done.test.assign(label=done.submission["label"].to_numpy()).to_numpy()


def test_files_of_one_name_keep_apart(tiny):
    done = finish(tiny)
    shutil.copytree(tiny / "data/test", tiny / "two/a")
    shutil.copytree(tiny / "data/test", tiny / "two/b")
    assert done.predict("two").index.tolist() == [f"{part}/{name}.png" for part in "ab" for name in TEST]


def test_what_is_left_out_of_a_folder_is_said(tiny):
    done = finish(tiny)
    (tiny / "data/test/notes.txt").write_text("not an image")
    with pytest.warns(UserWarning, match=r"test: 1 file left out, not images by their extension: \.txt") as told:
        assert done.predict("data/test").index.tolist() == TEST
    assert told[0].filename == __file__
    (tiny / "empty").mkdir()
    with pytest.raises(DataError, match="empty: no image in this folder"):
        done.predict("empty")


def test_every_problem_with_images_at_once(tiny):
    done = finish(tiny)
    (tiny / "broken.png").write_bytes(b"no image")
    with pytest.raises(DataError) as caught:
        done.predict([3, None, np.zeros(5), np.zeros((2, 2), object), "data/test/t0.png"])
    assert len(caught.value.problems) == 4 and "image 1: not an image but of type NoneType" in str(caught.value)
    with pytest.raises(DataError, match=r"(?s)3 images cannot be read:.*broken.png: .*no file 'tO.png'.*gone.png"):
        done.predict(["broken.png", "tO.png", "data/test/t0.png", str(tiny / "gone.png")])
    for images, message in [
        ([], "nothing to predict"),
        ({"a": 1}, "not a dict"),
        (pd.DataFrame({"Image": ["a.png"]}), "no column 'image'.* Did you mean 'Image'"),
        (__import__("torch").zeros(3, 8, 8), "of type Tensor"),
    ]:
        with pytest.raises(DataError, match=message):
            done.predict(images)


def test_an_unreadable_image_is_skipped_where_the_toml_says_so(tiny):
    done = finish(tiny, images__unreadable="skip")
    (tiny / "broken.png").write_bytes(b"no image")
    with pytest.warns(UserWarning, match="1 test row has no readable image and got the mean prediction: broken"):
        predicted = done.predict(["data/test/t0.png", "broken.png"])
    assert np.allclose(*predicted.iloc[:, :3].to_numpy(float))


def test_an_ensemble_that_compares_rows_says_so(tiny):
    done = finish(tiny, ensemble={"name": "rank_mean"})
    with pytest.warns(UserWarning, match=r'\[ensemble\] name = "rank_mean" compares rows with each other'):
        done.predict(["data/test/t0.png", "data/test/t1.png"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        finish(tiny, ensemble={"name": "weighted"}).predict(["data/test/t0.png"])


def test_a_blend_that_compares_rows_says_so(tiny):
    runs = [finish(tiny), finish(tiny, training={"seed": 7})]
    done = compete.blend([run.folder for run in runs], method="rank_mean")
    with pytest.warns(UserWarning, match=r'\[ensemble\] name = "rank_mean" compares rows with each other'):
        done.predict(["data/test/t0.png", "data/test/t1.png"])
    done = compete.blend([run.folder for run in runs], method="stacking")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        done.predict(["data/test/t0.png"])


def test_changed_code_is_said(tiny):
    done = finish(tiny)
    with (tiny / "tiny_plugin.py").open("a") as file:
        file.write("\n# edited\n")
    with pytest.warns(UserWarning, match="tiny_plugin.py changed since the run"):
        compete.load_run(done.folder).predict("data/test")


def test_columns_need_a_table(tiny):
    with (tiny / "tiny_plugin.py").open("a") as file:
        file.write(COLUMNS)
    (tiny / "tiny.toml").write_text((tiny / "tiny.toml").read_text().replace('name = "tiny"\n\n[folds]', TABLED))
    done = finish(tiny, model={"name": "resnet9", "width": 2}, columns={"numeric": ["size"], "categorical": ["kind"]})
    with pytest.raises(DataError, match=r"also takes \[columns\]: give a DataFrame with id, image, size, kind"):
        done.predict("data/test")
    rows = pd.DataFrame(
        {"image": [f"data/test/{name}.png" for name in TEST], "size": range(7), "kind": list("xyxyxyx")}
    )
    assert_like_the_run(done.predict(rows), done)
    with pytest.raises(DataError, match='categorical = "kind": the test table has no such column'):
        done.predict(rows.drop(columns="kind"))
    with pytest.raises(DataError, match=r"\[columns\]: size missing in these rows"):
        done.predict(rows.assign(size=[1.0, None, *range(5)]))
    with pytest.warns(UserWarning, match='categorical = "kind": 1 row with a value that no training row has.*: z'):
        done.predict(rows.assign(kind=list("zyxyxyx")))


def test_stacking_with_columns_predicts_some_rows(tiny):
    with (tiny / "tiny_plugin.py").open("a") as file:
        file.write(COLUMNS)
    (tiny / "tiny.toml").write_text((tiny / "tiny.toml").read_text().replace('name = "tiny"\n\n[folds]', TABLED))
    stacking = {"name": "stacking", "use_columns": True}
    one_fold = {"training__seeds": 2, "training__only_folds": [0], "model": {"name": "resnet9", "width": 2}}
    done = finish(tiny, ensemble=stacking, columns={"numeric": ["size"]}, **one_fold)
    rows = pd.DataFrame({"image": [f"data/test/{name}.png" for name in TEST[:3]], "size": range(3)})
    found, expected = done.predict(rows).drop(columns="label"), done.test.iloc[:3]
    pd.testing.assert_frame_equal(found, expected, rtol=1e-4)


TABLED = 'name = "tabled"\n\n[folds]'
COLUMNS = """

def tabled(root):
    tables = tiny_dataset(root)
    def more(table):
        rows = range(len(table))
        return table.assign(size=[str(row) for row in rows], kind=["xy"[row % 2] for row in rows])
    return Tables(more(tables.train), more(tables.test), tables.sample)


_datasets = register_datasets


@hookimpl
def register_datasets():
    return {**_datasets(), "tabled": tabled}
"""


def test_a_submission_of_other_images_is_the_run_s_for_its_own(tiny):
    done = finish(tiny)
    written = done.write_submission("hidden.csv", "data/test", sample="data/sample.csv")
    assert (tiny / "hidden.csv").read_bytes() == (done.folder / "submission.csv").read_bytes()
    assert written.equals(done.submission)
    assert done.write_submission("few.csv", ["data/test/t4.png"])["id"].tolist() == ["t4"]
    with pytest.raises(SubmissionError, match="6 ids of the sample submission without a prediction"):
        done.write_submission("less.csv", ["data/test/t4.png"], sample=pd.read_csv("data/sample.csv"))
    with pytest.raises(SubmissionError, match="ids are there more than once: t4"):
        done.write_submission("less.csv", ["data/test/t4.png"] * 2)
    assert not (tiny / "less.csv").exists()


def test_weights_to_start_from_are_not_needed_again(tiny):
    import timm
    from safetensors.torch import save_file

    start = tiny / "start.safetensors"
    save_file(timm.create_model("test_resnet", num_classes=0).state_dict(), start)
    done = finish(tiny, model={"name": "timm", "backbone": "test_resnet", "weights": str(start)})
    start.unlink()
    assert_like_the_run(compete.load_run(done.folder).predict("data/test"), done)


def test_a_run_is_opened_by_its_name_and_a_misspelt_one_names_the_nearest(tiny):
    done = finish(tiny)
    assert compete.load_run(done.folder.name).folder == done.folder
    for call in (compete.load_run, lambda name: compete.blend([name, done])):
        with pytest.raises(UserError, match=r"'run-01' is not a run.* Did you mean 'run-001'"):
            call("run-01")


@pytest.mark.parametrize("depth", ["submissions/tiny", "submissions", "data", "sub/nowhere"])
def test_a_folder_that_is_not_a_run_names_the_runs(tiny, depth):
    done = finish(tiny)
    with pytest.raises(UserError, match="not the folder of a finished run") as caught:
        compete.load_run(depth)
    assert (str(done.folder) in str(caught.value)) == depth.startswith("submissions")


def test_a_copy_without_a_member_or_with_a_damaged_one_is_refused(tiny):
    folder = finish(tiny).folder
    shutil.copytree(folder, tiny / "copy")
    (tiny / "copy/members/fold1-seed42/weights.safetensors").write_bytes(b"cut")
    with pytest.raises(CompeteError, match=r"fold1-seed42/weights.safetensors cannot be read"):
        compete.load_run("copy").predict("data/test")
    shutil.rmtree(tiny / "copy/members/fold1-seed42")
    with pytest.raises(CompeteError, match="members are missing: copy/members/fold1-seed42"):
        compete.load_run("copy").predict("data/test")


def test_rows_that_parquet_cannot_hold_are_read_again(tiny):
    with (tiny / "tiny_plugin.py").open("a") as file:
        file.write(COLUMNS.replace("str(row) for", "row if row % 2 else str(row) for"))
    (tiny / "tiny.toml").write_text((tiny / "tiny.toml").read_text().replace('name = "tiny"\n\n[folds]', TABLED))
    done = finish(tiny)
    assert any("its rows cannot be stored" in warning for warning in done.warnings)
    assert_like_the_run(compete.load_run(done.folder).predict("data/test"), done)
    shutil.rmtree(tiny / "data")
    with pytest.raises(DataError, match="there is no folder data"):
        compete.load_run(done.folder).predict(np.zeros((8, 8, 3), np.uint8))


def test_a_run_without_a_test_set_predicts(tiny):
    plugin = tiny / "tiny_plugin.py"
    plugin.write_text(plugin.read_text().replace("test, sample, note", "test[:0], sample[:0], note"))
    done = finish(tiny)
    predicted = compete.load_run(done.folder).predict("data/test")
    assert predicted.index.tolist() == TEST and set(predicted.columns) == {"a", "b", "c", "label"}
    with pytest.raises(CompeteError, match=r"test.parquet: no such file; the run had no test rows"):
        print(done.test)
    with pytest.raises(SubmissionError, match="give the sample submission"):
        done.write_submission("s.csv", "data/test")
    assert done.write_submission("s.csv", "data/test", sample="data/sample.csv")["id"].tolist() == TEST
