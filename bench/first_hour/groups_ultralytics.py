# ruff: noqa
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedGroupKFold
from ultralytics import YOLO

train = pd.read_csv("scans/train.csv", dtype=str)
sample = pd.read_csv("scans/sample_submission.csv", dtype=str)
classes = sorted(train["label"].unique())
oof = np.zeros((len(train), len(classes)))
test = np.zeros((len(sample), len(classes)))
splitter = StratifiedGroupKFold(5, shuffle=True, random_state=42)
for number, (_, valid) in enumerate(splitter.split(train, train["label"], train["patient"])):
    for row, (id, label) in enumerate(zip(train["id"], train["label"])):
        folder = Path(f"scans_fold{number}") / ("val" if row in set(valid) else "train") / label
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{id}.jpg").symlink_to(Path(f"scans/train/{id}.jpg").resolve())
    model = YOLO("yolo11n-cls.pt")
    model.train(data=f"scans_fold{number}", epochs=5, imgsz=224)
    for row in valid:
        result = model.predict(f"scans/train/{train['id'][row]}.jpg", imgsz=224)[0]
        oof[row] = result.probs.data.cpu().numpy()
    for row, id in enumerate(sample["id"]):
        test[row] += model.predict(f"scans/test/{id}.jpg", imgsz=224)[0].probs.data.cpu().numpy() / 5
print("macro F1", f1_score(train["label"], [classes[i] for i in oof.argmax(1)], average="macro"))
sample["label"] = [classes[i] for i in test.argmax(1)]
sample.to_csv("submission.csv", index=False)
