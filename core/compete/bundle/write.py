"""Collect everything that predicts without a network in one folder: for code competitions, or to pass a model on."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, entry_points, requires
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compete.blending.past_run import blended_runs
from compete.config.code import local_modules
from compete.config.load import Config, load_run_config
from compete.config.plugins import ENTRY_POINTS
from compete.data.stored_tables import FOLDER, read_stored_tables
from compete.errors import CompeteError, UserError
from compete.scores import SCORES_FILE, read_scores
from compete.stages.run_folder import STATE
from compete.store import make_folder, write_text
from compete.text import format_list, plural
from compete.toml.read import write_toml_text

if TYPE_CHECKING:
    from types import ModuleType

RUN_FILES = (STATE, SCORES_FILE, "folds.csv", "oof.parquet", "test.parquet")
MEMBER_FILES = ("weights.safetensors", "result.json", "oof.parquet", "test.parquet", "predictions.json")
SOURCES = ("compete", "compete_plugins")
SCRIPT = "predict.py"
NOTEBOOK = "predict.ipynb"
WHEELS = "wheels.txt"
PROGRAM = '''"""Predict test images with {run}, without a network:

    python {script} IMAGES [SAMPLE.csv] [OUTPUT_FOLDER]
    python {script} --data FOLDER [OUTPUT_FOLDER]

IMAGES is a folder or archive of images, or a CSV with a column `image`; FOLDER has the competition's files as they were
at training, with any test set. It writes test.parquet and submission.csv.
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, str(HERE / "code"))

if __name__ == "__main__":
    from compete.bundle.offline import predict_competition, predict_offline
    from compete.errors import CompeteError

    first, second, third = (sys.argv[1:] + ["", "", ""])[:3]
    if not first or (first == "--data" and not second):
        sys.exit(__doc__)
    try:
        if first == "--data":
            predict_competition(HERE, {run!r}, second, third or ".")
        else:
            predict_offline(HERE, {run!r}, first, second, third or ".")
    except CompeteError as error:
        sys.exit(f"error: {{error}}")
'''
CALL = """# On Kaggle, add this bundle and the competition as inputs of the notebook. `competition` is the last part of
# its address. The bundle's folder `wheels` may hold packages that the image lacks.
run("{script}", inputs="/kaggle/input", competition="{competition}", output="/kaggle/working")
"""
README = """{run} of {competition}, to predict without a network.

  python {script} IMAGES SAMPLE.csv OUTPUT_FOLDER
  python {script} --data COMPETITION_FOLDER OUTPUT_FOLDER

writes test.parquet (predictions by id) and submission.csv, with test-time augmentation, blend and post-processing as
in the run. {notebook} does the same in a Kaggle notebook. {wheels} lists the packages that it was made with; the
notebook installs those that are missing from the folder `wheels`. Fetch them on a machine of the same platform that
has a network:

  python -m pip download --no-deps NAME==VERSION -d wheels
"""


def write_bundle(folder: Path, output: Path) -> list[str]:
    """Copy a finished run, or a blend with its runs, into a new folder with all that predicts; return what it holds.

    Raise `UserError` if the folder exists, and `CompeteError` where the run needs its competition's files to predict.
    """
    if output.exists():
        raise UserError(f"{output} exists already. Name another folder with -o, or remove it.")
    scores = read_scores(folder)
    runs = list({run.resolve(): run for run in (folder, *_blended(folder))}.values())
    names = [run.name for run in runs]
    twice = [str(run) for run in runs if names.count(run.name) > 1]
    if twice:
        raise CompeteError(f"{format_list(twice)}: one name for several runs. Give the folders different names.")
    lacking = [str(run) for run in runs if read_stored_tables(run) is None]
    if lacking:
        raise CompeteError(f"{format_list(lacking)}: its rows are not stored, so it cannot predict without its files")
    partial = output.with_name(f".{output.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    make_folder(partial / "runs")
    for run in runs:
        _copy_run(run, partial, load_run_config(run))
    _copy_sources(partial / "code")
    texts = {"run": folder.name, "competition": scores.competition, "script": SCRIPT}
    texts |= {"wheels": WHEELS, "notebook": NOTEBOOK}
    write_text(partial / SCRIPT, PROGRAM.format(**texts))
    write_text(partial / NOTEBOOK, json.dumps(_notebook([kernel_source(), CALL.format(**texts)]), indent=1) + "\n")
    write_text(partial / WHEELS, "\n".join(wheels()) + "\n")
    write_text(partial / "README.txt", README.format(**texts))
    partial.rename(output)
    size = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
    held = f"{output}: {plural(len(runs), 'run')}, {size / 1e6:,.1f} MB"
    return [held, f"try it: python {output / SCRIPT} IMAGES SAMPLE.csv OUTPUT_FOLDER"]


def kernel_source() -> str:
    """Return the Python text that defines `run(model, inputs, competition, output)`."""
    return Path(__file__).with_name("kernel.py").read_text(encoding="utf-8")


def _blended(folder: Path) -> Iterator[Path]:
    """Yield the runs that a blend needs, and those that these need."""
    facts = read_scores(folder).blend
    if facts is None:
        return
    for run in blended_runs(folder, load_run_config(folder), facts):
        yield run
        yield from _blended(run)


def _copy_run(run: Path, bundle: Path, config: Config) -> None:
    """Copy what predicts, and rewrite the TOML to the copies of the files that it names."""
    target = bundle / "runs" / run.name
    for name in (*RUN_FILES, *(f"{FOLDER}/{file.name}" for file in (run / FOLDER).iterdir())):
        _copy(run / name, target / name)
    for member in sorted((run / "members").glob("*")) if (run / "members").is_dir() else ():
        for name in MEMBER_FILES:
            _copy(member / name, target / "members" / member.name / name)
    moved = {str(file): f"files/{run.name}/{_numbered(file, n)}" for n, file in enumerate(_named_files(config))}
    for file, copy in moved.items():
        _copy(Path(file), bundle / copy)
    data = _replaced(config.resolved(), moved)
    plugins = [_copy_plugin(file, bundle, f"plugins/{run.name}") for file in config.plugin_files]
    write_text(target / "config.toml", write_toml_text({**data, "plugins": plugins}))


def _named_files(config: Config) -> Iterator[Path]:
    yield from dict.fromkeys(file for bounds in config.components.values() for bound in bounds for file in bound.files)


def _numbered(file: Path, number: int) -> str:
    return f"{number}-{file.name}"


def _replaced(value: Any, moved: dict[str, str]) -> Any:  # noqa: ANN401 - TOML data is anything
    if isinstance(value, dict):
        return {key: _replaced(item, moved) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(item, moved) for item in value]
    return moved.get(value, value) if isinstance(value, str) else value


def _copy_plugin(file: Path, bundle: Path, folder: str) -> str:
    """Copy a plugin file and the local modules that it imports, which it finds beside itself; return its new path.

    Each run has a folder of its own: files of two runs may have one name.
    """
    _copy(file, bundle / folder / file.name)
    for module in _modules_of(file):
        source = Path(str(module.__file__))
        parts = module.__name__.split(".")
        name = Path(*parts, "__init__.py") if source.name == "__init__.py" else Path(*parts[:-1], source.name)
        _copy(source, bundle / folder / name)
    return f"{folder}/{file.name}"


def _modules_of(file: Path) -> list[ModuleType]:
    """Return the local modules of a plugin file that is loaded."""
    own = [m for m in list(sys.modules.values()) if getattr(m, "__file__", None) == str(file) or _is(m, file)]
    reached = [module for module in own for module in local_modules(module).values()]
    return [module for module in reached if not _is(module, file)]


def _is(module: ModuleType, file: Path) -> bool:
    place = getattr(module, "__file__", None)
    return isinstance(place, str) and Path(place).resolve() == file.resolve()


def _copy_sources(folder: Path) -> None:
    """Copy compete itself: a machine without a network need not install it."""
    for name in SOURCES:
        place = Path(str(sys.modules[name].__file__)).parent
        shutil.copytree(place, folder / name, ignore=shutil.ignore_patterns("__pycache__", "gallery"))


def _copy(source: Path, target: Path) -> None:
    if source.is_file():
        make_folder(target.parent)
        shutil.copyfile(source, target)


def wheels() -> list[str]:
    """Return the installed packages that compete and plugins need, and the plugins', as `name==version`."""
    from packaging.requirements import Requirement

    found: dict[str, str] = {}  # compete itself is in the bundle
    waiting = list(requires("compete") or [])
    waiting += [entry.dist.name for entry in entry_points(group=ENTRY_POINTS) if entry.dist]
    while waiting:
        wanted = Requirement(waiting.pop())
        if wanted.name.lower() in (*found, "compete") or (
            wanted.marker is not None and not wanted.marker.evaluate({"extra": ""})
        ):
            continue
        try:
            package = distribution(wanted.name)
        except PackageNotFoundError:
            continue
        found[wanted.name.lower()] = package.version.partition("+")[0]
        waiting += package.requires or []
    return [f"{name}=={version}" for name, version in sorted(found.items())]


def _notebook(cells: list[str]) -> dict[str, Any]:
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    code: list[dict[str, Any]] = [
        {"cell_type": "code", "id": f"cell{n}", "metadata": {}, "execution_count": None, "outputs": [], "source": cell}
        for n, cell in enumerate(cells)
    ]
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": code}
