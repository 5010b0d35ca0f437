# ruff: noqa
from fastai.vision.all import *

train = pd.read_csv("leaf/train.csv", dtype=str)
sample = pd.read_csv("leaf/sample_submission.csv", dtype=str)
dls = ImageDataLoaders.from_df(
    train, "leaf", folder="train", suff=".jpg", valid_pct=0.2, seed=42, item_tfms=Resize(224)
)
learn = vision_learner(dls, resnet18, metrics=accuracy)
learn.fine_tune(5)
files = [Path(f"leaf/test/{id}.jpg") for id in sample["id"]]
labels = learn.get_preds(dl=dls.test_dl(files), with_decoded=True)[2]
sample["label"] = [dls.vocab[label] for label in labels]
sample.to_csv("submission.csv", index=False)
