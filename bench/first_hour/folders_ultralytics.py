# ruff: noqa
from pathlib import Path

import pandas as pd
from ultralytics import YOLO

model = YOLO("yolo11n-cls.pt")
model.train(data="photos/train", epochs=5, imgsz=224)
results = model.predict("photos/test", imgsz=224)
rows = [(Path(result.path).name, result.names[result.probs.top1]) for result in results]
pd.DataFrame(rows, columns=["id", "label"]).to_csv("submission.csv", index=False)
