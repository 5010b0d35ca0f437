"""Training with parts that unfreeze over the epochs, for every bundled optimizer and scheduler."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from compete.hookspecs import hookimpl
from compete.study.dry_run import dry_run
from compete.study.parameters import parameter_table
from compete.train.doctor import diagnose
from compete.train.loop import train
from compete.train.trainer import build_trainer
from compete.types import Member

PLANS = {
    "full": ["finetune.preset=full"],
    "features": ["finetune.preset=features"],
    "gradual": ["finetune.preset=gradual"],
    "schedule": ['finetune.schedule=[{epoch=1, train="head"}, {epoch=3, train=["stem.0", "head"]}, {epoch=4, train="all"}]'],
    "decay": ["finetune.layer_decay=0.5", "finetune.backbone_lr_ratio=0.5", "finetune.preset=gradual"],
}  # fmt: skip
OPTIMIZERS = {
    "sgd": 'optimizer={name="sgd", lr=0.05}',
    "adam": 'optimizer={name="adam", lr=0.05}',
    "adamw": 'optimizer={name="adamw", lr=0.05}',
    "rmsprop": 'optimizer={name="rmsprop", lr=0.01}',
    "sam": 'optimizer={name="sam", lr=0.05, arguments={momentum=0.9}}',
    "torch": 'optimizer={name="torch", optimizer="NAdam", lr=0.05}',
    "timm": 'optimizer={name="timm", optimizer="lamb", lr=0.05}',
    "adan": 'optimizer={name="timm", optimizer="adan", lr=0.05}',
}
SCHEDULERS = {
    "cosine": "scheduler.name=cosine",
    "one_cycle": "scheduler.name=one_cycle",
    "step": 'scheduler={name="step", milestones=[0.5]}',
    "plateau": 'scheduler={name="plateau", patience_epochs=0}',
    "none": "scheduler.name=none",
}
SCHEDULE = PLANS["schedule"]


def recipes():
    """Every optimizer with every scheduler, and each of these pairs with the next plan."""
    plans = list(PLANS)
    for number, (optimizer, scheduler) in enumerate(product(OPTIMIZERS, SCHEDULERS)):
        plan = plans[(number + number // len(plans)) % len(plans)]
        yield pytest.param(
            [*PLANS[plan], OPTIMIZERS[optimizer], SCHEDULERS[scheduler]], id=f"{plan}-{optimizer}-{scheduler}"
        )


@pytest.mark.parametrize("recipe", list(recipes()))
def test_the_doctor_finds_nothing_and_rates_follow_the_schedule(make_run, recipe):
    run = make_run("training.epochs=4", *recipe)
    found = {check: texts for check, texts in diagnose(build_trainer(run, run.members[0]), quick=True) if texts}
    assert not found
    seen = []

    class Rates:
        @hookimpl
        def on_step_end(self, trainer):
            seen.append([g["lr"] / g["initial_lr"] for g in trainer.optimizer.param_groups])

    run.session.register(Rates())
    result, *_ = train(run, run.members[0])
    assert len(result.epochs) == 4 and all(np.isfinite(e.train_loss) for e in result.epochs)
    assert all(max(ratios) - min(ratios) < 1e-9 for ratios in seen)


def trained_by_epoch(make_run, *recipe):
    """Each epoch's record, and the state of the network after it."""
    run = make_run("training.epochs=4", *recipe)
    states = []

    class Keep:
        @hookimpl
        def on_epoch_end(self, trainer):
            states.append({name: t.clone() for name, t in trainer.network.state_dict().items()})

    run.session.register(Keep())
    result, *_ = train(run, Member(0, 42))
    return result.epochs, states


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_only_what_is_unfrozen_moves_and_statistics_wait_too(make_run, optimizer):
    epochs, states = trained_by_epoch(make_run, *SCHEDULE, OPTIMIZERS[optimizer])

    def moved(number):
        pairs = states[number - 2], states[number - 1]
        return {name.rpartition(".")[0] for name in pairs[0] if not torch.equal(pairs[0][name], pairs[1][name])}

    assert moved(2) == {"head"} and moved(3) == {"head", "stem.0"} and moved(4) == {"head", "stem.0", "stem.1"}
    assert [epoch.trained for epoch in epochs] == [15, 15, 15 + 112, 135]


def test_momenta_survive_an_unfreezing(make_run):
    """The head's steps are those of an optimizer that never had other groups, as long as these do not move."""
    tiny_rate = ["finetune.backbone_lr_ratio=1e-6", 'optimizer={name="sgd", lr=1e-3, weight_decay=0}']
    _, unfrozen = trained_by_epoch(make_run, 'finetune.schedule=[{epoch=1, train="head"}, {epoch=3, train=["stem.0", "head"]}]', *tiny_rate)  # fmt: skip
    _, frozen = trained_by_epoch(
        make_run, "finetune.preset=features", 'optimizer={name="sgd", lr=1e-3, weight_decay=0}'
    )
    assert torch.allclose(unfrozen[3]["head.weight"], frozen[3]["head.weight"], atol=1e-6)
    assert not torch.equal(frozen[3]["head.weight"], frozen[2]["head.weight"])


def test_the_parameter_table_knows_the_epochs(make_run, tiny):
    from compete.config.load import load_config

    with dry_run(load_config(tiny / "tiny.toml", ["training.epochs=4", *SCHEDULE, "finetune.layer_decay=0.5"])) as run:
        table = parameter_table(run).set_index("name")
    assert table["from_epoch"].to_dict() == {
        **{f"stem.0.{kind}": 3 for kind in ("weight", "bias")},
        **{f"stem.1.{kind}": 4 for kind in ("weight", "bias")},
        **{f"head.{kind}": 1 for kind in ("weight", "bias")},
    }
    assert (
        table.loc["stem.0.weight", "lr"] == pytest.approx(0.5 * table.loc["head.weight", "lr"]) == pytest.approx(0.025)
    )
    assert not table.loc["stem.0.weight", "requires_grad"] and table["group"].notna().all()


def test_the_doctor_examines_what_is_unfrozen_later(make_run):
    """A part without a gradient is found before it is trained, and one that the optimizer lacks too."""
    run = make_run("training.epochs=4", *SCHEDULE)
    trainer = build_trainer(run, run.members[0])
    group = next(g for g in trainer.optimizer.param_groups if g["first_epoch"] == 4)
    trainer.optimizer.param_groups.remove(group)
    found = dict(diagnose(trainer, quick=True))["gradients arrive"]
    assert any("not in the optimizer" in text for text in found)


def test_stages_that_no_library_states_are_reported(make_run, tiny):
    from compete.config.load import load_config
    from compete.stages.describe import describe_network

    with dry_run(load_config(tiny / "tiny.toml", ["finetune.layer_decay=0.5"])) as run:
        trainer = build_trainer(run, run.members[0])
        notes = describe_network(run.config, trainer.network, 3, trainer.plan).notes
        assert notes == ("1 stage by the order of registration, from stem to stem",)
    with dry_run(load_config(tiny / "tiny.toml")) as run:
        assert describe_network(run.config, trainer.network, 3, trainer.plan).notes == ()
