# ruff: noqa
import numpy as np
import pandas as pd
from autogluon.multimodal import MultiModalPredictor
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedGroupKFold

train = pd.read_csv("scans/train.csv", dtype=str)
sample = pd.read_csv("scans/sample_submission.csv", dtype=str)
train["image"] = "scans/train/" + train["id"] + ".jpg"
test_images = pd.DataFrame({"image": "scans/test/" + sample["id"] + ".jpg"})
classes = sorted(train["label"].unique())
rows = train[["image", "label"]]
oof = np.zeros((len(train), len(classes)))
test = np.zeros((len(sample), len(classes)))
splitter = StratifiedGroupKFold(5, shuffle=True, random_state=42)
for fit, valid in splitter.split(train, train["label"], train["patient"]):
    predictor = MultiModalPredictor(label="label", eval_metric="f1_macro")
    predictor.fit(rows.iloc[fit], tuning_data=rows.iloc[valid])
    oof[valid] = predictor.predict_proba(rows.iloc[valid])[classes]
    test += predictor.predict_proba(test_images)[classes].to_numpy() / 5
print("macro F1", f1_score(train["label"], [classes[i] for i in oof.argmax(1)], average="macro"))
sample["label"] = [classes[i] for i in test.argmax(1)]
sample.to_csv("submission.csv", index=False)
