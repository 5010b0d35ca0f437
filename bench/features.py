"""CPU seconds and scores of heads on a frozen backbone: stepped, probe and knn, with stored features and without.

    python bench/features.py competitions/face-masks.toml --answers DIR/test_answers.csv \
        --set competition.root=DIR --set model.pretrained=false --set model.weights=mobilenetv2_100.safetensors

Each way runs in a process of its own, with the images decoded but for the first. `slow` is the same TOML with the seam
of stored features switched off; its ratio to `stepped` is what they are worth. Those called `again` read the features
of the way before. The answers are a CSV whose first column is the id and whose `--label` column is the label.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FROZEN = ["finetune.freeze=backbone", "finetune.backbone_lr_ratio=1", "transforms=[]", "batch_transforms=[]", "tta=[]"]
WAYS = {
    "stepped": [],
    "slow": [],
    "probe": ["head.name=probe"],
    "again": [],
    "again probe": ["head.name=probe", "sampler.name=class_balanced"],
    "again knn": ["head.name=knn"],
}


def run(toml: Path, way: str, overrides: list[str]) -> None:
    """Run the competition in the working directory, and print its CV score and CPU seconds as JSON."""
    import compete.session
    from compete.config.load import load_config
    from compete.features.plan import FeaturePlan
    from compete.session import RunOptions
    from compete.stages.runner import run_competition

    if way == "slow":
        compete.session.plan_features = lambda *_: FeaturePlan()
    config = load_config(toml, overrides)
    before = sum(os.times()[:4])
    done = run_competition(config, fresh=True, options=RunOptions(doctor=False))
    seconds = sum(os.times()[:4]) - before
    scores = json.loads((done.folder / "scores.json").read_text())
    print(json.dumps({"cpu_s": round(seconds, 1), "cv": scores["cv"], "folder": str(done.folder)}))


def held_back(folder: Path, answers: Path, label: str) -> tuple[float, float]:
    """Return accuracy and macro F1 of a run's submission."""
    import pandas as pd
    from sklearn.metrics import accuracy_score, f1_score

    ours = pd.read_csv(folder / "submission.csv", dtype=str)
    theirs = pd.read_csv(answers, dtype=str).set_index(pd.read_csv(answers, dtype=str, nrows=0).columns[0])
    truth = theirs.loc[ours.iloc[:, 0], label]
    return accuracy_score(truth, ours.iloc[:, 1]), f1_score(truth, ours.iloc[:, 1], average="macro")


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("toml", type=Path)
    parser.add_argument("--answers", type=Path, required=True)
    parser.add_argument("--label", default="label")
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--way", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        run(options.toml, options.way, [*FROZEN, *options.overrides, *WAYS[options.way]])
        return
    with tempfile.TemporaryDirectory() as folder:
        for way in options.ways:
            if not way.startswith("again"):
                shutil.rmtree(Path(folder) / ".compete/cache/features", ignore_errors=True)
            command = [sys.executable, str(Path(__file__).resolve()), *sys.argv[1:], "--way", way]
            command[2] = str(options.toml.resolve())
            output = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
            result = json.loads(output.splitlines()[-1])
            accuracy, f1 = held_back(Path(folder) / result["folder"], options.answers, options.label)
            cv = result["cv"]["mean"]
            print(
                f"{way:15} CPU {result['cpu_s']:7.1f} s  CV {cv:.4f}  accuracy {accuracy:.4f}  F1 {f1:.4f}", flush=True
            )


if __name__ == "__main__":
    main()
