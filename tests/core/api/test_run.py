"""`compete.run` from a TOML, a dict and a folder, many times in one process, and what its result shows."""

from __future__ import annotations

import gc
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch

import compete
from compete.data.loaders import choose_workers
from compete.errors import CompeteError, ConfigError, UserError

FAST = {"training.epochs": 1, "training.precision": "32-true", "model.name": "oracle"}
NESTED = {"training": {"epochs": 1, "precision": "32-true"}, "model": {"name": "oracle"}}
LISTED = ["training.epochs=1", "training.precision=32-true", "model.name=oracle"]


def test_importing_compete_is_light():
    code = "import sys, compete; assert callable(compete.__getattr__); print([m for m in ('torch', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("overrides", [FAST, NESTED, LISTED, tuple(LISTED), {**FAST, "training.epochs": np.int64(1)}])
def test_a_toml_and_the_same_as_a_dict_are_the_same_run(tiny, overrides):
    first = compete.run("tiny.toml", FAST)
    data = tomllib.loads((tiny / "tiny.toml").read_text())
    data["competition"]["root"] = Path("data")
    data["images"] = {"size": (8, 8), "mean": None}
    again = compete.run(data, overrides)
    assert again.folder == first.folder and len(list(Path("submissions/tiny").glob("run-*"))) == 1


def test_what_a_run_from_a_dict_says_to_type_works(tiny):
    data = tomllib.loads((tiny / "tiny.toml").read_text())
    done = compete.run(data, FAST)
    command = "compete run submissions/tiny/run-001/config.toml --set training.precision=32-true"
    assert done.scores.next[-1].startswith(command) and done.scores.next[-1].endswith("--set training.epochs=2")
    assert compete.run(done.folder).folder == done.folder


def test_every_mistake_at_once_in_words_of_python(tiny):
    with pytest.raises(ConfigError) as caught:
        compete.validate("tiny.toml", {"training.epoch": 3, "model.name": "orakle", "optimizer": {"lr": "high"}})
    shown = str(caught.value)
    assert len(caught.value.problems) == 3 and "--set" not in shown
    assert "override training.epoch=3: [training] epoch: unknown option. Did you mean 'epochs'?" in shown
    assert "Did you mean 'oracle'?" in shown
    compete.run("tiny.toml", FAST, name="mine")
    with pytest.raises(ConfigError, match=r"name = mine: .* has a run of another configuration"):
        compete.run("tiny.toml", {**FAST, "training.seed": 7}, name="mine")


@pytest.mark.parametrize(
    ("source", "overrides", "message"),
    [
        ({"loss": {"name": print}}, None, "loss.name = <built-in function print>: TOML holds .*plugin file"),
        ({"competition": {"name": "x", "root": "."}}, None, r"\[dataset\]: the table is missing"),
        ({}, {"training.epochs": {1}}, r"override training.epochs = \{1\}: TOML holds"),
        ({}, {"images.mean": None}, "override images.mean=None: an override sets a value"),
        ({}, [3], "override 3: must be text such as"),
        ({}, "epochs", "override epochs: must be table.key=value"),
        ({}, {"epochs": 3}, r"\[epochs\]: unknown table. Did you mean training.epochs\?"),
        ("nowhere.toml", None, "nowhere.toml: no such file"),
        ({"training": [1]}, None, r"training: must be a table"),
    ],
)
def test_bad_input_says_what_and_where(tiny, source, overrides, message):
    with pytest.raises(ConfigError, match=message) as caught:
        compete.run(source, overrides)
    assert not (tiny / "submissions").exists()
    assert caught.value._render_traceback_() == [f"ConfigError: {caught.value}"]


def test_a_list_in_itself_is_refused(tiny):
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(ConfigError, match="nested more than 20 levels deep"):
        compete.run({"tta": loop})


def draw_folder(folder: Path) -> None:
    from PIL import Image

    for label in ("cat", "dog"):
        for number in range(8):
            for part in ("train/" + label, "test"):
                path = folder / part / f"{label[0]}{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                value = 60 if label == "cat" else 180
                Image.fromarray(np.full((24, 24, 3), value + number, np.uint8)).save(path)
    names = sorted(path.name for path in (folder / "test").iterdir())
    pd.DataFrame({"id": names, "label": "cat"}).to_csv(folder / "sample_submission.csv", index=False)


TINY_NETWORK = {
    "model": {"name": "resnet9", "width": 2}, "training": {"epochs": 1, "device": "cpu"}, "images.size": [24, 24],
    "folds.n": 2,
}  # fmt: skip


def test_a_folder_is_enough_and_may_be_run_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    draw_folder(tmp_path / "data/pets")
    done = compete.run("data/pets", TINY_NETWORK)
    shown = capsys.readouterr().out
    assert (tmp_path / "pets.toml").read_text() in shown
    assert len(done.submission) == 16
    assert compete.run("data/pets", TINY_NETWORK).folder == done.folder
    assert "pets.toml: written earlier for data/pets" in capsys.readouterr().out
    draw_folder(tmp_path / "other/pets")
    with pytest.raises(UserError, match=r"pets.toml exists already, for another folder: data/pets.*compete.init"):
        compete.run("other/pets")
    made = compete.init("other/pets", "other.toml")
    assert made.path == Path("other.toml") and repr(made) == "\n".join(made.lines)
    with pytest.raises(UserError, match=r"Name another file with output=\.\.\."):
        compete.init("other/pets", "other.toml")
    assert compete.validate("other.toml", {"training.epochs": 1}) == ()


def process_state() -> list[object]:
    return [
        random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist(), os.getcwd(),
        warnings.filters[:], matplotlib.get_backend(), torch.get_float32_matmul_precision(), torch.get_num_threads(),
        torch.backends.cudnn.benchmark, torch.are_deterministic_algorithms_enabled(), dict(os.environ),
        [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)], sys.path[:],
        logging.getLogger("lightning_fabric").level, logging.getLogger().handlers[:], torch.is_grad_enabled(),
    ]  # fmt: skip


@pytest.mark.parametrize("fails", [False, True])
def test_the_process_is_left_as_it_was(tiny, fails):
    before = process_state()
    overrides = {**FAST, "training.deterministic": True, "transforms": [{"name": "trivial_augment"}]}
    if fails:
        (tiny / "data/test/t0.png").write_bytes(b"no image")
        with pytest.raises(CompeteError):
            compete.run("tiny.toml", overrides)
    else:
        compete.run("tiny.toml", overrides).predict("data/test")
    assert process_state() == before


def test_memory_does_not_grow(tiny):
    def alive() -> int:
        gc.collect()
        kinds = (torch.nn.Module, torch.optim.Optimizer, pd.DataFrame)
        return sum(issubclass(type(thing), kinds) for thing in gc.get_objects())

    kept = [compete.run("tiny.toml", {**FAST, "training.seed": seed}) for seed in range(2)]
    before, modules = alive(), len(sys.modules)
    kept += [compete.run("tiny.toml", {**FAST, "training.seed": seed}) for seed in range(2, 5)]
    assert alive() <= before and len(sys.modules) == modules and len(kept) == 5
    kept[0].predict("data/test")
    kept.pop(0)
    assert alive() <= before


def test_the_second_run_of_a_process_is_that_of_another_process(tiny):
    """What a run depends on must not depend on what the process did before."""
    code = f"import compete; print(compete.run('tiny.toml', {FAST}).folder)"
    command = [sys.executable, "-c", code]
    first = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
    assert [str(compete.run("tiny.toml", FAST).folder) for _ in range(2)] == [first, first]


def test_an_edited_plugin_and_what_it_imports_are_seen(tiny, monkeypatch):
    monkeypatch.syspath_prepend(tiny)
    plugin = tiny / "tiny_plugin.py"
    plugin.write_text(
        plugin.read_text().replace("import numpy as np", "import numpy as np\nimport tiny_helper") + SCALED
    )
    folders = []
    for value in (3, 4, 3):
        (tiny / "tiny_helper.py").write_text(f"VALUE = {value}\n")
        done = compete.run("tiny.toml", {**FAST, "metric": {"name": "constant"}})
        assert done.scores.cv.mean == value
        folders.append(done.folder.name)
    assert folders == ["run-001", "run-002", "run-001"]


SCALED = """

from compete import Metric


def constant():
    return Metric(lambda labels, predictions: float(tiny_helper.VALUE))


@hookimpl
def register_metrics():
    return {"constant": constant}
"""


def test_the_result_shows_itself(tiny):
    done = compete.run("tiny.toml", FAST)
    lines = repr(done).splitlines()
    assert lines[0] == "tiny  run-001" and len(lines) <= 10
    assert "1.0000 ± 0.0000 (macro_f1, 3 members)" in lines[1] and str(done.folder) in repr(done)
    assert done.oof.index.name == "id" and {"fold", "label", "a", "b", "c"} == set(done.oof.columns)
    assert done.oof.index.is_unique and len(done.test) == 7
    assert done.submission.columns.tolist() == ["id", "label"]
    assert os.fspath(done.report).endswith("submissions/tiny/run-001/report.html")
    assert "there is no such file" in done.report._repr_html_()


def test_hostile_names_cannot_leave_their_cell(tiny):
    done = compete.run("tiny.toml", {**FAST, "competition.title": "<script>alert(1)</script>\x1b[2J"})
    (done.folder / "report.html").write_text('<p title="x">"</iframe><script>alert(2)</script>', "utf-8")
    shown = done._repr_html_() + done.report._repr_html_()
    assert "<script" not in shown and "\x1b" not in shown + repr(done)
    assert 'sandbox=""' in shown and shown.count("<iframe") == shown.count("</iframe>") == 1


def test_where_nothing_forks_there_are_no_loader_processes(tiny, monkeypatch):
    """As on Windows: so no script needs `if __name__ == "__main__"`."""
    assert choose_workers(2, "cpu", cached=True) == 2
    monkeypatch.setattr("multiprocessing.get_all_start_methods", lambda: ["spawn"])
    assert choose_workers(2, "cpu", cached=True) == choose_workers(-1, "cuda", cached=False) == 0


def test_a_script_from_standard_input_needs_no_main_guard(tiny):
    code = f"import compete\nprint(compete.run('tiny.toml', {{**{FAST}, 'training.workers': 2}}))\n"
    done = subprocess.run([sys.executable, "-"], input=code, capture_output=True, text=True)
    assert done.returncode == 0 and "CV       1.0000" in done.stdout, done.stderr


def test_a_moved_folder_is_read_where_it_is(tiny):
    done = compete.run("tiny.toml", FAST)
    oof = done.oof
    shutil.move(done.folder, tiny / "moved")
    assert compete.load_run(tiny / "moved").oof.equals(oof)
    with pytest.raises(CompeteError, match=r"test.parquet: no such file"):
        print(done.test)
