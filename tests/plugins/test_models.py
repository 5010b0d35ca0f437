"""Backbones: heads, channels, options, and what is refused. Their weights have a test file of their own."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch import nn

from compete import ConfigError, PluginError
from compete.config.options import bind
from compete.config.registry import Component
from compete.model.weights import weights_of, weights_state
from compete_plugins.models import register_models

COMPONENTS = register_models()
TIMM = {"backbone": "test_resnet"}
TORCHVISION = {"backbone": "shufflenet_v2_x0_5"}


def bound(name, **table):
    found, problems = bind(Component("models", name, COMPONENTS[name], "test"), table, "[model]")
    return found, [problem.message for problem in problems]


def build(name, outputs=3, channels=3, **table):
    torch.manual_seed(0)
    found, problems = bound(name, **table)
    assert not problems, problems
    return found.build(outputs, channels)


def logits(network, channels=3, size=64, count=2):
    return network.eval()(torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize(
    ("name", "table", "channels", "head"),
    [
        ("timm", {"backbone": "test_resnet"}, 3, "fc"),
        ("timm", {"backbone": "test_efficientnet", "drop_rate": 0.2, "drop_path_rate": 0.1}, 1, "classifier"),
        ("timm", {"backbone": "test_convnext"}, 5, "head.fc"),
        ("timm", {"backbone": "test_vit", "arguments": {"img_size": 64}}, 3, "head"),
        ("torchvision", {"backbone": "shufflenet_v2_x0_5"}, 4, "fc"),
        ("torchvision", {"backbone": "squeezenet1_1"}, 1, "classifier.1"),
        ("torchvision", {"backbone": "mobilenet_v3_small", "arguments": {"dropout": 0.5}}, 3, "classifier.3"),
        ("torchvision", {"backbone": "googlenet"}, 1, "fc"),
        ("resnet9", {"width": 8}, 2, "head"),
        ("resnet9", {"width": 4}, 3, "head"),
    ],
)
def test_networks_give_logits_and_name_their_head(name, table, channels, head):
    network = build(name, 5, channels, **table)
    assert logits(network, channels).shape == (2, 5)
    assert network.train()(torch.rand(2, channels, 64, 64)).shape == (2, 5)
    assert network.head_name == head
    last = [m for m in network.get_submodule(head).modules() if isinstance(m, nn.Linear | nn.Conv2d)][-1]
    assert last.weight.shape[0] == 5
    if name != "resnet9":
        assert len(network.mean) == len(network.std) == channels


def test_options_reach_the_network():
    assert build("timm", backbone="test_efficientnet", drop_rate=0.25).drop_rate == 0.25
    plain = build("timm", backbone="test_vit", arguments={"img_size": 64})
    deep = build("timm", backbone="test_vit", arguments={"img_size": 64}, drop_path_rate=0.5)
    assert "DropPath" in str(deep) and "DropPath" not in str(plain)
    dropout = build("torchvision", backbone="mobilenet_v3_small", arguments={"dropout": 0.5})
    assert dropout.classifier[2].p == 0.5


def test_normalisation_constants_fit_the_channels():
    assert build("timm", **TIMM).mean == (0.5, 0.5, 0.5)
    assert build("timm", backbone="resnet10t").mean == (0.485, 0.456, 0.406)
    assert build("timm", 3, 1, backbone="resnet10t").mean == pytest.approx((0.449,))
    assert build("torchvision", 3, 4, **TORCHVISION).std == (0.229, 0.224, 0.225, 0.229)


@pytest.mark.parametrize(
    ("name", "table", "message"),
    [
        (
            "timm",
            {"backbone": "reset18"},
            "unknown timm backbone 'reset18'. Did you mean 'resnet18'? `compete models resnet` lists more.",
        ),
        ("timm", {"backbone": "resnet18.a1_in2k"}, "unknown timm backbone 'resnet18.a1_in2k'. Did you mean 'res"),
        ("torchvision", {"backbone": "resnet81"}, "unknown torchvision backbone 'resnet81'. Did you mean 'resn"),
        ("timm", {"arguments": {"num_classes": 3}}, "arguments.num_classes: set by the runner or by an option"),
        (
            "timm",
            {"arguments": {"pretrained_cfg_overlay": {"file": "evil.pth"}}},
            "arguments.pretrained_cfg_overlay: refused",
        ),
        (
            "timm",
            {"arguments": {"pretrained_cfg": {"file": "evil.pth"}}},
            "arguments.pretrained_cfg: refused, because it can",
        ),
        (
            "timm",
            {"arguments": {"pretrained_strict": False}},
            "arguments.pretrained_strict: refused, because it can load",
        ),
        (
            "timm",
            {"arguments": {"checkpoint_path": "evil.pth"}},
            "arguments.checkpoint_path: refused, because it can load",
        ),
        ("timm", {"arguments": {"cache_dir": "evil"}}, "arguments.cache_dir: refused, because it can load files"),
        (
            "torchvision",
            {"arguments": {"weights_backbone": "DEFAULT"}},
            "arguments.weights_backbone: refused, because it",
        ),
        ("torchvision", {"arguments": {"weights": "x"}}, "arguments.weights: refused, because it can load files"),
        ("timm", {"backbone": "vit_tiny_patch16_224", "head_init": "one"}, 'must be "zero" or "default".'),
    ],
)
def test_options_are_checked_when_the_toml_is_read(name, table, message):
    (problem,) = bound(name, **table)[1]
    assert problem.startswith(message)


@pytest.mark.parametrize(
    ("library", "typed", "meant"),
    [
        ("timm", "efficientnet_bo", "Did you mean 'efficientnet_b0'?"),
        ("timm", "efficientnetb0", "Did you mean 'efficientnet_b0'?"),
        ("timm", "tf_efficientnet", "Did you mean 'tf_efficientnet_b0'?"),
        ("timm", "resnet-50", "Did you mean 'resnet50'?"),
        ("timm", "ResNet50", "Did you mean 'resnet50'?"),
        ("timm", "resnet5O", "Did you mean 'resnet50'?"),
        ("timm", "vit_base", "Did you mean 'vit_base_patch16_224'?"),
        ("timm", "convnext-tiny", "Did you mean 'convnext_tiny'?"),
        ("timm", "swin_base", "Did you mean 'swin_base_patch4_window7_224'?"),
        ("timm", "dinov2", "Did you mean 'vit_"),
        ("timm", "EfficientNetV2S", "Did you mean 'efficientnetv2_s'?"),
        ("timm", "vit_b_16", "but torchvision has 'vit_b_16': set [model] name = \"torchvision\"."),
        ("timm", "tf_efficientnet_b4_ns", "is called 'tf_efficientnet_b4.ns_jft_in1k' since timm 0.9."),
        ("torchvision", "resnet-18", "Did you mean 'resnet18'?"),
        ("torchvision", "tf_efficientnet_b0", "but timm has 'tf_efficientnet_b0': set [model] name = \"timm\"."),
        ("torchvision", "mobilenet", "Did you mean 'mobilenet_v2'?"),
    ],
)
def test_an_unknown_backbone_names_the_one_that_is_meant(library, typed, meant):
    (problem,) = bound(library, backbone=typed)[1]
    assert meant in problem


def test_backbones_without_pretrained_weights_say_so():
    import timm

    backbone = next(name for name in timm.list_models("vit_*") if not timm.is_model_pretrained(name))
    (problem,) = bound("timm", backbone=backbone, pretrained=True)[1]
    assert problem == f"backbone = '{backbone}': timm has no pretrained weights for it. Set pretrained = false."


@pytest.mark.parametrize("name", ["timm", "torchvision"])
def test_a_missing_weights_file_is_found_when_the_toml_is_read(name, tmp_path):
    (tmp_path / "mobilenet.safetensors").touch()
    weights = str(tmp_path / "mobilnet.safetensors")
    exclusive, missing = bound(name, pretrained=True, weights=weights)[1]
    assert exclusive == "set either pretrained = true or weights, not both: a local file needs pretrained = false."
    assert missing.startswith(f"weights = '{weights}': no such file: {weights}.")
    assert missing.endswith("Did you mean 'mobilenet.safetensors'?")
    (problem,) = bound(name, weights="no/such/w.pth")[1]
    assert "no such file" in problem


def test_arguments_that_a_backbone_does_not_take_are_an_error():
    with pytest.raises(ConfigError, match=r"backbone 'test_resnet' cannot be built .*unexpected keyword .*'depht'"):
        build("timm", **TIMM, arguments={"depht": 3})
    with pytest.raises(ConfigError, match=r"backbone 'shufflenet_v2_x0_5' cannot be built .*'depht'"):
        build("torchvision", **TORCHVISION, arguments={"depht": 3})
    with pytest.raises(ConfigError, match=r"backbone 'vgg11' cannot be built .*'drop_path_rate'"):
        build("timm", backbone="vgg11", drop_path_rate=0.1)


@pytest.mark.parametrize(
    ("name", "table", "asked", "file"),
    [
        ("timm", {"backbone": "resnet18"}, "timm/resnet18.a1_in1k", "resnet18.a1_in1k.safetensors"),
        ("timm", {"backbone": "gcvit_base"}, "timm/gcvit_base", "gcvit_base_224_nvidia-f009139b.pth"),
        (
            "torchvision",
            TORCHVISION,
            "torchvision/shufflenet_v2_x0_5 IMAGENET1K_V1",
            "shufflenetv2_x0.5-f707e7126e.pth",
        ),
    ],
)
def test_models_say_which_trained_weights_they_need(name, table, asked, file, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    (needed,) = weights_of(bound(name, **table, pretrained=True)[0])
    assert (needed.name, needed.file_name, needed.path) == (asked, file, None)
    assert weights_of(bound(name, **table)[0]) == ()
    own = tmp_path / "own.pth"
    own.write_bytes(b"x")
    (local,) = weights_of(bound(name, **table, weights=str(own))[0])
    assert local.path == own and str(weights_state(local)) == f"{own}: at hand"


def test_models_that_need_none_or_say_nothing(tmp_path):
    assert weights_of(bound("resnet9")[0]) == ()
    (tmp_path / "own.py").write_text("def build(outputs, channels): ...")
    assert weights_of(bound("file", path=str(tmp_path / "own.py"), factory="build")[0]) is None


@pytest.mark.parametrize("size", [8, 32, 45])
def test_resnet9_takes_any_size(size):
    assert logits(build("resnet9", 4, 3, width=4), size=size).shape == (2, 4)


def test_resnet9_is_the_well_known_one():
    network = build("resnet9", 10, 3)
    assert sum(p.numel() for p in network.parameters()) == 6_573_120  # as in Page's series, head included
    assert sum(isinstance(m, nn.Conv2d) for m in network.modules()) == 8
    (problem,) = bound("resnet9", width=0)[1]
    assert "must be an integer, 1 <= x <= 1024" in problem


USER_CODE = """
from torch import nn

class Tiny(nn.Module):
    def __init__(self, outputs, channels, width=4):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(channels, width, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(width, outputs)

    def forward(self, images):
        return self.head(self.layers(images))

def build(outputs, channels, **options):
    return Tiny(outputs, channels, **options)

def wrong(outputs, channels):
    return "a network"

def broken(outputs, channels):
    raise KeyError("no such thing")

alias = Tiny
"""


@pytest.fixture
def user_file(tmp_path):
    path = tmp_path / "my_network.py"
    path.write_text(USER_CODE)
    return str(path)


@pytest.mark.parametrize("factory", ["Tiny", "build", "alias"])
def test_a_network_from_a_file(factory, user_file):
    network = build("file", 3, 2, path=user_file, factory=factory, arguments={"width": 6})
    assert logits(network, 2).shape == (2, 3) and network.head.in_features == 6
    assert type(pickle.loads(pickle.dumps(network))) is type(network)


def test_a_network_from_a_file_that_is_not_there_is_found_when_the_toml_is_read(user_file, tmp_path):
    (problem,) = bound("file", path=user_file, factory="Tinny")[1]
    assert problem.startswith(f"{user_file}: unknown class or function 'Tinny'. Did you mean 'Tiny'? Available: Tiny,")
    (problem,) = bound("file", path="no.py", factory="Tiny")[1]
    assert problem.startswith("path = 'no.py': no such file")
    (tmp_path / "bad.py").write_text("def x(:")
    (problem,) = bound("file", path=str(tmp_path / "bad.py"), factory="x")[1]
    assert "bad.py': not valid Python: invalid syntax" in problem


@pytest.mark.parametrize(
    ("factory", "arguments", "message"),
    [
        ("wrong", None, r"my_network.py: wrong returned str, not an nn.Module"),
        ("broken", None, r"broken raised KeyError\('no such thing'\) at .*my_network.py:20"),
        ("Tiny", {"depth": 3}, r"Tiny raised TypeError\(.*'depth'"),
    ],
)
def test_a_factory_that_fails_is_named(factory, arguments, message, user_file):
    with pytest.raises(PluginError, match=message):
        build("file", path=user_file, factory=factory, arguments=arguments)


def test_no_argument_of_timm_that_names_weights_is_passed_on():
    """The arguments of timm's own builders, as installed: whatever one is called that loads a file, it is refused."""
    import inspect

    import timm
    from timm.models import build_model_with_cfg

    known = {*inspect.signature(timm.create_model).parameters, *inspect.signature(build_model_with_cfg).parameters}
    loading = {
        name for name in known if any(word in name for word in ("pretrained", "checkpoint", "cache", "cfg", "dir"))
    }
    for name in loading - {"model_cfg", "feature_cfg"}:  # of the architecture; the two are given by each network itself
        assert any(name in problem for problem in bound("timm", arguments={name: "evil.pth"})[1]), name
