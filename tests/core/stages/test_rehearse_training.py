"""A run that would stop while it trains, or with its first submission, is refused before it."""

from __future__ import annotations

import pandas as pd
import pytest

from compete.config.load import load_config
from compete.errors import ConfigError, SubmissionError
from compete.identity import read_sources
from compete.model.network import build_network
from compete.stages import rehearse as rehearsal
from compete.stages.prepare import choose_members, prepare
from rehearse_fixtures import VALUES, stage_1, write_labels


def test_a_metric_that_a_fold_s_own_labels_cannot_be_scored_with(tiny):
    write_labels(tiny, ["0"] * 22 + ["1", "1"])
    one = (
        "target.name=binary",
        "loss.name=bce",
        "submission.name=positive",
        "dataset.group=false",
        "folds.name=kfold",
        "checks.missing_class=warn",
    )
    with pytest.raises(
        ConfigError, match=r"\[metric\]: the 8 labels of fold \d cannot be scored: .*both positive and neg"
    ):
        stage_1(*one, "metric.name=roc_auc", "folds.n=3")
    assert stage_1(*one, "metric.name=log_loss", "folds.n=3")
    with pytest.raises(ConfigError, match=r"fold \d .*set fewer folds"):
        stage_1(*one, "metric.name=mean_column_auc", "folds.n=3")


@pytest.mark.parametrize("label", ["inf", "nan", "Infinity", "-inf", "NaN"])
def test_a_label_that_reads_as_no_finite_number_whatever_row_has_it(tiny, label):
    write_labels(tiny, ["a", "b", "c", label])
    one_row = pd.read_csv(tiny / "data/sample.csv").head(1)
    one_row.to_csv(tiny / "data/sample.csv", index=False)
    with pytest.raises(SubmissionError, match=r"does not read as a label: list all labels in \[checks\] allowed\."):
        stage_1("folds.name=stratified", "dataset.group=false", "metric.name=accuracy")
    assert stage_1(
        "folds.name=stratified",
        "dataset.group=false",
        "metric.name=accuracy",
        f'checks.allowed=["a", "b", "c", "{label}"]',
    )


def test_an_ensemble_that_does_not_suit_the_target(tiny):
    write_labels(tiny, ["0.5", "7", "9"])
    with pytest.raises(ConfigError, match=r"\[ensemble\] name = 'geometric_mean' needs probabilities"):
        stage_1(*VALUES, "ensemble.name=geometric_mean")


@pytest.mark.parametrize(("loss", "message"), [("mse", "needs targets scaled"), ("arcface", "needs cosines")])
def test_a_loss_that_cannot_take_the_target(tiny, loss, message):
    if loss == "mse":
        assert stage_1(f"loss.name={loss}")  # class numbers become one-hot rows
        return
    with pytest.raises(ConfigError, match=message):
        stage_1(f"loss.name={loss}")


@pytest.mark.parametrize(
    ("overrides", "refused"),
    [
        (("training.batch_size=5", "training.drop_last=false"), True),  # 16 rows train: the last batch has one
        (("training.batch_size=5", "training.drop_last=true"), False),
        (("training.batch_size=4", "training.drop_last=false"), False),
        (("training.batch_size=1", "training.drop_last=true"), True),
        (("training.batch_size=5", "training.drop_last=false", 'sampler={name="weighted", rows=10}'), False),
        (("training.batch_size=5", 'sampler={name="weighted", rows=1}'), True),
        (("training.batch_size=5", "training.drop_last=false", 'finetune.freeze=["norm"]'), False),
    ],
)
def test_a_last_batch_of_one_with_batch_norm(tiny, overrides, refused):
    (tiny / "net.py").write_text(
        "from torch import nn\n\n\nclass Net(nn.Module):\n    def __init__(self, outputs, channels):\n"
        "        super().__init__()\n        self.norm, self.head = nn.BatchNorm1d(channels), nn.Linear(channels, outputs)\n\n"
        "    def forward(self, images):\n        return self.head(self.norm(images.mean(dim=(2, 3))))\n"
    )
    config = load_config(tiny / "tiny.toml", ['model={name="file", path="net.py", factory="Net"}', *overrides])
    dataset = prepare(config, read_sources(config), None)
    network = build_network(config, dataset.target.outputs, 0, seed=0)
    members = choose_members(config, dataset.folds)
    if refused:
        with pytest.raises(
            ConfigError, match=r"\[training\] batch_size = \d: the last batch of fold \d .* has one image"
        ):
            rehearsal.rehearse_single(config, dataset, members, network)
    else:
        rehearsal.rehearse_single(config, dataset, members, network)


def test_thresholds_that_leave_a_row_without_any_probability(tiny):
    table = pd.read_csv(tiny / "data/train.csv")
    table.assign(v0=0.4, v1=0.3, v2=0.3).to_csv(tiny / "data/train.csv", index=False)
    votes = ('target={name="votes", columns=["v0", "v1", "v2"]}', "folds.name=group", "metric.name=kl_divergence")
    assert stage_1(*votes)
    with pytest.raises(ConfigError, match=r"\[\[postprocess\]\]: does not suit this target or metric: .*sum to zero"):
        stage_1(*votes, 'postprocess=[{name="threshold"}]')


def test_an_ensemble_that_needs_predictions_of_every_member(tiny):
    with pytest.raises(ConfigError, match="needs rows that every member predicted"):
        stage_1("ensemble.name=stacking")
    assert stage_1("ensemble.name=stacking", "training.only_folds=[0]")
