"""What transfer learning gains on photographs: scratch, frozen features, fine-tuning and its refinements.

    python bench/transfer.py run masks mobilenetv2_100.safetensors    # train what bench/transfer.csv lacks
    python bench/transfer.py rates masks mobilenetv2_100.safetensors  # how the learning rates were chosen
    python bench/transfer.py tables   # write the tables of docs/transfer-learning.md from the CSV

`masks` is a folder of face-masks.toml's layout, with `test_answers.csv` (image_id, label) for the held-back score.
Runs go to ./submissions. Each run is five folds in this process, one after another; its CPU seconds are the process's.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pandas as pd
from sklearn.metrics import f1_score

import compete

TABLE = Path(__file__).with_suffix(".csv")
RATES_TABLE = TABLE.with_name("transfer-rates.csv")
PAGE = Path(__file__).parents[1] / "docs/transfer-learning.md"
RESULTS = re.compile(r"(?<=<!-- results -->\n).*(?=<!-- end -->)", re.DOTALL)
FOLDS = [f"fold{number}" for number in range(5)]
SEEDS = (1, 2, 3)
RATES = (3e-4, 1e-3, 4e-3)
BASE: dict[str, Any] = {
    "dataset": {
        "name": "csv",
        "id": "image_id",
        "image": "train/{image_id}.jpg",
        "test_image": "test/{image_id}.jpg",
        "group": "group",
    },
    "folds": {"name": "stratified_group", "n": 5},
    "metric": {"name": "macro_f1"},
    "images": {"size": [48, 48]},
    "transforms": [{"name": "albumentations", "random": [{"name": "HorizontalFlip", "p": 0.5}]}],
    "sampler": {"name": "weighted", "power": 0.5},
    "loss": {"name": "cross_entropy"},
    "scheduler": {"name": "one_cycle"},
    "training": {"epochs": 4, "batch_size": 32, "device": "cpu", "precision": "32-true", "workers": 0},
    "callbacks": [],  # the last epoch's weights: those of the best one would make the CV too good
}
NETWORKS: dict[str, dict[str, Any]] = {
    "MobileNetV2, pretrained": {"name": "timm", "backbone": "mobilenetv2_100"},
    # timm draws a wide head for a MobileNet (the first loss is 10, not 1), which would be held against scratch.
    "MobileNetV2": {"name": "torchvision", "backbone": "mobilenet_v2", "arguments": {"dropout": 0.0}},
    "ResNet-18": {"name": "timm", "backbone": "resnet18"},
    "plain CNN": {"name": "resnet9", "width": 16},
}
SCRATCH, PRETRAINED, RESNET = "MobileNetV2", "MobileNetV2, pretrained", "ResNet-18"


class Arm(NamedTuple):
    """One way to train: its network, its learning rate, what it changes, and the seeds it is measured with."""

    title: str
    network: str
    lr: float
    changes: Mapping[str, Any] = MappingProxyType({})
    seeds: tuple[int, ...] = SEEDS


HEAD_ONLY = {"finetune.freeze": "backbone"}
ARMS = {
    "full": Arm("full fine-tuning", PRETRAINED, 1e-3),
    "scratch": Arm("from scratch", SCRATCH, 4e-3),
    "features": Arm("head only", PRETRAINED, 4e-3, HEAD_ONLY),
    "gradual": Arm("gradual unfreezing", PRETRAINED, 1e-3, {"finetune.preset": "gradual"}, (1,)),
    "decay": Arm("full, layer decay 0.9", PRETRAINED, 1e-3, {"finetune.layer_decay": 0.9}, (1,)),
    "resnet18": Arm("from scratch", RESNET, 4e-3, {"training.precision": "auto"}, (1,)),
    "ema": Arm("full, EMA 0.99", PRETRAINED, 1e-3, {"callbacks": [{"name": "ema", "decay": 0.99}]}, (1,)),
    "soup": Arm("full, soup of 4 epochs", PRETRAINED, 1e-3, {"callbacks": [{"name": "soup", "candidates": 4}]}, (1,)),
    "features-96": Arm("head only, 96 px", PRETRAINED, 4e-3, {**HEAD_ONLY, "images.size": [96, 96]}, (1,)),
}


def settings(arm: Arm, data: Path, weights: Path, seed: int) -> dict[str, Any]:
    """Return the TOML of a run, as a dict."""
    model = NETWORKS[arm.network] | ({"weights": weights} if arm.network == PRETRAINED else {})
    own = {
        "competition": {"name": "transfer", "root": data},
        "model": model,
        "optimizer": {"name": "adamw", "lr": arm.lr, "weight_decay": 0.02},
    }
    return {**BASE, **own, "training": {**BASE["training"], "seed": seed}}


def measure(name: str, data: Path, weights: Path, seed: int) -> dict[str, Any]:
    """Train one arm with one seed; return its line of the table."""
    start = time.process_time()
    run = compete.run(settings(ARMS[name], data, weights, seed), dict(ARMS[name].changes), doctor=False)
    seconds = time.process_time() - start
    answers = pd.read_csv(data / "test_answers.csv").set_index("image_id")["label"]
    given = run.submission.set_index("image_id")["label"].loc[answers.index]
    return {
        "arm": name,
        "seed": seed,
        **{fold.partition("-")[0]: score for fold, score in run.scores.cv.folds.items()},
        "oof": run.scores.cv.oof,
        "held_back": f1_score(answers, given, average="macro"),
        "train_loss": sum(member.epochs[-1].train_loss or 0.0 for member in run.scores.members.values()) / 5,
        "cpu_seconds": seconds,
    }


def warm_up(data: Path, weights: Path) -> None:
    """Decode the images and import everything, so that no arm pays for it."""
    tiny = {"model": {"name": "resnet9", "width": 4}, "training.epochs": 1, "training.only_folds": [0]}
    compete.run(settings(ARMS["scratch"], data, weights, 0), tiny, doctor=False, fresh=True)


def missing(lines: pd.DataFrame) -> Iterable[tuple[str, int]]:
    """Return the runs that the table lacks."""
    done = set(zip(lines["arm"], lines["seed"], strict=True)) if len(lines) else set()
    wanted = [(name, seed) for seed in SEEDS for name, arm in ARMS.items() if seed in arm.seeds]
    wanted.sort(key=lambda run: ARMS[run[0]].seeds != SEEDS)  # the main contrast comes first
    return [run for run in wanted if run not in done]


def run(data: Path, weights: Path, only: list[str]) -> None:
    """Train what is missing, a line of the table after each run."""
    warm_up(data, weights)
    lines = pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame()
    for name, seed in missing(lines):
        if not only or name in only:
            lines = pd.concat([lines, pd.DataFrame([measure(name, data, weights, seed)])], ignore_index=True)
            lines.round(4).to_csv(TABLE, index=False)


def rates(data: Path, weights: Path) -> None:
    """Write the score of one fold, of a split of its own, at each rate, for the ways of the main contrast."""
    warm_up(data, weights)
    lines = []
    for name in (name for name, arm in ARMS.items() if arm.seeds == SEEDS):
        for rate in RATES:
            changes = {**ARMS[name].changes, "optimizer.lr": rate, "training.only_folds": [0]}
            done = compete.run(settings(ARMS[name], data, weights, 0), changes, doctor=False)
            lines.append({"arm": name, "pixels": BASE["images"]["size"][0], "rate": rate, "score": done.scores.cv.oof})
            pd.DataFrame(lines).round(3).to_csv(RATES_TABLE, index=False)


def tables() -> str:
    """Return the page's tables in Markdown: one line per arm, and what each arm differs by, seed by seed."""
    lines = pd.read_csv(TABLE)
    lines["cv"] = lines[FOLDS].mean(axis=1)
    arms = [name for name in ARMS if name in set(lines["arm"])]
    measured = [
        "| network | trained | seeds | CV macro F1 | over folds | held back | train loss | CPU s |",
        "|---|---|---|---|---|---|---|---|",
        *(_line(name, lines[lines["arm"] == name]) for name in arms),
    ]
    full = lines[lines["arm"] == "full"].set_index("seed")
    compared = [
        "| against full fine-tuning | CV, by seed | held back, by seed |",
        "|---|---|---|",
        *(_difference(name, lines[lines["arm"] == name].set_index("seed"), full) for name in arms if name != "full"),
    ]
    lacking = ", ".join(f"{ARMS[name].network} {ARMS[name].title} (seed {seed})" for name, seed in missing(lines))
    note = [f"Not measured yet: {lacking}.", ""] if lacking else []
    return "\n".join(["", *measured, "", *compared, "", *_rates_tried(), "", *note, ""])


def _rates_tried() -> list[str]:
    tried = pd.read_csv(RATES_TABLE)
    rows = [
        f"| {ARMS[row.arm].network}, {ARMS[row.arm].title} | {row.rate:g} | {row.score:.3f} | {row.pixels} |"
        for row in tried.itertuples()
    ]
    return ["| rates tried, on one fold | rate | macro F1 | pixels |", "|---|---|---|---|", *rows]


def _line(name: str, runs: pd.DataFrame) -> str:
    folds = runs[FOLDS].to_numpy()
    cells = (
        ARMS[name].network,
        ARMS[name].title,
        str(len(runs)),
        _with_spread(runs["cv"]),
        f"± {folds.std(axis=1, ddof=1).mean():.3f}",
        _with_spread(runs["held_back"]),
        f"{runs['train_loss'].mean():.2f}",
        f"{runs['cpu_seconds'].mean():.0f}",
    )
    return f"| {' | '.join(cells)} |"


def _with_spread(values: pd.Series) -> str:
    return f"{values.mean():.3f}" + (f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else "")


def _difference(name: str, runs: pd.DataFrame, full: pd.DataFrame) -> str:
    cells = [
        ", ".join(f"{value:+.3f}" for value in (runs[column] - full[column]).dropna()) for column in ("cv", "held_back")
    ]
    return f"| {ARMS[name].network}, {ARMS[name].title} | {' | '.join(cells)} |"


def main() -> None:
    """Run, choose rates, or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["run", "rates", "tables"])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("weights", type=Path, nargs="?")
    parser.add_argument("--only", nargs="*", default=[], help="arms")
    given = parser.parse_args()
    if given.command == "run":
        run(given.data.resolve(), given.weights.resolve(), given.only)
    elif given.command == "rates":
        rates(given.data.resolve(), given.weights.resolve())
    else:
        PAGE.write_text(RESULTS.sub(lambda _: tables(), PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
