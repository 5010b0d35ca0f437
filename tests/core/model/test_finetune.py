"""What trains when, and how fast."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from compete.config.load import load_config
from compete.errors import ConfigError
from compete.model.finetune import (
    awake,
    begin_plan,
    frozen_modules,
    parameter_groups,
    plan_training,
    set_trainable,
    set_training_mode,
)
from compete.model.stages import stages_of


class Net(nn.Module):
    """A stem, four layers with norms, a last norm that goes with the head, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(2, 4)
        for number in (1, 2, 3, 4):
            setattr(self, f"layer{number}", nn.ModuleDict({"a": nn.Linear(4, 4), "norm": nn.BatchNorm1d(4)}))
        self.fixed = nn.Parameter(torch.zeros(3), requires_grad=False)
        self.fc = nn.Linear(4, 3)
        self.head_name = "fc"


def plan_for(tiny, *overrides, epochs=10):
    network = Net()
    config = load_config(tiny / "tiny.toml", [f"training.epochs={epochs}", *overrides])
    return network, config, plan_training(network, config, 3)


def described(plan):
    return [(step.epoch, sorted({name.split(".")[0] for name in step.parameters})) for step in plan.steps]


ALL = ["fc", "layer1", "layer2", "layer3", "layer4", "stem"]
FROM_TOP = [["fc"], ["fc", "layer4"], ["fc", "layer3", "layer4"], ["fc", "layer2", "layer3", "layer4"], ALL[:-1], ALL]


@pytest.mark.parametrize(
    ("overrides", "steps"),
    [
        ([], [(1, ALL)]),
        (["finetune.preset=full"], [(1, ALL)]),
        (["finetune.preset=features"], [(1, ["fc"])]),
        (["finetune.freeze=backbone"], [(1, ["fc"])]),
        (['finetune.freeze=["layer[12]", "stem"]'], [(1, ["fc", "layer3", "layer4"])]),
        (
            [
                'finetune.schedule=[{epoch=1, train="head"}, {epoch=4, train=["layer4*", "head"]}, {epoch=9, train="all"}]'
            ],
            [(1, ["fc"]), (4, ["fc", "layer4"]), (9, ALL)],
        ),
        (
            ['finetune.schedule=[{epoch=1, train="head"}, {epoch=2, train="all"}]', 'finetune.freeze=["stem"]'],
            [(1, ["fc"]), (2, ALL[:-1])],
        ),
    ],
)
def test_what_trains_from_which_epoch_on(tiny, overrides, steps):
    assert described(plan_for(tiny, *overrides)[2]) == steps


@pytest.mark.parametrize(
    ("epochs", "starts"),
    [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (6, [1, 2, 3, 4, 5, 6]), (12, [1, 3, 5, 7, 9, 11])],
)
def test_gradual_begins_with_the_head_and_ends_with_everything(tiny, epochs, starts):
    plan = plan_for(tiny, "finetune.preset=gradual", epochs=epochs)[2]
    assert [step.epoch for step in plan.steps] == starts
    assert described(plan)[0] == (1, ["fc"])
    assert epochs == 1 or described(plan)[-1][1] == ALL
    assert len(starts) < 6 or [names for _, names in described(plan)] == FROM_TOP
    assert "fixed" not in plan.last.parameters


def test_gradual_leaves_alone_what_freeze_names(tiny):
    plan = plan_for(tiny, "finetune.preset=gradual", 'finetune.freeze=["layer1", "stem"]')[2]
    assert described(plan)[-1][1] == ["fc", "layer2", "layer3", "layer4"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["finetune.preset=features", "finetune.freeze=none"], r'freeze = "none": contradicts preset = "features"'),
        (["finetune.preset=full", "finetune.freeze=backbone"], r'freeze = "backbone": contradicts preset = "full"'),
        (["finetune.preset=gradual", "finetune.freeze=backbone"], r"A list of what is never trained combines"),
        (['finetune.schedule=[{epoch=1, train="head"}]', "finetune.preset=gradual"], r"already says what trains when"),
        (['finetune.schedule=[{epoch=1, train="head"}]', "finetune.freeze=backbone"], r"no schedule can train it"),
        (["finetune.preset=features", "finetune.layer_decay=0.5"], r"layer_decay = 0.5: has no effect"),
        (['finetune.schedule=[{epoch=2, train="head"}]'], r"Begin with epoch = 1"),
        (['finetune.schedule=[{epoch=1, train="head"}, {epoch=11, train="all"}]'], r"beyond \[training\] epochs = 10"),
        (['finetune.schedule=[{epoch=1, train="head"}, {epoch=1, train="all"}]'], r"start after the one before"),
        (["finetune.schedule=[{epoch=1, train=[]}]"], r"trains nothing"),
        (['finetune.schedule=[{epoch=1, tain="all"}]'], r"table with epoch and train"),
        (['finetune.schedule=[{epoch=1, train="head"}, {epoch=2, train="layer4"}]'], r"leaves out fc, which trains"),
        (['finetune.schedule=[{epoch=1, train="all"}, {epoch=2, train=["*"]}]'], r"trains nothing more"),
        (['finetune.freeze=["*"]'], r"no parameter remains"),
        (['finetune.schedule=[{epoch=1, train="heads"}]'], r'schedule.0 train: "heads".*Did you mean \'head\''),
    ],
)
def test_contradictions_are_refused(tiny, overrides, message):
    with pytest.raises(ConfigError, match=message):
        plan_for(tiny, *overrides)


def test_a_resolved_config_can_be_read_again(tiny):
    from compete.toml.read import write_toml_text

    schedule = 'finetune.schedule=[{epoch=1, train="head"}, {epoch=2, train=["all"]}]'
    config = load_config(tiny / "tiny.toml", [schedule, 'init.weights={Linear="orthogonal"}'])
    (tiny / "again.toml").write_text(write_toml_text(config.resolved()))
    again = load_config(tiny / "again.toml")
    assert (again.finetune, again.init) == (config.finetune, config.init)


def test_frozen_modules_are_in_eval_mode_until_they_are_unfrozen(tiny):
    schedule = 'finetune.schedule=[{epoch=1, train="head"}, {epoch=2, train=["layer4", "fc"]}, {epoch=3, train="all"}]'
    network, config, _ = plan_for(tiny, schedule)
    plan = begin_plan(network, config, 3)
    for epoch, training in ((1, []), (2, ["layer4"]), (3, ["layer1", "layer2", "layer3", "layer4"])):
        set_trainable(network, plan, epoch)
        set_training_mode(network)
        assert [name for name, m in network.named_modules() if m.training and name.startswith("layer")] == [
            name for top in training for name in (top, f"{top}.a", f"{top}.norm")
        ]
    assert frozen_modules(network) == [] and not network.fixed.requires_grad


def test_rates_fall_from_the_head_down_in_groups_by_epoch(tiny):
    network, config, plan = plan_for(
        tiny, "finetune.preset=gradual", "finetune.layer_decay=0.5", "finetune.backbone_lr_ratio=0.1", epochs=6
    )
    groups = parameter_groups(network, config, 3, plan)
    found = {
        name: (group["first_epoch"], group["lr_ratio"], group.get("weight_decay"))
        for group in groups
        for name, parameter in network.named_parameters()
        if any(parameter is p for p in group["params"])
    }
    assert found["fc.weight"] == (1, 1.0, None) and found["fc.bias"] == (1, 1.0, 0.0)
    assert found["layer4.a.weight"] == (2, pytest.approx(0.05), None)
    assert found["stem.bias"] == (6, pytest.approx(0.1 * 0.5**5), 0.0)
    assert "fixed" not in found and sum(len(group["params"]) for group in groups) == len(found)


def test_a_sleeping_group_does_not_count_steps():
    """timm's LAMB counts the steps of a group; one that wakes must step as a new optimizer's first step does."""
    from timm.optim import create_optimizer_v2

    def parameter():
        return nn.Parameter(torch.tensor([[1.0, 2.0]]))

    def step(optimizer, epoch, *trained):
        for p in trained:
            p.grad = torch.tensor([[0.5, -0.25]])
        with awake(optimizer, epoch):
            optimizer.step()

    first, late, fresh = parameter(), parameter(), parameter()
    groups = [{"params": [first], "first_epoch": 1}, {"params": [late], "first_epoch": 2}]
    optimizer = create_optimizer_v2(groups, "lamb", lr=0.1)
    for _ in range(5):
        step(optimizer, 1, first)
    assert len(optimizer.param_groups) == 2 and torch.equal(late, parameter())
    momentum = optimizer.state[first]["exp_avg"].clone()
    step(optimizer, 2, first, late)
    alone = create_optimizer_v2([{"params": [fresh]}], "lamb", lr=0.1)
    step(alone, 1, fresh)
    assert torch.equal(late, fresh) and not torch.equal(optimizer.state[first]["exp_avg"], momentum * 0)


def test_stages_are_blocks_in_the_order_of_registration():
    names = [sorted({name.rsplit(".", 1)[0] for name in stage}) for stage in stages_of(Net())]
    layers = [[f"layer{n}.a", f"layer{n}.norm"] for n in (1, 2, 3, 4)]
    assert names == [["fixed", "stem"], *layers]


def test_a_network_may_state_its_stages_and_a_wrong_name_is_refused(tiny):
    network, config, _ = plan_for(tiny)
    config = load_config(tiny / "tiny.toml", ["training.epochs=3", "finetune.preset=gradual"])
    network.stage_names = [["stem", "layer1"], ["layer2", "layer3"]]  # layer4 goes with the head
    steps = [["fc"], ["fc", "layer2", "layer3", "layer4"], ALL]
    assert [names for _, names in described(plan_training(network, config, 3))] == steps
    network.stage_names = [["layer"]]
    with pytest.raises(ConfigError, match='stage_names has "layer"'):
        plan_training(network, config, 3)
