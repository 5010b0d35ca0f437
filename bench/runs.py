"""Seconds of `compete runs` against the number of run folders.

    python bench/runs.py --runs 100 500

Each run has a scores.json of about 100 KB, a config.toml, and one submission. The command runs in a process of its own,
once to warm the disk's cache and then five times; the median counts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from compete.leaderboard.records import Record, find_candidate, new_id, save_record, time_text
from compete.scores import SCORES_FILE, write_scores
from scores_fixtures import epochs, make_scores

TOML = Path(__file__).parents[1] / "competitions/mask.toml"
MEMBERS, EPOCHS = 10, 50


def make_run(number: int) -> Path:
    """Write a run's folder below the working directory, with its submission."""
    folder = Path(f"submissions/mask/run-{number:03d}")
    folder.mkdir(parents=True)
    member = {"score": 0.6, "best_epoch": 1, "seconds": 100.0, "epochs": epochs(*[0.6] * EPOCHS)}
    scores = make_scores(
        run=folder.name, competition="mask", members={f"fold{n}-seed0": member for n in range(MEMBERS)}
    )
    write_scores(folder, scores)
    (folder / "run.json").write_text(json.dumps({"format": 2, "config": "c0ffee", "created": time.time() + number}))
    (folder / "environment.json").write_text(json.dumps({"git": {"commit": "abc123", "changed_files": 0}}))
    (folder / "config.toml").write_text(f'{TOML.read_text()}\n[upload]\nname = "kaggle"\ncompetition = "mask"\n')
    (folder / "submission.csv").write_text("id,label\n1,0\n")
    candidate = find_candidate(str(folder))
    record = Record(
        id=new_id(), competition="mask", run=folder.name, platform="Kaggle", target="mask", file=str(candidate.file),
        file_hash="ab12", message="", phase="scored", begun_at=time_text(), public=0.5 + number / 10_000,
    )  # fmt: skip
    save_record(candidate, record)
    return folder


def seconds_of(*command: str) -> float:
    """Run a command; return the seconds it took."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    """Print the seconds for each number of runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, nargs="+", default=[500])
    os.environ["PYTHONPATH"] = os.pathsep.join(str(Path(path).resolve()) for path in sys.path if path)
    for count in parser.parse_args().runs:
        with tempfile.TemporaryDirectory() as place:
            os.chdir(place)
            folders = [make_run(number) for number in range(count)]
            size = (folders[0] / SCORES_FILE).stat().st_size
            _, *timed = [seconds_of(sys.executable, "-m", "compete", "runs") for _ in range(6)]
            print(f"{count} runs, {SCORES_FILE} of {size:,} bytes: {median(timed):.2f} s (median of {len(timed)})")
            os.chdir("/")


if __name__ == "__main__":
    main()
