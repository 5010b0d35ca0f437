# ruff: noqa
import pandas as pd
from autogluon.multimodal import MultiModalPredictor

train = pd.read_csv("leaf/train.csv", dtype=str)
sample = pd.read_csv("leaf/sample_submission.csv", dtype=str)
train["image"] = "leaf/train/" + train["id"] + ".jpg"
test = pd.DataFrame({"image": "leaf/test/" + sample["id"] + ".jpg"})
predictor = MultiModalPredictor(label="label").fit(train[["image", "label"]])
sample["label"] = predictor.predict(test)
sample.to_csv("submission.csv", index=False)
