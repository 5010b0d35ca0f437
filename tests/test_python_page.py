"""docs/python.md, every block in order, in one Jupyter kernel."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient

PAGE = Path(__file__).parents[1] / "docs/python.md"
# What makes the page's runs tiny; what they say about [model] is checked, and then left out.
SETUP = """
import sys, types
import compete

SMALL = {"model": {"name": "resnet9", "width": 2}, "training.device": "cpu", "training.epochs": 1, "folds.n": 2}
whole = compete.run


def run(source, overrides=None, **options):
    if isinstance(source, dict):
        source = {name: table for name, table in source.items() if name != "model"}
    kept = {key: value for key, value in (overrides or {}).items() if not key.startswith("model.")}
    done = whole(source, {**kept, **SMALL}, **options)
    if kept != (overrides or {}):
        compete.validate("flowers.toml", overrides)
    return done


compete.run = run
drive = types.SimpleNamespace(mount=lambda place: None)
sys.modules["google.colab"] = types.SimpleNamespace(drive=drive)
"""


def draw(folder: Path) -> None:
    from PIL import Image

    for label, value in (("cat", 60), ("dog", 180)):
        for number in range(8):
            for part in (f"train/{label}", "test"):
                path = folder / part / f"{label[0]}{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.full((24, 24, 3), value + number, np.uint8)).save(path)
    names = sorted(path.name for path in (folder / "test").iterdir())
    pd.DataFrame({"id": names, "label": "cat"}).to_csv(folder / "sample_submission.csv", index=False)


def execute(folder: Path, sources: list[str], **options: object) -> list[nbformat.NotebookNode]:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}, **options).execute()
    return notebook.cells


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with the places of Kaggle and Colab below it."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    folders = [
        tmp_path / part for part in ("data/flowers", "kaggle/input/flowers", "content/drive/MyDrive/flowers/data")
    ]
    for folder in folders:
        draw(folder)
    (tmp_path / "kaggle/input/weights").mkdir()
    (tmp_path / "kaggle/input/weights/model.safetensors").write_bytes(b"read by no block")
    (tmp_path / "kaggle/working").mkdir()
    return tmp_path


def text_of(cell: nbformat.NotebookNode) -> str:
    return "\n".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs)


def _first(before: dict[str, str], source: str) -> str:
    return next((line for start, line in before.items() if source.startswith(start)), "")


def test_every_block_in_order(place):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    sources = [re.sub(r"/(kaggle|content)/", rf"{place}/\1/", block) for block in blocks]
    before = {  # where a platform starts; a later session of Kaggle has the first one's output as its input
        "offline = {": f"%cd {place}/kaggle/working",
        "import shutil\n\nshutil.copytree": f"!cp -r {place}/kaggle/working {place}/kaggle/input/last-version",
        "from google.colab": f"%cd {place}/content",
    }
    cells = execute(place, [SETUP, *(f"{_first(before, source)}\n{source}" for source in sources)])
    shown = {source: text_of(cell) for source, cell in zip(sources, cells[1:], strict=True)}
    first, *_ = shown.values()
    assert "flowers.toml: written" in first and "[dataset]" in first and "CV" in first
    mistake = next(text for source, text in shown.items() if "cross_entropi" in source)
    assert "Did you mean 'epochs'?" in mistake and "Did you mean 'cross_entropy'?" in mistake
    report = next(cell for cell in cells if cell.source.strip() == "run.report")
    assert "<iframe" in report.outputs[0].data["text/html"]
    assert (place / "submission.csv").read_bytes() == (place / "kaggle/working/submission.csv").read_bytes()
    assert (place / "content/drive/MyDrive/flowers/submissions/flowers/run-001/scores.json").exists()


def test_a_long_run_leaves_few_outputs_and_a_mistake_no_traceback(place):
    many = {"training.epochs": 60, "training.workers": 0}
    cells = execute(
        place,
        [SETUP, f"whole('data/flowers', {{**SMALL, **{many}}})", "whole('flowers.toml', ['model.nam=x'])"],
        allow_errors=True,
    )
    outputs = [output for output in cells[1].outputs if output.get("name") != "stderr"]  # libraries warn of their own
    displays = [output for output in outputs if output.output_type == "display_data"]
    assert len(displays) == 2 + 2 and len(outputs) <= 6  # the stages, two members, the results; the TOML; the value
    assert displays[1].data["text/plain"].count("\n") < 70 and "60/60" in displays[1].data["text/plain"]
    assert "ETA" not in str(displays) and "img/s" not in str(displays)
    (error,) = cells[2].outputs
    assert len(error.traceback) == 1 and "unknown option" in error.traceback[0]
    shutil.rmtree(place / "submissions")
