# ruff: noqa
from pathlib import Path

import pandas as pd
from ultralytics import YOLO

train = pd.read_csv("leaf/train.csv", dtype=str)
sample = pd.read_csv("leaf/sample_submission.csv", dtype=str)
for id, label in zip(train["id"], train["label"]):
    folder = Path("leaf_classes") / label
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{id}.jpg").symlink_to(Path(f"leaf/train/{id}.jpg").resolve())
model = YOLO("yolo11n-cls.pt")
model.train(data="leaf_classes", epochs=5, imgsz=224)
results = [model.predict(f"leaf/test/{id}.jpg", imgsz=224)[0] for id in sample["id"]]
sample["label"] = [result.names[result.probs.top1] for result in results]
sample.to_csv("submission.csv", index=False)
