# ruff: noqa
from pathlib import Path

import pandas as pd
from autogluon.multimodal import MultiModalPredictor

images = sorted(Path("photos/train").glob("*/*.jpg"))
train = pd.DataFrame({"image": map(str, images), "label": [image.parent.name for image in images]})
test = pd.DataFrame({"image": map(str, sorted(Path("photos/test").glob("*.jpg")))})
predictor = MultiModalPredictor(label="label").fit(train)
rows = {"id": test["image"].map(lambda path: Path(path).name), "label": predictor.predict(test)}
pd.DataFrame(rows).to_csv("submission.csv", index=False)
