"""An entry to a code competition runs on a machine with Kaggle's folders, without a network, on another test set."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest

import compete
from compete.bundle import kernel
from compete.bundle.entry import write_entry
from compete.bundle.write import wheels, write_bundle
from compete.errors import UserError
from conftest import load_module

TINY = Path(__file__).parents[2] / "tiny_plugin.py"


def predict_there(machine: Path, model: str, competition: str = "digits") -> subprocess.CompletedProcess[str]:
    """Run the program's text as a notebook's cell does, with nothing of compete on the path, and no proxy to ask."""
    program = (machine / "program.py").read_text()
    call = f"run({model!r}, inputs={str(machine / 'input')!r}, competition={competition!r}, output={str(machine)!r})"
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(machine), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, "-c", f"{program}\n{call}"],
        cwd=machine, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def mount(machine: Path, folder: str, data: str, hidden: bool = False) -> None:
    """Lay out a machine: the bundle's dataset and the competition's files, with the hidden test set in their place."""
    (machine / "input" / folder).mkdir(parents=True)
    (machine / "input" / data).parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree("data", machine / "input" / data)
    if hidden:
        load_module(TINY).draw_tiny(machine / "input" / data, test=11)


@pytest.fixture
def done(tiny):
    return compete.run(tiny / "tiny.toml", ["training.epochs=1", 'postprocess=[{name="prior"}]'])


def test_the_machine_predicts_the_test_set_that_it_has(done, tiny):
    model = write_entry(done.folder, None)
    again = write_entry(done.folder, None)
    assert again == model and [p.name for p in sorted(model.parent.iterdir())] == ["program.py", model.name]
    for number, (folder, data, hidden) in enumerate(
        [("digits-run-001", "digits", False), ("datasets/ann/digits-run-001", "competitions/digits", True)]
    ):
        machine = tiny / f"machine{number}"
        mount(machine, folder, data, hidden)
        shutil.copy(model, machine / "input" / folder)
        shutil.copy(model.parent / "program.py", machine)
        found = predict_there(machine, model.name)
        assert found.returncode == 0, found.stdout + found.stderr
        written = pd.read_csv(machine / "submission.csv")
        if hidden:
            assert written["id"].tolist() == [f"t{n}" for n in range(11)] and written["label"].notna().all()
            assert "submission.csv: 11 rows" in found.stdout
        else:
            assert (machine / "submission.csv").read_bytes() == (done.folder / "submission.csv").read_bytes()


def test_the_notebook_of_a_bundle_copies_a_folder_that_cannot_be_written(done, tiny):
    bundle = tiny / "machine/input/mine/bundle"
    mount(tiny / "machine", "mine", "tiny")
    write_bundle(done.folder, bundle)
    before = sorted(str(path) for path in bundle.rglob("*"))
    definition, call = (cell["source"] for cell in json.loads((bundle / "predict.ipynb").read_text())["cells"])
    assert call.endswith('run("predict.py", inputs="/kaggle/input", competition="tiny", output="/kaggle/working")\n')
    (tiny / "machine/program.py").write_text(definition + "\nos.access = lambda *_: False\n")
    found = predict_there(tiny / "machine", "predict.py", "tiny")
    assert found.returncode == 0, found.stdout + found.stderr
    assert before == sorted(str(path) for path in bundle.rglob("*"))


def test_what_the_machine_lacks_is_said(done, tiny):
    model = write_entry(done.folder, None)
    mount(tiny / "machine", "mine", "digits")
    shutil.copy(model.parent / "program.py", tiny / "machine")
    found = predict_there(tiny / "machine", model.name)
    assert found.returncode == 1
    assert (
        f"has no file {model.name}: add the bundle's dataset as an input. There: digits, digits/sample.csv"
        in found.stderr
    )
    shutil.copy(model, tiny / "machine/input/mine")
    found = predict_there(tiny / "machine", model.name, "digit-sounds")
    assert "has no folder digit-sounds with the competition's data" in found.stderr
    (tiny / "machine/input/digits/train.csv").unlink()
    found = predict_there(tiny / "machine", model.name)
    assert found.returncode == 1 and "predict.py ended with status 1" in found.stderr
    assert "train.csv" in found.stdout


def test_only_what_is_missing_is_installed_and_from_the_bundle(tmp_path, monkeypatch, capsys):
    bundle, called = tmp_path / "bundle", []
    (bundle / "wheels").mkdir(parents=True)
    (bundle / "wheels/No_Such.Package-1.2-py3-none-any.whl").touch()
    (bundle / "wheels/of_a_plugin-5.6-py3-none-any.whl").touch()
    (bundle / "wheels.txt").write_text("pandas==0.1\nno-such-package==1.2\nnor-this-one==3.4\npluggy==0.2\n")
    monkeypatch.setattr(
        subprocess, "run", lambda command, **_: called.append(command) or subprocess.CompletedProcess([], 0)
    )
    kernel.install_missing(bundle)
    (command,) = called
    assert command[1:3] == ["-m", "pip"] and "--no-index" in command
    assert command[-2:] == ["no-such-package==1.2", "of-a-plugin"]
    printed = capsys.readouterr().out
    assert "other versions than at training (in brackets): pandas" in printed and "(0.1), pluggy" in printed
    assert "without a wheel in the bundle: nor-this-one==3.4. If it is needed: python -m pip download" in printed
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1))
    with pytest.raises(RuntimeError, match=r"pip could not install no-such-package==1\.2, of-a-plugin"):
        kernel.install_missing(bundle)


def test_wheels_are_taken_along_if_the_run_was_made_with_them(done, tiny):
    (tiny / "wheels").mkdir()
    with pytest.raises(UserError, match=r"--wheels wheels: holds no .whl file. Fetch some: python -m pip download"):
        write_entry(done.folder, Path("wheels"))
    pluggy = next(line for line in wheels() if line.startswith("pluggy==")).partition("==")[2]
    ours = [f"pluggy-{pluggy}", f"pytest-{pytest.__version__}"]  # plugins import what compete does not need
    for name in (*ours, "pluggy-0.1", "toy-1.0"):
        (tiny / f"wheels/{name}-py3-none-any.whl").touch()
    with pytest.raises(UserError) as caught:
        write_entry(done.folder, Path("wheels"))
    assert caught.value.problems == [
        f"--wheels: pluggy-0.1-py3-none-any.whl: installed here is pluggy=={pluggy}",
        "--wheels: toy-1.0-py3-none-any.whl: this package is not installed here, so the run does not need it",
    ]
    assert not (done.folder / "code").exists()
    for name in ("pluggy-0.1", "toy-1.0"):
        (tiny / f"wheels/{name}-py3-none-any.whl").unlink()
    (done.folder / "code/.killed").mkdir(parents=True)
    path = write_entry(done.folder, Path("wheels"))
    assert sorted(path.parent.iterdir()) == [path.with_name("program.py"), path]
    with zipfile.ZipFile(path) as model:
        assert {f"wheels/{name}-py3-none-any.whl" for name in ours} < set(model.namelist())
