"""A bundle predicts in another folder, in another process, without a network: the same bytes as the run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import compete
from compete.bundle.write import wheels, write_bundle
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


def test_the_packages_of_plugins_are_listed_with_what_they_need(tmp_path, monkeypatch):
    info = tmp_path / "toy_plugins-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: toy-plugins\nVersion: 1.2\nRequires-Dist: compete\nRequires-Dist: pytest\n"
    )
    (info / "entry_points.txt").write_text("[compete]\ntoy = toy_losses\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = wheels()
    assert {"toy-plugins==1.2", f"pytest=={version('pytest')}"} <= set(found)
    assert not [line for line in found if line.startswith("compete==")]


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


def test_files_of_two_runs_with_one_name_are_both_kept(tiny):
    runs, source = [], (tiny / "tiny_plugin.py").read_text()
    for name, code in (
        ("one", source),
        ("two", source.replace("Linear(4, outputs)", "Linear(4, outputs, bias=False)")),
    ):
        (tiny / name).mkdir()
        (tiny / name / "tiny_plugin.py").write_text(code)
        toml = (tiny / "tiny.toml").read_text().replace('["tiny_plugin.py"]', f'["{name}/tiny_plugin.py"]')
        (tiny / name / "tiny.toml").write_text(toml)
        runs.append(compete.run(tiny / name / "tiny.toml", ["training.epochs=1"]))
    write_bundle(compete.blend(runs, "mean").folder, tiny / "bundle")
    kept = {path.parent.name: path.read_text() for path in (tiny / "bundle/plugins").rglob("tiny_plugin.py")}
    assert kept["run-001"] == source != kept["run-002"]
    for name in ("run-001", "run-002"):
        assert f"plugins/{name}/tiny_plugin.py" in (tiny / f"bundle/runs/{name}/config.toml").read_text()


def test_runs_of_one_name_are_not_put_into_one_folder(tiny):
    settings = ["training.epochs=1"]
    first, second = (
        compete.run(tiny / "tiny.toml", [*settings, f"training.seed={n}", "training.fold_seed=1"]) for n in (1, 2)
    )
    inner = compete.blend([first, second], "mean")
    shutil.move(inner.folder, tiny / "away" / "run-001")
    outer = compete.blend([compete.load_run(tiny / "away/run-001"), second], "mean")
    with pytest.raises(CompeteError, match="one name for several runs"):
        write_bundle(outer.folder, tiny / "bundle")
