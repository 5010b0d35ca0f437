"""The recipe that `compete init` writes, on real photographs with held-back answers, in CPU seconds.

    python bench/recipe.py masks --source DATA --weights mobilenetv2_100.safetensors --size 64 --epochs 3

Runs `compete init`, which finds the weights in weights/, and then `compete run`, in processes of their own with one
thread each; --set changes any option of the TOML. Prints one JSON line, to be compared with that of
`bench/plain_kfold.py`; --keep names a folder for the run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from real_sets import held_back_score, write_competition

ENVIRONMENT = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def compete(place: Path, *arguments: str) -> None:
    """Run the command in a folder."""
    command = [sys.executable, "-m", "compete", *arguments]
    done = subprocess.run(command, cwd=place, env={**os.environ, **ENVIRONMENT}, text=True, capture_output=True)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)


def main() -> None:
    """Prepare, run and score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", choices=("masks", "faces"))
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    for name, value in {"size": 64, "epochs": 3, "seed": 0}.items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = args.keep or Path(temporary)
        write_competition(args.data, args.source.resolve(), place)
        (place / "weights").mkdir(exist_ok=True)
        shutil.copy(args.weights, place / "weights")  # where init looks for them
        if not (place / f"{args.data}.toml").exists():
            compete(place, "init", args.data)
        own = [f"images.size=[{args.size}, {args.size}]", f"training.epochs={args.epochs}",
               f"training.seed={args.seed}", "training.workers=0"]  # fmt: skip
        sets = [text for override in [*own, *args.overrides] for text in ("--set", override)]
        before = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
        compete(place, "run", f"{args.data}.toml", *sets, "--fresh")
        seconds = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - before
        run = max((place / "submissions" / args.data).glob("run-*"), key=lambda folder: folder.stat().st_mtime)
        scores = json.loads((run / "scores.json").read_text())
        found = {
            "recipe": args.overrides, "data": args.data, "size": args.size, "epochs": args.epochs, "seed": args.seed,
            "cv": {name: round(scores["cv"][name], 4) for name in ("mean", "std", "oof", "oof_postprocessed")},
            "held_back": round(held_back_score(args.data, args.source, run / "submission.csv"), 4),
            "cpu_s": round(seconds),
        }  # fmt: skip
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
