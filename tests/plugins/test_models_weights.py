"""Weights of backbones: from local files, adapted to other heads and channels, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from compete import ConfigError
from compete.config.load import check_config
from compete.config.options import bind
from compete.config.registry import Component
from compete_plugins.models import register_models

COMPONENTS = register_models()
TIMM = {"backbone": "test_resnet"}
TORCHVISION = {"backbone": "shufflenet_v2_x0_5"}
SOURCES = [pytest.param("timm", TIMM, id="timm"), pytest.param("torchvision", TORCHVISION, id="torchvision")]


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


def save(network, path, drop=(), add=()):
    state = {k: v.contiguous() for k, v in network.state_dict().items() if not k.startswith(tuple(drop))}
    state |= {name: torch.zeros(1) for name in add}
    save_file(state, path)
    return str(path)


@pytest.mark.parametrize(("name", "table"), SOURCES)
def test_weights_of_the_same_network_are_loaded_whole(name, table, tmp_path):
    trained = build(name, **table, head_init="default")
    path = save(trained, tmp_path / "w.safetensors")
    torch.save(
        {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in trained.state_dict().items()}}, tmp_path / "w.pth"
    )
    for weights in (path, str(tmp_path / "w.pth")):
        network = build(name, **table, weights=weights)
        assert torch.equal(logits(network), logits(trained))
        assert network.notes == ()


@pytest.mark.parametrize(("name", "table"), SOURCES)
def test_a_head_of_other_outputs_is_left_out_and_noted(name, table, tmp_path):
    trained = build(name, 7, **table)
    path = save(trained, tmp_path / "w.safetensors")
    network = build(name, 3, **table, weights=path)
    assert network.notes == (f"weights = '{path}': the head has 7 outputs, not 3, so it starts untrained",)
    assert logits(network).shape == (2, 3)
    same = [k for k, v in network.state_dict().items() if torch.equal(v, trained.state_dict()[k])]
    assert set(network.state_dict()) - set(same) == {"fc.weight", "fc.bias"}


@pytest.mark.parametrize(("name", "table"), SOURCES)
def test_a_file_without_a_head_is_taken(name, table, tmp_path):
    trained = build(name, **table)
    path = save(trained, tmp_path / "w.safetensors", drop=["fc."])
    network = build(name, **table, weights=path)
    assert network.notes == (f"weights = '{path}': the head is not in the file, so it starts untrained",)
    assert torch.equal(network.conv1[0].weight, trained.conv1[0].weight)


@pytest.mark.parametrize(("name", "table"), SOURCES)
def test_a_new_head_on_trained_weights_starts_at_zero_and_learns(name, table, tmp_path):
    path = save(build(name, 7, **table), tmp_path / "w.safetensors")
    network = build(name, **table, weights=path)
    assert torch.equal(logits(network), torch.zeros(2, 3))
    nn.functional.cross_entropy(logits(network), torch.tensor([0, 1])).backward()
    assert network.fc.weight.grad.abs().sum() > 0
    assert logits(build(name, **table, weights=path, head_init="default")).abs().sum() > 0
    assert logits(build(name, **table)).abs().sum() > 0  # an untrained network is not touched


def test_a_zero_head_of_squeezenet_learns(tmp_path):
    path = save(build("torchvision", 7, backbone="squeezenet1_1"), tmp_path / "w.safetensors")
    network = build("torchvision", backbone="squeezenet1_1", weights=path)
    assert torch.equal(logits(network), torch.zeros(2, 3))
    nn.functional.cross_entropy(logits(network), torch.tensor([0, 1])).backward()
    assert network.classifier[1].weight.grad.abs().sum() > 0


def test_a_norm_inside_a_head_is_not_zeroed(tmp_path):
    table = {"backbone": "levit_128s"}
    path = save(build("timm", 7, **table), tmp_path / "w.safetensors")
    network = build("timm", **table, weights=path)
    assert network.head.linear.weight.abs().sum() == network.head_dist.linear.weight.abs().sum() == 0
    assert network.head.bn.weight.abs().sum() > 0


@pytest.mark.parametrize(("name", "table"), SOURCES)
def test_the_first_convolution_is_adapted_to_one_channel(name, table, tmp_path):
    trained = build(name, **table)
    network = build(name, 3, 1, **table, weights=save(trained, tmp_path / "w.safetensors"))
    grey = torch.rand(2, 1, 64, 64)
    torch.testing.assert_close(network.eval()(grey), trained.eval()(grey.expand(-1, 3, -1, -1)), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("name", "table"), SOURCES)
def test_weights_of_as_many_channels_are_loaded_as_they_are(name, table, tmp_path):
    trained = build(name, 3, 5, **table)
    path = save(trained, tmp_path / "w.safetensors")
    assert torch.equal(logits(build(name, 3, 5, **table, weights=path), 5), logits(trained, 5))
    with pytest.raises(ConfigError, match=r"not for this backbone: 1 of another shape \(conv1.0.weight\)"):
        build(name, 3, 3, **table, weights=path)


@pytest.mark.parametrize(("name", "table"), SOURCES)
def test_any_other_difference_is_an_error_with_the_first_names(name, table, tmp_path):
    path = save(build(name, **table), tmp_path / "w.safetensors", drop=["conv1.0"], add=["a", "b", "c", "d"])
    expected = r"w.safetensors': not for this backbone: 1 missing in the file \(conv1.0.weight\), 4 unknown to the "
    with pytest.raises(ConfigError, match=expected + r"network \(a, b, c, \.\.\.\)\.$"):
        build(name, **table, weights=path)


class Trap:
    """Would run code when unpickled."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('the trap sprang')",))


@pytest.mark.parametrize("save_with", ["torch", "pickle"])
def test_a_file_that_would_run_code_is_refused(save_with, tmp_path):
    path = tmp_path / "w.pth"
    if save_with == "torch":
        torch.save({"fc.weight": Trap()}, path)
    else:
        path.write_bytes(pickle.dumps(Trap(), protocol=2))
    with pytest.raises(ConfigError, match=r"w.pth': refused. The file holds more than tensors"):
        build("timm", **TIMM, weights=str(path))


@pytest.mark.parametrize("file", ["w.pth", "w.safetensors"])
def test_a_damaged_file_is_an_error(file, tmp_path):
    (tmp_path / file).write_bytes(b"")
    assert bound("torchvision", **TORCHVISION, weights=str(tmp_path / file))[1] == ["the file is empty."]
    (tmp_path / file).write_bytes(b"hello, world")
    with pytest.raises(ConfigError, match=r"cannot be read, it may be damaged: \w+"):
        build("torchvision", **TORCHVISION, weights=str(tmp_path / file))


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {}])
def test_a_file_without_tensors_is_an_error(content, tmp_path):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(ConfigError, match="not a state dict"):
        build("timm", **TIMM, weights=str(tmp_path / "w.pth"))


@pytest.mark.parametrize(("name", "table"), SOURCES)
def test_the_network_without_weights_takes_the_state_of_a_trained_one(name, table, tmp_path):
    path = save(build(name, 7, **table), tmp_path / "w.safetensors")
    trained = build(name, **table, weights=path, head_init="default")
    bare = build(name, **{**table, "weights": path, **COMPONENTS[name].__compete_traits__.without_weights})
    bare.load_state_dict(trained.state_dict())
    assert torch.equal(logits(bare), logits(trained))
    assert (bare.mean, bare.std, bare.head_name) == (trained.mean, trained.std, trained.head_name)


def test_an_inception_sees_its_inputs_as_it_was_trained(tmp_path):
    import torchvision
    from torchvision.transforms.v2 import Normalize

    trained = torchvision.models.googlenet(num_classes=3, init_weights=False, aux_logits=False, transform_input=True)
    network = build("torchvision", backbone="googlenet", weights=save(trained, tmp_path / "w.safetensors"))
    images = torch.rand(2, 3, 64, 64)
    imagenet = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    own = Normalize(network.mean, network.std)
    torch.testing.assert_close(network.eval()(own(images)), trained.eval()(imagenet(images)), rtol=1e-3, atol=1e-4)


def test_pretrained_weights_of_torchvision_get_a_new_head(monkeypatch, tmp_path):
    import torchvision

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub/checkpoints").mkdir(parents=True)
    (tmp_path / "hub/checkpoints/shufflenetv2_x0.5-f707e7126e.pth").touch()  # what is in it comes from below

    trained = torchvision.models.get_model(TORCHVISION["backbone"], weights=None)
    weights = torchvision.models.get_model_weights(TORCHVISION["backbone"])
    monkeypatch.setattr(weights, "get_state_dict", lambda self, **options: trained.state_dict())
    network = build("torchvision", 3, 1, **TORCHVISION, pretrained=True)
    assert torch.equal(logits(network, 1), torch.zeros(2, 3))
    assert torch.equal(network.conv1[0].weight, trained.conv1[0].weight.sum(1, keepdim=True))
    assert torch.equal(network.stage2[0].branch2[0].weight, trained.stage2[0].branch2[0].weight)
    full = build("torchvision", 1000, 3, **TORCHVISION, pretrained=True)
    assert torch.equal(logits(full), logits(trained))


def test_pretrained_weights_of_timm_get_a_new_head(monkeypatch, tmp_path):
    import timm

    trained = timm.create_model("resnet10t")
    path = Path(save(trained, tmp_path / "model.safetensors"))
    monkeypatch.setattr("compete_plugins.models._sources._cached", lambda repository: path)
    network = build("timm", backbone="resnet10t", pretrained=True)
    assert torch.equal(logits(network), torch.zeros(2, 3))
    assert torch.equal(network.layer1[0].conv1.weight, trained.layer1[0].conv1.weight)
    assert torch.equal(logits(build("timm", 1000, backbone="resnet10t", pretrained=True)), logits(trained))
    assert network.pretrained_cfg["state_dict"] is None  # not a second copy of all weights


@pytest.mark.parametrize(("name", "table"), SOURCES)
def test_set_of_a_file_replaces_pretrained_and_says_so(name, table, tmp_path):
    path = save(build(name, **table), tmp_path / "w.safetensors")
    data = {
        "competition": {"name": "x", "root": "."},
        "dataset": {"name": "folder"},
        "metric": {"name": "accuracy"},
        "model": {"name": name, "pretrained": True, "backbone": "resnet18"},
    }
    config = check_config(data, [f"model.backbone={table['backbone']}", f"model.weights={path}"])
    assert config.one("models").options["pretrained"] is False
    assert "[model] pretrained left out: --set model.weights takes its place" in config.notes
    data["model"] |= {"pretrained": False, "weights": "gone.safetensors"}
    config = check_config(data, ["model.pretrained=true"])
    assert config.one("models").options["weights"] == ""
    with pytest.raises(ConfigError, match="no such file"):  # false replaces nothing
        check_config(data, ["model.pretrained=false"])
    data["model"]["pretrained"] = True
    with pytest.raises(ConfigError, match="not both"):  # which of two in one file is meant, nobody knows
        check_config(data)
    assert check_config(data, ["model.weights="]).one("models").options["pretrained"]
