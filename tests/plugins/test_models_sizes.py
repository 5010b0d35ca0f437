"""The size, mean and std that a backbone's own configuration states, and what helps where it takes no other size."""

from __future__ import annotations

import tomllib

import pytest

from compete import ConfigError
from compete.config.load import check_config
from compete.model.network import build_network
from compete.toml.read import write_toml_text
from compete_plugins.models._sizes import takes

NOTE = "[images] size = {}: the model's own input size, because the TOML sets none"


def config_of(model: dict[str, object], **images: object):
    data = {
        "competition": {"name": "x", "root": "."},
        "dataset": {"name": "folder"},
        "metric": {"name": "accuracy"},
        "model": model,
    }
    return check_config({**data, **({"images": images} if images else {})})


@pytest.mark.parametrize(
    ("name", "table", "size"),
    [
        ("timm", {"backbone": "resnet18"}, 224),
        ("timm", {"backbone": "tf_efficientnet_b4"}, 380),
        ("timm", {"backbone": "inception_v3"}, 299),
        ("timm", {"backbone": "vit_small_patch14_dinov2"}, 518),
        ("timm", {"backbone": "vit_base_patch16_384"}, 384),
        ("timm", {"backbone": "vit_tiny_patch16_224", "arguments": {"img_size": 96}}, 96),
        ("torchvision", {"backbone": "resnet18"}, 224),
        ("torchvision", {"backbone": "efficientnet_b4"}, 380),
        ("torchvision", {"backbone": "vit_h_14", "pretrained": True}, 518),
        ("torchvision", {"backbone": "vit_h_14"}, 224),
        ("torchvision", {"backbone": "vit_b_16", "arguments": {"image_size": 64}}, 64),
        ("resnet9", {}, 224),
    ],
)
def test_a_toml_without_a_size_takes_the_model_s_own_and_says_so(name, table, size):
    config = config_of({"name": name, **table})
    assert config.images.size == (size, size) and config.resolved()["images"]["size"] == (size, size)
    assert config.notes == (() if size == 224 else (NOTE.format([size, size]),))
    again = check_config(tomllib.loads(write_toml_text(config.resolved())))
    assert again.images == config.images and again.notes == ()


def test_a_size_of_the_toml_stands():
    config = config_of({"name": "timm", "backbone": "tf_efficientnet_b4"}, size=[224, 224])
    assert config.images.size == (224, 224) and config.notes == ()


@pytest.mark.parametrize(
    ("name", "backbone", "channels", "mean"),
    [
        ("timm", "resnet18", 3, [0.485, 0.456, 0.406]),
        ("timm", "vit_base_patch16_224", 3, [0.5, 0.5, 0.5]),
        ("timm", "resnet18", 1, [pytest.approx(0.449)]),
        ("torchvision", "googlenet", 3, [0.5, 0.5, 0.5]),
        ("torchvision", "resnet18", 4, [0.485, 0.456, 0.406, 0.485]),
        ("resnet9", None, 3, None),
    ],
)
def test_mean_and_std_are_the_model_s_unless_the_toml_says_otherwise(name, backbone, channels, mean):
    model = {"name": name, **({"backbone": backbone} if backbone else {})}
    assert config_of(model, channels=channels).images.mean == mean
    own = config_of(model, channels=channels, mean=[0.1])
    assert own.images.mean == [0.1] and (own.images.std is None) == (backbone is None)


@pytest.mark.parametrize(
    ("model", "size", "cures"),
    [
        (
            {"name": "timm", "backbone": "vit_tiny_patch16_224", "pretrained": True},
            [256, 256],
            ["images.size=[224, 224]", "model.arguments.img_size=256", "model.arguments.dynamic_img_size=true"],
        ),
        (
            {"name": "timm", "backbone": "swin_tiny_patch4_window7_224"},
            [128, 160],
            ["images.size=[224, 224]", "model.arguments.img_size=[128, 160]", "model.arguments.dynamic_img_size=true"],
        ),
        (
            {"name": "timm", "backbone": "mixer_s32_224"},
            [256, 256],
            ["images.size=[224, 224]", "model.arguments.img_size=256"],
        ),
        # Trained weights of a mixer fit no other size: their layers mix that many patches.
        ({"name": "timm", "backbone": "mixer_b16_224", "pretrained": True}, [256, 256], ["images.size=[224, 224]"]),
        ({"name": "timm", "backbone": "levit_128s", "pretrained": True}, [256, 256], ["images.size=[224, 224]"]),
        (
            {"name": "timm", "backbone": "beit_base_patch16_224"},
            [384, 384],
            ["images.size=[224, 224]", "model.arguments.img_size=384"],
        ),
        (
            {"name": "timm", "backbone": "coat_lite_tiny"},
            [160, 160],
            ["images.size=[224, 224]", "model.arguments.img_size=160"],
        ),
        (
            {"name": "timm", "backbone": "convnext_atto"},
            [20, 20],
            ["images.size=[224, 224]", "images.size=[32, 32]"],
        ),
        (
            {"name": "torchvision", "backbone": "vit_b_16"},
            [256, 256],
            ["images.size=[224, 224]", "model.arguments.image_size=256"],
        ),
        ({"name": "torchvision", "backbone": "vit_b_16", "pretrained": True}, [256, 256], ["images.size=[224, 224]"]),
    ],
    ids=lambda value: value.get("backbone") if isinstance(value, dict) else None,
)
def test_what_helps_a_backbone_of_another_size_works(model, size, cures):
    config = config_of(model, size=size)
    assert list(config.one("models").model_input(3).cures(3, *size)) == cures
    for cure in cures:
        cured = check_config(tomllib.loads(write_toml_text(config.resolved())), [cure])
        network = cured.one("models")
        assert takes(lambda changed, bound=network: _bare(bound), {}, 3, cured.images.size), cure
    assert not takes(lambda _: _bare(config.one("models")), {}, 3, tuple(size))


def _bare(bound):
    return bound.component.factory(2, 3, **{**bound.options, "pretrained": False})


def test_a_wrong_size_is_refused_with_what_to_type():
    config = config_of({"name": "timm", "backbone": "test_vit"}, size=[100, 100])
    with pytest.raises(ConfigError) as raised:
        build_network(config, 2, 0, seed=0)
    message = str(raised.value)
    assert "cannot take images of shape (3, 100, 100)" in message
    assert 'What helps: `--set "images.size=[160, 160]"`, or `--set "images.size=[96, 96]"`' in message
    assert "Check [images]" not in message


def test_arguments_that_trained_weights_do_not_fit_are_an_error(monkeypatch, tmp_path):
    import timm
    from safetensors.torch import save_file

    save_file(timm.create_model("mixer_s32_224", num_classes=5).state_dict(), tmp_path / "model.safetensors")
    monkeypatch.setattr("compete_plugins.models._sources._cached", lambda _: tmp_path / "model.safetensors")
    config = config_of({"name": "timm", "backbone": "mixer_b16_224", "pretrained": True, "arguments": {"img_size": 32}})
    with pytest.raises(
        ConfigError, match=r"backbone 'mixer_b16_224': its trained weights do not fit these arguments: "
    ):
        build_network(config, 2, 0, seed=0)
