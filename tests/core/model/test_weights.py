"""Whether trained weights can be had: asked once, before anything long, and what to type where they cannot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from compete.config.load import check_config
from compete.config.options import BoundComponent
from compete.config.registry import Component, Weights, component
from compete.errors import CompeteError, ConfigError, PluginError
from compete.model.network import build_network
from compete.model.weights import fetch, frozen_from_scratch, obtain_weights, quoted, weights_of, weights_state

DATA = {
    "competition": {"name": "x", "root": "."},
    "dataset": {"name": "folder"},
    "metric": {"name": "accuracy"},
    "images": {"size": [16, 16]},
    "model": {"name": "resnet9", "width": 2},
}


def refused() -> int:
    raise OSError("HTTPSConnectionPool(host='h', port=443): Max retries (Caused by E('x: [Errno -2] Name unknown'))")


def config_of(tmp_path: Path, *needed: Weights, network=lambda outputs: nn.Sequential(nn.Flatten(), nn.LazyLinear(2))):
    """A TOML whose model asks for these weights."""
    built = []

    @component(weights=lambda **_: needed, without_weights={"pretrained": False})
    def model(outputs: int, channels: int, *, pretrained: bool = True) -> nn.Module:
        built.append(pretrained)
        return network(outputs)

    bound = BoundComponent(Component("models", "mine", model, "test"), {"pretrained": True})
    config = check_config(DATA, path=tmp_path / "my own.toml")
    return replace(config, components={**config.components, "models": (bound,)}), built


def test_weights_that_cannot_be_had_name_each_command_and_nothing_is_built(tmp_path):
    config, built = config_of(tmp_path, Weights("hub/tiny", "https://hub", "tiny.pth", None, refused))
    with pytest.raises(CompeteError) as raised:
        build_network(config, 2, 0, seed=0)
    assert str(raised.value) == (
        '[model] name = "mine": the trained weights hub/tiny are not on this machine and cannot be fetched: Name '
        f'unknown. Where there is a network, type `compete weights "{tmp_path}/my own.toml" --to weights`, copy that '
        "folder here, and add `--set model.weights=weights/tiny.pth`; or train from scratch: "
        "`--set model.pretrained=false`."
    )
    assert built == [] and raised.value.exit_status == 1
    build_network(config, 2, 0, seed=0, weights=False)  # as finished members need it


def test_the_bare_network_is_tried_before_a_download(tmp_path):
    fetched = []

    def deliver(progress):
        progress(5, 5)
        fetched.append("tiny")
        return tmp_path

    needed = Weights("hub/tiny", "https://hub", "tiny.pth", None, lambda: 5, deliver)
    config, built = config_of(tmp_path, needed, network=lambda outputs: nn.Sequential(nn.Flatten(), nn.Linear(7, 2)))
    with pytest.raises(ConfigError, match=r"cannot take images of shape \(3, 16, 16\).*Check \[images\] size"):
        build_network(config, 2, 0, seed=0)
    assert built == [False] and fetched == []
    config, built = config_of(tmp_path, needed)
    seen = []
    build_network(config, 2, 0, 0, True, lambda *counts: seen.append(counts))
    assert built == [False, True] and fetched == ["tiny"] and seen == [(5, 5)]


def test_a_fetch_does_not_change_how_the_network_is_drawn(tmp_path):
    file = tmp_path / "w"
    file.write_bytes(b"x")
    drawn = []
    for path in (file, None):
        config, _ = config_of(tmp_path, Weights("w", "s", "w", path, lambda: 1, lambda _: file))
        drawn.append(build_network(config, 2, 0, seed=3)[1].weight)
    assert torch.equal(*drawn)


def test_an_error_of_a_library_during_a_fetch_is_one_sentence(tmp_path):
    needed = Weights("hub/tiny", "https://hub", "t.pth", None, lambda: 5, lambda _: refused())
    with pytest.raises(
        CompeteError, match=r"^hub/tiny: could not be fetched from https://hub: Name unknown\. What arr"
    ):
        fetch(needed, lambda *_: None)
    assert weights_state(needed).size == 5
    assert weights_state(Weights("w", "s", "f", None, lambda: [][0])).reason == "list index out of range"
    assert weights_state(Weights("w", "s", "f", None, lambda: int(None))).reason.startswith("int() argument")


def test_a_component_that_fails_to_say_is_the_plugin_s_fault(tmp_path):
    @component(weights=lambda **_: 1 / 0)
    def model(outputs: int, channels: int) -> nn.Module: ...

    with pytest.raises(PluginError, match=r"plugin test: 'mine': its weights raised ZeroDivisionError"):
        weights_of(BoundComponent(Component("models", "mine", model, "test"), {}))


def test_nothing_missing_asks_nobody(tmp_path):
    config, _ = config_of(tmp_path)
    obtain_weights(config, config.one("models"), lambda: 1 / 0, lambda *_: None)


def test_arguments_are_quoted_for_a_shell():
    assert quoted("images.size=[224, 224]") == '"images.size=[224, 224]"' and quoted("a=b.pth") == "a=b.pth"


@pytest.mark.parametrize(
    ("finetune", "weights", "warned"),
    [({"freeze": "backbone"}, 0, 1), ({"preset": "features"}, 0, 1), ({"freeze": "backbone"}, 1, 0), ({}, 0, 0)],
)
def test_a_backbone_that_nothing_ever_trained_is_a_warning(tmp_path, finetune, weights, warned):
    needed = [Weights("hub/tiny", "https://hub", "tiny.pth", None, refused)] * weights
    components = config_of(tmp_path, *needed)[0].components
    config = replace(check_config({**DATA, "finetune": finetune}, path=tmp_path / "x.toml"), components=components)
    assert len(frozen_from_scratch(config)) == warned
