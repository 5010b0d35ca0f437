# ruff: noqa
from fastai.vision.all import *

dls = ImageDataLoaders.from_folder("photos/train", valid_pct=0.2, seed=42, item_tfms=Resize(224))
learn = vision_learner(dls, resnet18, metrics=accuracy)
learn.fine_tune(5)
files = get_image_files("photos/test")
labels = learn.get_preds(dl=dls.test_dl(files), with_decoded=True)[2]
rows = {"id": [file.name for file in files], "label": [dls.vocab[label] for label in labels]}
pd.DataFrame(rows).to_csv("submission.csv", index=False)
