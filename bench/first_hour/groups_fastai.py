# ruff: noqa
from fastai.vision.all import *
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedGroupKFold

train = pd.read_csv("scans/train.csv", dtype=str)
sample = pd.read_csv("scans/sample_submission.csv", dtype=str)
classes = sorted(train["label"].unique())
files = [Path(f"scans/test/{id}.jpg") for id in sample["id"]]
oof = np.zeros((len(train), len(classes)))
test = np.zeros((len(sample), len(classes)))
splitter = StratifiedGroupKFold(5, shuffle=True, random_state=42)
for _, valid in splitter.split(train, train["label"], train["patient"]):
    fold = train.assign(is_valid=train.index.isin(valid))
    dls = ImageDataLoaders.from_df(
        fold, "scans", folder="train", suff=".jpg", valid_col="is_valid", item_tfms=Resize(224)
    )
    learn = vision_learner(dls, resnet18, metrics=F1Score(average="macro"))
    learn.fine_tune(5)
    oof[valid] = learn.get_preds()[0]
    test += learn.get_preds(dl=dls.test_dl(files))[0].numpy() / 5
print("macro F1", f1_score(train["label"], [classes[i] for i in oof.argmax(1)], average="macro"))
sample["label"] = [classes[i] for i in test.argmax(1)]
sample.to_csv("submission.csv", index=False)
