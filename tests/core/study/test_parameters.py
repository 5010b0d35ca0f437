"""The parameter table, against the gradients of the first step."""

from __future__ import annotations

import pytest

from compete.config.load import load_config
from compete.model.finetune import set_training_mode
from compete.study.dry_run import dry_run, first_step
from compete.study.parameters import parameter_table
from compete.train.loop import gradients


def test_parameters_have_their_group_and_the_gradient_of_the_first_step(tiny):
    config = load_config(tiny / "tiny.toml", ['finetune.freeze=["stem"]'])
    with dry_run(config) as run:
        table = parameter_table(run).set_index("name")
    frozen = table[table.index.str.startswith("stem")]
    assert not frozen["requires_grad"].any() and frozen[["group", "lr", "gradient_norm"]].isna().all(axis=None)
    head = table.loc[["head.weight", "head.bias"]]
    assert head["requires_grad"].all() and (head["gradient_norm"] > 0).all()
    assert table.loc["head.bias", "weight_decay"] == 0 < table.loc["head.weight", "weight_decay"]
    with dry_run(config) as run:
        trainer, batches = first_step(run)
        set_training_mode(trainer.network)
        gradients(trainer, batches, splits=1)
        expected = dict(trainer.network.named_parameters())["head.weight"].grad.norm()
    assert head.loc["head.weight", "gradient_norm"] == pytest.approx(float(expected))


def test_looking_leaves_nothing_behind(tiny):
    with dry_run(load_config(tiny / "tiny.toml")) as run:
        parameter_table(run)
        folder = run.folder
    assert not folder.exists() and not (tiny / "submissions").exists() and not (tiny / ".compete").exists()
