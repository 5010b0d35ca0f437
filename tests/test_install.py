"""What `pip install` gets: the sdist makes the wheel, and the README's lines work from it in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMPETITIONS = ROOT / "competitions"
GALLERY = {path.relative_to(COMPETITIONS).as_posix() for path in COMPETITIONS.rglob("*") if path.is_file()}
TINY = [
    f"--set={value}"
    for value in ("training.epochs=1", "folds.n=2", "checks.missing_class=warn", "model.width=1", "images.size=[24,24]")
]


def build(source: Path, target: str, folder: Path) -> Path:
    """Build an sdist or a wheel from a folder, with this environment's hatchling: no network."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    return next(folder.iterdir())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is built from the sdist, as an installer without wheels does."""
    sdist = build(ROOT, "sdist", tmp_path_factory.mktemp("sdist"))
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    return build(next(unpacked.iterdir()), "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory):
    """Return a function that runs a program of a new environment, which has this one's libraries, in a folder."""
    venv = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(venv), "platbase": str(venv)}))
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(site), str(wheel)],
        check=True,
    )
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def run(folder: Path, *command: str) -> str:
        program, *arguments = command
        line = [str(venv / "bin/python"), *(["-m", "compete"] if program == "compete" else []), *arguments]
        done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_the_wheel_holds_the_gallery_and_the_templates(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    shipped = {name.removeprefix("compete/gallery/") for name in names if name.startswith("compete/gallery/")}
    assert shipped == GALLERY and "mask-recipes/vit.toml" in GALLERY
    assert "compete/catalog/templates/losses.txt" in names
    assert not [name for name in names if name.startswith(("tests/", "submissions/", "data/"))]


def test_it_is_the_wheel_that_runs(installed, tmp_path):
    place = installed(tmp_path, "python", "-c", "import compete, compete_plugins; print(compete.__file__)").strip()
    assert "site-packages" in place and not place.startswith(str(ROOT))


def test_the_readme_s_lines_work_in_an_empty_folder(installed, tmp_path):
    small = ["--set=people=12", "--set=test_people=6", "--set=size=[32,32]"]
    installed(tmp_path, "compete", "demo", "mask", "data/mask", *small)
    assert "gallery" in installed(tmp_path, "compete", "run", "mask", *TINY)
    assert (tmp_path / "submissions/mask/run-001/submission.csv").is_file()
    assert "mask" in installed(tmp_path, "compete", "runs")
    assert "macro_f1" in installed(tmp_path, "compete", "competitions")
    installed(tmp_path, "compete", "new", "mask", "my.toml")
    installed(tmp_path, "compete", "new", "--plugin", "loss")
    assert "no problem found" in installed(
        tmp_path, "compete", "validate", "my.toml", '--set=plugins=["my_loss.py"]', "--set=loss.name=my_loss"
    )
    installed(tmp_path, "compete", "init", "data/mask", "-o", "drafted.toml")
    assert "no problem found" in installed(tmp_path, "compete", "validate", "drafted.toml")
