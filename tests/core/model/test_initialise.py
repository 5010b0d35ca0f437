"""[init] draws new layers by type, and keeps trained weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from compete.config.load import load_config
from compete.config.tuning import Init
from compete.errors import ConfigError
from compete.model.initialise import initialise
from compete.model.network import build_network


def trained(seed: int, *, zero_head: bool = False) -> nn.Module:
    """A network whose `old` part comes from a file, with a new part and a new head."""
    torch.manual_seed(0)
    old = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    torch.manual_seed(seed)
    network = nn.Sequential()
    network.add_module("old", old)
    network.add_module("new", nn.Conv2d(8, 16, 3))
    network.add_module("head", nn.Linear(16, 3))
    network.head_name = "head"
    if zero_head:
        nn.init.zeros_(network.head.weight)
    return network


def after(settings: Init, seed: int = 7, **options):
    network = trained(1, **options)
    before = {name: p.clone() for name, p in network.named_parameters()}
    note = initialise(network, settings, lambda: trained(2, **options), seed)
    changed = {name for name, p in network.named_parameters() if not torch.equal(p, before[name])}
    return network, note, changed


def test_only_new_layers_are_drawn_and_their_biases_set():
    network, note, changed = after(Init(weights="orthogonal", bias=0.5))
    assert changed == {"new.weight", "new.bias", "head.weight", "head.bias"}
    assert torch.allclose(network.head.weight @ network.head.weight.T, torch.eye(3), atol=1e-5)
    assert bool((network.new.bias == 0.5).all()) and note == "init: new, head"


def test_a_head_of_zeros_is_new():
    assert "head.weight" in after(Init(weights="xavier_normal"), zero_head=True)[2]


def test_types_choose_their_own_scheme():
    network, _, changed = after(Init(weights={"Conv2d": "kaiming_normal", "Linear": "zeros"}, bias=None))
    assert changed == {"new.weight", "head.weight"} and not network.head.weight.any()
    expected = nn.Conv2d(8, 16, 3)
    torch.manual_seed(7)
    nn.init.kaiming_normal_(expected.weight, nonlinearity="relu")
    assert torch.equal(network.new.weight, expected.weight)


def test_trained_layers_that_are_named_are_drawn_and_that_is_said():
    _, note, changed = after(Init(weights="xavier_uniform", modules=["old"]))
    assert changed == {"old.0.weight", "old.0.bias"}
    assert note == "init: old.0; 1 trained weight overwritten: old.0.weight"


@pytest.mark.parametrize("scheme", ["trunc_normal", "normal", "kaiming_uniform", "xavier_uniform", "orthogonal"])
def test_a_gain_scales_the_weights(scheme):
    one, two = (after(Init(weights=scheme, gain=gain))[0].new.weight for gain in (1.0, 3.0))
    assert torch.allclose(3 * one, two, atol=1e-5)


def test_a_seed_gives_the_same_weights_and_another_seed_others():
    first, again, other = (after(Init(weights="normal"), seed)[0].head.weight for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_the_random_state_of_others_stays():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    network, other = trained(1), trained(2)
    torch.manual_seed(3)
    initialise(network, Init(weights="normal"), lambda: other, 0)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Init(weights={"Conv2": "ones"}), r"touches no layer. Did you mean 'Conv2d'"),
        (Init(weights="ones", modules=["od"]), r'modules: "od": matches no module. Did you mean \'old\''),
    ],
)
def test_what_touches_nothing_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        after(settings)


def test_where_all_layers_are_trained_nothing_is_drawn_in_silence():
    with pytest.raises(ConfigError, match="every layer holds trained weights"):
        initialise(trained(1), Init(weights="normal"), lambda: trained(1), 0)


def test_a_run_s_network_is_drawn_by_the_member_s_seed_and_says_so(tiny):
    config = load_config(tiny / "tiny.toml", ["init.weights=zeros", "init.bias=0.25"])
    network = build_network(config, 3, 0, seed=5)
    assert not network.head.weight.any() and network.notes == ("init: stem.0, head",)
    drawn = load_config(tiny / "tiny.toml", ["init.weights=normal"])
    first, again, other = (build_network(drawn, 3, 0, seed=seed).head.weight for seed in (5, 5, 6))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_a_gain_without_weights_is_refused(tiny):
    with pytest.raises(ConfigError, match=r"\[init\].*weights"):
        load_config(tiny / "tiny.toml", ["init.gain=2"])
