"""A bundle predicts in another folder, in another process, without a network: the same bytes as the run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import compete
from compete.api.bundle import write_bundle
from compete.errors import CompeteError, UserError

NO_NETWORK = ["unshare", "--net", "--map-root-user"]


def alone(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a network namespace without interfaces, and with nothing of compete on its path."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(cwd), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*NO_NETWORK, *command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def offline() -> None:
    tried = subprocess.run([*NO_NETWORK, "true"], capture_output=True, check=False) if shutil.which("unshare") else None
    if tried is None or tried.returncode:
        pytest.skip("no network namespace can be made here")


def bundled(tiny: Path, source: Path, *settings: str) -> tuple[compete.Result, Path]:
    done = compete.run(source, ["training.epochs=1", 'tta=[{name="flips"}]', 'postprocess=[{name="prior"}]', *settings])
    lines = write_bundle(done.folder, tiny / "bundle")
    assert lines[0].startswith(f"{tiny / 'bundle'}: ")
    moved = tiny / "elsewhere/bundle"
    moved.parent.mkdir()
    shutil.move(tiny / "bundle", moved)
    shutil.copytree("data/test", tiny / "elsewhere/images")
    shutil.copy("data/sample.csv", tiny / "elsewhere/sample.csv")
    expected = {name: (done.folder / name).read_bytes() for name in ("test.parquet", "submission.csv")}
    shutil.rmtree("data")
    shutil.move("submissions", tiny / "away")
    (tiny / "tiny_plugin.py").unlink()
    found = alone(sys.executable, "bundle/predict.py", "images", "sample.csv", "out", cwd=moved.parent)
    assert found.returncode == 0, found.stderr
    for name, content in expected.items():
        assert (moved.parent / "out" / name).read_bytes() == content, name
    return done, moved


def test_a_bundle_gives_the_same_bytes_without_a_network(offline, tiny):
    _, bundle = bundled(tiny, tiny / "tiny.toml", "training.refit=true")
    notebook = json.loads((bundle / "predict.ipynb").read_text())
    assert any("predict.py" in cell["source"] for cell in notebook["cells"])
    wheels = dict(line.split("==") for line in (bundle / "wheels.txt").read_text().split())
    assert {"torch", "timm", "pandas", "pluggy", "scipy"} <= set(wheels) and "pytest" not in wheels
    assert not list(bundle.rglob("__pycache__")) or all("bundle/code" in str(p) for p in bundle.rglob("__pycache__"))


def test_a_blend_takes_its_runs_along(offline, tiny):
    source = tiny / "several.toml"
    variants = '[[variants]]\nname = "a"\n[[variants]]\nname = "b"\nimages.size = [12, 12]\n'
    source.write_text((tiny / "tiny.toml").read_text() + variants)
    _, bundle = bundled(tiny, source, "ensemble.name=stacking")
    assert sorted(path.name for path in (bundle / "runs").iterdir()) == ["run-001", "run-001-a", "run-001-b"]


def test_nothing_is_overwritten_and_what_cannot_be_bundled_is_said(tiny):
    done = compete.run(tiny / "tiny.toml", ["training.epochs=1"])
    (tiny / "mine").mkdir()
    with pytest.raises(UserError, match="mine exists already"):
        write_bundle(done.folder, tiny / "mine")
    files = [str(done.folder / name) for name in ("oof.parquet", "test.parquet")]
    mixed = compete.blend([done], "mean", files={"team": files})
    with pytest.raises(CompeteError, match="team are files of predictions: no network"):
        write_bundle(mixed.folder, tiny / "new")
    shutil.rmtree(done.folder / "tables")
    with pytest.raises(CompeteError, match="its rows are not stored"):
        write_bundle(done.folder, tiny / "new")
    assert not (tiny / "new").exists() and not list(tiny.glob(".new*"))
