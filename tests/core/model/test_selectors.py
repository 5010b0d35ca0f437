"""One selector syntax, on networks whose parts have every kind of name."""

from __future__ import annotations

import pytest
from torch import nn

from compete.errors import ConfigError
from compete.model.selectors import find_head, match_modules, match_parameters, summarised


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(4, 12, bias=False)


class Net(nn.Module):
    """Blocks 0 to 11, a token of its own, and a head of two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(nn.init.ones_(nn.Linear(4, 1).weight))
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.blocks = nn.ModuleList(Attention() for _ in range(12))
        self.norm = nn.SyncBatchNorm(4)
        self.head = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def network(outputs: int = 3) -> nn.Module:
    net = Net()
    net.head_name = find_head(net, outputs)
    return net


@pytest.mark.parametrize(
    ("selectors", "parameters"),
    [
        (["stem"], {"stem.0.weight", "stem.0.bias", "stem.1.weight", "stem.1.bias"}),
        (["blocks.1"], {"blocks.1.qkv.weight"}),  # and not blocks.10
        (["blocks.1?"], {"blocks.10.qkv.weight", "blocks.11.qkv.weight"}),
        (["token"], {"token"}),
        (["stem.*.bias"], {"stem.0.bias", "stem.1.bias"}),
        (["type:BatchNorm2d"], {"stem.1.weight", "stem.1.bias"}),
        (["type:*BatchNorm*"], {"stem.1.weight", "stem.1.bias", "norm.weight", "norm.bias"}),
        (["head"], {f"head.{n}.{kind}" for n in (0, 2) for kind in ("weight", "bias")}),
        (["norm", "token"], {"norm.weight", "norm.bias", "token"}),
    ],
)
def test_selectors_name_parameters(selectors, parameters):
    assert set(match_parameters(network(), selectors, "here")) == parameters


def test_words_stand_for_parts_unless_a_module_has_that_name():
    net = network()
    names = [name for name, _ in net.named_parameters()]
    assert match_parameters(net, ["all"], "") == names
    assert match_parameters(net, ["backbone"], "") == [name for name in names if not name.startswith("head.")]
    net.backbone = nn.Linear(2, 2)
    assert match_parameters(net, ["backbone"], "") == ["backbone.weight", "backbone.bias"]


def test_modules_are_what_is_named_and_not_what_is_below():
    assert match_modules(network(), ["stem", "type:Attention"], "") == ["stem", *(f"blocks.{n}" for n in range(12))]
    assert match_modules(network(), ["head"], "") == ["head"]


def test_names_inside_the_backbone_reach_a_composed_network():
    net = nn.Module()
    net.features, net.last = network(), nn.Linear(3, 2)
    net.backbone_name, net.head_name = "features", ("last",)
    assert match_modules(net, ["stem"], "") == ["features.stem"]
    assert match_parameters(net, ["token", "head"], "") == ["features.token", *(f"features.head.{n}.{k}" for n in (0, 2) for k in ("weight", "bias"))]  # fmt: skip


@pytest.mark.parametrize(
    ("selector", "near"),
    [
        ("bloks*", "'blocks'"),
        ("haed", "'head'"),
        ("backbon", "'backbone'"),
        ("type:BatchNorm2D", "'type:BatchNorm2d'"),
        ("stem.O", "'stem.0'"),
    ],
)
def test_an_unknown_selector_gets_the_nearest_name(selector, near):
    with pytest.raises(
        ConfigError, match=rf'here "{selector.replace("*", ".")}": matches no module. Did you mean {near}'
    ):
        match_modules(network(), [selector], "here")


def test_all_unknown_selectors_are_reported_at_once():
    with pytest.raises(ConfigError) as error:
        match_parameters(network(), ["a1", "stem", "b2"], "here")
    assert len(error.value.problems) == 2


def test_the_head_is_the_whole_module_of_that_name():
    assert find_head(network(), 3) == ("head",)
    assert find_head(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4)), 4) == ("1",)


def test_parameters_are_summarised_by_the_highest_modules():
    net = network()
    assert summarised(net, [name for name, _ in net.named_parameters()]) == "all"
    assert (
        summarised(net, ["token", "stem.0.weight", "stem.0.bias", "blocks.3.qkv.weight"]) == "token, stem.0, blocks.3"
    )
    assert summarised(net, []) == "none"
