"""Networks of torchvision, by name, with weights from its server or from a local file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from torch import nn

from compete import Backbone, Backbones, InputFile, ModelInput, Weights, component

from ._network import (
    ALTERNATIVES,
    WITHOUT_WEIGHTS,
    check_network,
    described,
    head_note,
    layer_outputs,
    refuse_arguments,
    unknown_backbone,
    zero_head,
)
from ._sizes import cures, per_channel
from ._sources import file_weights, url_weights
from ._weights import input_channels, load_exactly, read_weights, rows

RESERVED = ("num_classes", "progress", "aux_logits", "transform_input")
INCEPTION = ("googlenet", "inception_v3")
SIZED = ("vit_", "maxvit")  # built for images of one size
USUAL_SIDE = 224
AUXILIARY_HEADS = ("AuxLogits", "aux1", "aux2")


def _check(
    backbone: str, pretrained: bool, weights: str, arguments: dict[str, Any] | None, **_: object
) -> Iterator[str]:
    given: Any = {"pretrained": pretrained, "weights": weights, "arguments": arguments}
    yield from check_network(backbone, _names(), _unknown, RESERVED, **given)


def _unknown(name: str) -> str:
    import timm

    return unknown_backbone("torchvision", name, _names(), "timm", timm.list_models(), lambda _: 0)


def _names() -> list[str]:
    from torchvision import models

    return list(models.list_models(module=models))


def _describe(backbone: str) -> Backbone:
    trained = _weights_of(backbone)
    size = trained.transforms().crop_size
    return Backbone(trained.meta["num_params"], size[0], trained.name)


def _weights(backbone: str, pretrained: bool, weights: str, **_: object) -> tuple[Weights, ...]:
    if weights or not pretrained:
        return file_weights(weights) if weights else ()
    trained = _weights_of(backbone)
    return (url_weights(trained.url, f"torchvision/{backbone} {trained.name}"),)


def _input(
    channels: int, *, backbone: str, pretrained: bool, arguments: dict[str, Any] | None, **_: object
) -> ModelInput:
    size = _size(backbone, pretrained, arguments or {})

    def build(changed: dict[str, Any]) -> nn.Module:
        network = _create(backbone, {**(arguments or {}), **changed})
        _adapt_stem(network, channels)
        return network

    # A trained vision transformer cannot be built for another size: torchvision does not resample its positions.
    names = () if pretrained or not backbone.startswith(SIZED) else ("image_size",)
    mean, std = (per_channel(values, channels) for values in _normalisation(backbone))
    return ModelInput(size, mean, std, cures(build, size, names))


def _size(backbone: str, pretrained: bool, arguments: dict[str, Any]) -> tuple[int, int]:
    """Return the input's height and width: by argument, else of the weights; untrained transformers have their own."""
    given = arguments.get("image_size") or arguments.get("input_size")
    if not given and (pretrained or not backbone.startswith(SIZED)):
        given = _weights_of(backbone).transforms().crop_size
    given = given or USUAL_SIDE
    sides = (given,) if isinstance(given, int) else tuple(given)
    return sides[0], sides[-1]


@component(
    check=_check,
    without_weights=WITHOUT_WEIGHTS,
    backbones=Backbones(_names, _describe),
    weights=_weights,
    model_input=_input,
    alternatives=ALTERNATIVES,
)
def torchvision_network(
    outputs: int,
    channels: int,
    *,
    backbone: str = "resnet18",
    pretrained: bool = False,
    weights: InputFile = "",
    head_init: Literal["zero", "default"] = "zero",
    arguments: dict[str, Any] | None = None,
) -> nn.Module:
    """Build a network of torchvision (https://docs.pytorch.org/vision/stable/models.html).

    `backbone` is a name such as "resnet18". `pretrained` downloads its best weights; `weights` takes them from a local
    .safetensors or .pth file instead. A head with another number of outputs is left out, and the first convolution is
    adapted to the number of channels.
    `head_init`: "zero" starts a new head on trained weights from even predictions; "default" draws it.
    `arguments` are passed to torchvision unchanged, for example `{dropout = 0.3}` or `{image_size = 384}`.
    """
    if weights:
        network, found = _from_file(backbone, outputs, channels, weights, arguments or {})
    elif pretrained:
        network, found = _from_server(backbone, arguments or {})
    else:
        network, found = _create(backbone, {**(arguments or {}), "num_classes": outputs}), outputs
    _adapt_stem(network, channels)
    head = _head_name(network, found or outputs)
    if found != outputs:
        _replace_head(network, head, outputs)
        if head_init == "zero":
            zero_head(network, [head], outputs)
    note = head_note(weights, found, outputs) if weights else ""
    return described(network, head, *_normalisation(backbone), channels, note)


def _from_server(backbone: str, arguments: dict[str, Any]) -> tuple[nn.Module, int]:
    """Return the network as it was trained and its number of outputs."""
    (wanted,) = _weights(backbone, pretrained=True, weights="")
    if wanted.path is None:
        wanted.fetch(lambda *_: None)
    trained = _weights_of(backbone)
    return _create(backbone, {**arguments, "weights": trained}), len(trained.meta["categories"])


def _from_file(
    backbone: str, outputs: int, channels: int, path: str, arguments: dict[str, Any]
) -> tuple[nn.Module, int]:
    """Return the network as in the file and the number of outputs of its head (0: it has none)."""
    state = {k: v for k, v in read_weights(path).items() if not k.startswith(AUXILIARY_HEADS)}
    network = _create(backbone, {**arguments, "num_classes": outputs})
    head = _head_name(network, outputs)
    found = rows(state, head)
    if found not in (0, outputs):
        _replace_head(network, head, found)
    _adapt_stem(network, input_channels(state, _stem_name(network), channels))
    if not found:
        own = network.state_dict()
        state |= {f"{head}.{key}": own[f"{head}.{key}"] for key in network.get_submodule(head).state_dict()}
    load_exactly(network, state, path)
    return network, found


def _create(backbone: str, options: dict[str, Any]) -> nn.Module:
    from torchvision import models

    if backbone in INCEPTION and "weights" not in options:
        options = {"init_weights": False, **options}  # their own initialisation takes minutes, and warns
    try:
        network: nn.Module = models.get_model(backbone, **options)
    except (TypeError, ValueError) as error:
        raise refuse_arguments(backbone, error) from error
    return _with_plain_logits(network)


def _with_plain_logits(network: Any) -> nn.Module:  # noqa: ANN401
    """Make training return one tensor of logits: no auxiliary heads, no ReLU after the head."""
    from torchvision.models import SqueezeNet

    if hasattr(network, "transform_input"):  # set with trained weights only; `_normalisation` does the same
        network.transform_input = False
    if getattr(network, "aux_logits", False):
        network.aux_logits = False
        for name in AUXILIARY_HEADS:
            if hasattr(network, name):
                setattr(network, name, None)
    if isinstance(network, SqueezeNet):  # before a ReLU, a head of zeros would never learn
        network.classifier[2] = nn.Identity()
    plain: nn.Module = network
    return plain


def _head_name(network: nn.Module, outputs: int) -> str:
    """Return the name of the last layer with that many outputs: `fc`, `classifier.6`, `heads.head`, ..."""
    heads: list[str] = [name for name, module in network.named_modules() if layer_outputs(module) == outputs]
    return heads[-1]


def _replace_head(network: nn.Module, name: str, outputs: int) -> None:
    old = network.get_submodule(name)
    if isinstance(old, nn.Conv2d):
        new: nn.Module = nn.Conv2d(old.in_channels, outputs, kernel_size=1)
    elif isinstance(old, nn.Linear):
        new = nn.Linear(old.in_features, outputs)
    network.set_submodule(name, new)


def _stem_name(network: nn.Module) -> str:
    stem: str = next(name for name, module in network.named_modules() if isinstance(module, nn.Conv2d))
    return stem


def _adapt_stem(network: nn.Module, channels: int) -> None:
    """Adapt the first convolution to the channels: kernels are summed for one channel, or repeated and scaled."""
    from timm.models import adapt_input_conv

    name = _stem_name(network)
    old = network.get_submodule(name)
    if not isinstance(old, nn.Conv2d) or old.in_channels == channels:
        return
    old.weight = nn.Parameter(adapt_input_conv(channels, old.weight.detach()))
    old.in_channels = channels


def _weights_of(backbone: str) -> Any:  # noqa: ANN401
    from torchvision import models

    return models.get_model_weights(backbone).DEFAULT


def _normalisation(backbone: str) -> tuple[Sequence[float], Sequence[float]]:
    """Return mean and std: ImageNet's, but for the Inceptions, trained on inputs from -1 to 1."""
    if backbone in INCEPTION:
        return (0.5,) * 3, (0.5,) * 3
    constants = _weights_of(backbone).transforms()
    return constants.mean, constants.std
