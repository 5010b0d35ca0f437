"""The cell of a notebook that predicts a code competition's test set with a bundle. Its text is what runs there.

It needs the standard library only: compete is in the bundle, and this file is not imported from there.
"""

# ruff: noqa: T201 - a notebook shows what is printed

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

DEEPEST = 4  # folders below the inputs: a platform may mount `<name>` or `datasets/<owner>/<name>`


def run(model: str, inputs: str, competition: str, output: str) -> None:
    """Predict the competition's test set; write `submission.csv`. Raise `RuntimeError` where that fails.

    `model` is a bundle as one file, or the script of one that is a folder; both are searched below `inputs`.
    """
    data = find_data(Path(inputs), competition)
    found = find_file(Path(inputs), model, competition)
    bundle = writable(found.parent) if found.suffix == ".py" else unpack(found)
    print(f"bundle {found}, data {data}", flush=True)
    install_missing(bundle)
    command = [sys.executable, "-u", str(bundle / "predict.py"), "--data", str(data), output]
    # A notebook shows what this process prints, not what a child writes to its terminal.
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        for line in child.stdout or ():
            print(line, end="", flush=True)
    if child.returncode:
        raise RuntimeError(f"predict.py ended with status {child.returncode}; its messages are above")
    if not (Path(output) / "submission.csv").is_file():
        raise RuntimeError(f"predict.py wrote no submission.csv to {output}")


def find_data(inputs: Path, competition: str) -> Path:
    """Return the folder of the competition's files, wherever it is mounted."""
    for folder in (inputs / competition, inputs / "competitions" / competition):
        if folder.is_dir():
            return folder
    raise RuntimeError(f"{inputs} has no folder {competition} with the competition's data: {listed(inputs)}")


def find_file(inputs: Path, name: str, skip: str) -> Path:
    """Return the file of this name; the competition's own folder, with all its images, is not searched."""
    for folder, folders, files in os.walk(inputs):
        if name in files:
            return Path(folder) / name
        deep = len(Path(folder).relative_to(inputs).parts) >= DEEPEST
        folders[:] = [] if deep else sorted(set(folders) - {skip})
    raise RuntimeError(f"{inputs} has no file {name}: add the bundle's dataset as an input. There: {listed(inputs)}")


def listed(inputs: Path) -> str:
    """Name what is mounted."""
    folders = [str(path.relative_to(inputs)) for path in sorted([*inputs.glob("*"), *inputs.glob("*/*")])]
    return ", ".join(folders[:20]) or "nothing"


def writable(bundle: Path) -> Path:
    """Return the folder, or a copy where it is mounted for reading only: compete writes its cache there."""
    return bundle if os.access(bundle, os.W_OK) else Path(shutil.copytree(bundle, Path(tempfile.mkdtemp()) / "bundle"))


def unpack(archive: Path) -> Path:
    """Unpack a bundle that is one file; return its folder."""
    folder = Path(tempfile.mkdtemp(prefix="bundle-"))
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
    return folder


def install_missing(bundle: Path) -> None:
    """Install what this machine lacks from the bundle's wheels, and nothing else: its own torch fits its GPU."""
    lines = (line.split("==") for line in (bundle / "wheels.txt").read_text().split())
    wanted = {plain(name): version for name, version in lines}
    wheels = {plain(path.name.split("-")[0]) for path in (bundle / "wheels").glob("*.whl")}
    here = {name: installed(name) for name in sorted({*wanted, *wheels})}  # what a plugin imports is in no list
    missing = [name for name, found in here.items() if found is None]
    packed = [f"{name}=={wanted[name]}" if name in wanted else name for name in missing if name in wheels]
    others = [f"{name}=={wanted[name]}" for name in missing if name not in wheels]
    differing = [
        f"{name} {found} ({wanted[name]})"
        for name, found in here.items()
        if found is not None and found != wanted.get(name, found)
    ]
    if differing:
        print(f"other versions than at training (in brackets): {', '.join(differing)}", flush=True)
    if others:
        fetch = f"python -m pip download --no-deps -d wheels {' '.join(others)}"
        print(f"not installed here, and without a wheel in the bundle: {', '.join(others)}. If it is needed: {fetch}")
    if packed:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
        if subprocess.run([*pip, "--find-links", str(bundle / "wheels"), *packed], check=False).returncode:
            raise RuntimeError(
                f"pip could not install {', '.join(packed)} from the bundle's wheels; its messages are above"
            )


def installed(name: str) -> str | None:
    """Return the version of a package that is installed, without a build's mark such as `+cu121`."""
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return None


def plain(name: str) -> str:
    """Return a package's name as it is compared."""
    return re.sub(r"[-_.]+", "-", name).lower()
