"""Several processes on one disk train a run's members, and one blends them."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from compete.blending.entry import run_entry
from compete.blending.part_entry import run_part
from compete.config.load import load_config
from compete.errors import ConfigError
from compete.session import RunOptions
from compete.stages import members
from compete.stages.runner import run_competition

SAME = ("submission.csv", "oof.parquet", "test.parquet", "members/fold1-seed42/weights.safetensors")
VARIANTS = 'variants=[{name="a", optimizer={lr=0.05}}, {name="b", optimizer={lr=0.02}}]'


def part(tiny: Path, only: list[str], *overrides: str, **options: object) -> list[str]:
    given = {"name": None, "fresh": False, "hours": None, **options}
    return run_part([load_config(tiny / "tiny.toml", overrides)], only, options=RunOptions(doctor=False), **given)


def compete(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "compete", *arguments], capture_output=True, text=True)


def test_processes_that_start_at_one_moment_share_a_run_that_one_blends(tiny):
    local = run_competition(load_config(tiny / "tiny.toml"), name="local", options=RunOptions(doctor=False)).folder
    (local / "run.json").rename(local / "kept.json")  # so that it is neither found nor reused
    (local / "members").rename(local / "kept")
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda fold: compete("run", "tiny.toml", "--no-doctor", "--only", f"fold={fold}"), "01"))
    assert [each.returncode for each in done] == [0, 0], [each.stderr for each in done]
    folder = tiny / "submissions/tiny/run-001"
    assert {path.name for path in (folder / "members").iterdir()} == {"fold0-seed42", "fold1-seed42"}
    assert (folder / "members/fold0-seed42/test.parquet").exists() and not (folder / "submission.csv").exists()
    assert any("left: fold2-seed42" in each.stdout for each in done) and "compete run" in done[0].stdout
    assert len(list(folder.glob("log-*.jsonl"))) == 2
    trained = (folder / "members/fold0-seed42/weights.safetensors").stat().st_mtime_ns
    whole = run_competition(load_config(tiny / "tiny.toml"), options=RunOptions(doctor=False)).folder
    assert whole.resolve() == folder
    assert (folder / "members/fold0-seed42/weights.safetensors").stat().st_mtime_ns == trained
    (local / "kept").rename(local / "members")
    assert all((folder / name).read_bytes() == (local / name).read_bytes() for name in SAME)
    assert json.loads((folder / "run.json").read_text())["finished"]


def test_the_last_part_says_what_to_type_to_blend(tiny):
    assert part(tiny, ["fold=0"], "training.epochs=1")[0].startswith("1 of 3 members finished in ")
    lines = part(tiny, ["fold=0,1,2"], "training.epochs=1")
    assert lines[0].startswith("all 3 members finished in ")
    command = f"compete run {tiny / 'tiny.toml'} --set training.epochs=1"
    assert lines[1] == f"to blend them: {command}"
    done = compete(*command.split()[1:])
    assert done.returncode == 0 and "member fold0-seed42 starts" not in done.stdout


def test_a_run_waits_for_a_member_that_another_process_trains(tiny, monkeypatch):
    part(tiny, ["fold=0"], "training.epochs=1")
    hold = (
        "from pathlib import Path; import sys, time; from compete.jobs.lease import member_lease\n"
        "with member_lease(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    member, said = tiny / "submissions/tiny/run-001/members/fold1-seed42", []
    with subprocess.Popen([sys.executable, "-c", hold, member], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"

        def hear(text: str, err: bool) -> None:
            said.append(text)
            holder.kill()
            holder.wait()

        monkeypatch.setattr(members, "echo", hear)
        run_competition(load_config(tiny / "tiny.toml", ["training.epochs=1"]), options=RunOptions(doctor=False))
    assert len(said) == 1 and said[0].startswith(f"fold1-seed42 is trained by process {holder.pid} on ")


def test_variants_are_trained_in_the_folders_of_the_whole_run(tiny):
    overrides = ("training.epochs=1", VARIANTS)
    lines = part(tiny, ["variant=b", "fold=0,1,2"], *overrides)
    assert lines[0].startswith("variant b: all 3 members finished in ") and lines[-1].startswith("to blend them: ")
    part(tiny, ["variant=a", "fold=1"], *overrides)
    done = run_entry(load_config(tiny / "tiny.toml", overrides), options=RunOptions(doctor=False))
    assert done.folder.name == "run-001"
    assert sorted(p.name for p in done.folder.parent.glob("run-*")) == ["run-001", "run-001-a", "run-001-b"]
    epochs = [json.loads(line) for line in (done.folder.parent / "run-001-b/log.jsonl").read_text().splitlines()]
    assert not [each for each in epochs if each["event"] == "epoch"]  # the parts trained them all


@pytest.mark.parametrize(
    ("options", "problem"),
    [({"fresh": True}, "--only and --fresh"), ({"hours": 1.0}, "--only and --hours")],
)
def test_what_does_not_go_with_it_is_refused(tiny, options, problem):
    with pytest.raises(ConfigError, match=problem):
        part(tiny, ["fold=0"], **options)
    assert not (tiny / "submissions").exists()


def test_a_fold_that_there_is_not_stops_before_images_are_read(tiny):
    with pytest.raises(ConfigError, match=r"--only fold=5: no member has it\. There are: 0, 1, 2"):
        part(tiny, ["fold=5"])
    assert not list(tiny.glob(".compete/cache/*.npy"))


def test_devices_that_the_whole_run_refuses_are_refused(tiny):
    with pytest.raises(ConfigError, match=r"\[training\] devices = 9: batch_size = 5 gives some of them no image"):
        part(tiny, ["fold=0"], "training.devices=9")
    assert not (tiny / "submissions").exists()
