"""The plain K-fold script that a recipe has to beat: one timm network, AdamW, one-cycle, flips, the mean of the folds.

    python bench/plain_kfold.py masks --source DATA --weights mobilenetv2_100.safetensors --size 64 --epochs 6

Prints one JSON line: CV and held-back macro F1, steps and CPU seconds. `--folds RUN/folds.csv` takes a run's folds.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import timm
import torch
from PIL import Image
from real_sets import held_back_score, write_competition
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedGroupKFold
from torch.nn.functional import cross_entropy

MEAN, STD = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


def read(folder: Path, ids: pd.Series, size: int) -> torch.Tensor:
    """Return images (N, 3, size, size), uint8."""
    images = [Image.open(folder / f"{name}.jpg").convert("RGB").resize((size, size), 2) for name in ids]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()


def scaled(images: torch.Tensor) -> torch.Tensor:
    """Return images as ImageNet's networks want them."""
    return (images.float() / 255 - MEAN) / STD


def train(images: torch.Tensor, labels: torch.Tensor, classes: int, args: argparse.Namespace, seed: int) -> tuple:
    """Train one network on images (N, 3, H, W)."""
    torch.manual_seed(seed)
    network = timm.create_model(
        args.backbone, pretrained=True, num_classes=classes, pretrained_cfg_overlay={"file": args.weights}
    )
    steps = args.epochs * (len(images) // args.batch_size)
    optimizer = torch.optim.AdamW(network.parameters(), lr=args.lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, args.lr, total_steps=steps)
    for _ in range(args.epochs):
        network.train()
        for rows in torch.randperm(len(images)).split(args.batch_size):
            if len(rows) < args.batch_size:
                break
            batch = scaled(images[rows])
            flipped = torch.rand(len(rows)) < 0.5
            batch[flipped] = batch[flipped].flip(3)
            loss = cross_entropy(network(batch), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval(), steps


@torch.inference_mode()
def predict(network: torch.nn.Module, images: torch.Tensor) -> np.ndarray:
    """Return probabilities (N, C)."""
    return torch.cat([network(scaled(part)).softmax(1) for part in images.split(128)]).numpy()


def main() -> None:
    """Train, predict and score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", choices=("masks", "faces"))
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--backbone", default="mobilenetv2_100")
    parser.add_argument("--folds", type=Path)
    for name, value in {"size": 64, "epochs": 6, "batch-size": 32, "lr": 5e-4, "n-folds": 5, "seed": 0}.items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        folder = write_competition(args.data, args.source, Path(place))
        table = pd.read_csv(folder / "train.csv", dtype=str)
        sample = pd.read_csv(folder / "sample_submission.csv", dtype=str)
        images, tests = (read(folder / p, t["image_id"], args.size) for p, t in (("train", table), ("test", sample)))
        codes, names = pd.factorize(table["label"], sort=True)
        if args.folds:
            known = pd.read_csv(args.folds, dtype={"id": str}).set_index("id")["fold"]
            fold_of = known.loc[table["image_id"]].to_numpy()
        else:
            groups = table.get("group", table["image_id"])
            fold_of = np.zeros(len(table), int)
            drawn = StratifiedGroupKFold(args.n_folds, shuffle=True, random_state=args.seed)
            for number, (_, valid) in enumerate(drawn.split(table, codes, groups)):
                fold_of[valid] = number
        oof, test = np.zeros((len(table), len(names))), np.zeros((len(sample), len(names)))
        labels = torch.from_numpy(codes)
        for fold in range(args.n_folds):
            own, valid = (torch.from_numpy(np.flatnonzero(part)) for part in (fold_of != fold, fold_of == fold))
            network, steps = train(images[own], labels[own], len(names), args, args.seed * args.n_folds + fold)
            oof[valid.numpy()] = predict(network, images[valid])
            test += predict(network, tests) / args.n_folds
        submission = Path(place) / "submission.csv"
        sample.assign(label=names[test.argmax(1)]).to_csv(submission, index=False)
        found = {
            "script": True, "data": args.data, "size": args.size, "epochs": args.epochs, "lr": args.lr,
            "seed": args.seed, "steps": steps, "cv": round(float(f1_score(codes, oof.argmax(1), average="macro")), 4),
            "held_back": round(held_back_score(args.data, args.source, submission), 4),
            "cpu_s": round(sum(resource.getrusage(resource.RUSAGE_SELF)[:2])),
        }  # fmt: skip
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
