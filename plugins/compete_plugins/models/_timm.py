"""Networks of timm, by name, with weights from its hub or from a local file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import nn

from compete import Backbone, Backbones, CompeteError, ConfigError, InputFile, component

from ._gem import pool_generalised_mean
from ._network import WITHOUT_WEIGHTS, check_network, described, head_note, refuse_arguments, zero_head
from ._stages import timm_stages
from ._weights import input_channels, quiet_hub, read_weights, refuse_differences, rows

RESERVED = ("num_classes", "in_chans", "drop_rate", "drop_path_rate")
Rate = Annotated[float, Field(ge=0, le=0.99)]


def _check(
    backbone: str, pretrained: bool, weights: str, arguments: dict[str, Any] | None, **_: object
) -> Iterator[str]:
    import timm

    names = timm.list_models(pretrained="." in backbone)  # "resnet18.a1_in1k" also names the weights
    given: Any = {"pretrained": pretrained, "weights": weights, "arguments": arguments}
    yield from check_network("timm", backbone, names, RESERVED, **given)
    if pretrained and backbone in names and not timm.is_model_pretrained(backbone):
        yield f"backbone = '{backbone}': timm has no pretrained weights for it. Set pretrained = false."


def _names() -> list[str]:
    import timm

    return list(timm.list_models())


def _describe(backbone: str) -> Backbone:
    """Count the parameters of a network without memory, and read its configuration."""
    import timm

    with torch.device("meta"):
        parameters = sum(p.numel() for p in timm.create_model(backbone).parameters())
    trained = timm.get_pretrained_cfg(backbone)
    weights = trained.tag or "default" if timm.is_model_pretrained(backbone) else ""
    return Backbone(parameters, trained.input_size[-1], weights)


@component(check=_check, without_weights=WITHOUT_WEIGHTS, backbones=Backbones(_names, _describe))
def timm_network(
    outputs: int,
    channels: int,
    *,
    backbone: str = "resnet18",
    pretrained: bool = False,
    weights: InputFile = "",
    drop_rate: Rate = 0.0,
    drop_path_rate: Rate = 0.0,
    head_init: Literal["zero", "default"] = "zero",
    pooling: Literal["default", "gem"] = "default",
    arguments: dict[str, Any] | None = None,
) -> nn.Module:
    """Build a network of the timm library (Wightman, https://github.com/huggingface/pytorch-image-models).

    `backbone` is a name such as "resnet18", or one with its weights, "resnet18.a1_in1k". `pretrained` downloads trained
    weights; `weights` takes them from a local .safetensors or .pth file instead. A head with another number of outputs
    is left out, and the first convolution is adapted to the number of channels.
    `drop_rate` is dropout before the head, `drop_path_rate` stochastic depth (0: the network's own).
    `head_init`: "zero" starts a new head on trained weights from even predictions; "default" draws it.
    `pooling`: "gem" replaces the mean over the feature map by the generalised mean, whose exponent is learnt, starting
    from 3 (Radenovic et al. 2018); it weights the strongest responses, which helps to distinguish individuals.
    `arguments` are passed to timm unchanged, for example `{img_size = 384}`.
    """
    rates = {"drop_rate": drop_rate, "drop_path_rate": drop_path_rate}
    options = {**(arguments or {}), **{name: rate for name, rate in rates.items() if rate > 0}}
    options["in_chans"] = channels
    if weights:
        network, found = _from_file(backbone, outputs, channels, weights, options)
    else:
        network, found = _from_hub(backbone, outputs, pretrained, options)
    heads = _head_names(network)
    if (pretrained or weights) and found != outputs and head_init == "zero":
        zero_head(network, heads, outputs)
    if pooling == "gem":
        pool_generalised_mean(network, backbone)
    constants: Any = network.pretrained_cfg
    note = head_note(weights, found, outputs) if weights else ""
    described(network, heads if len(heads) > 1 else heads[0], constants["mean"], constants["std"], channels, note)
    network.stage_names = timm_stages(network)  # type: ignore[assignment]
    return network


def _from_hub(backbone: str, outputs: int, pretrained: bool, options: dict[str, Any]) -> tuple[nn.Module, int]:
    """Return the network and the number of outputs of the trained head."""
    import timm

    try:
        network = _create(backbone, {**options, "num_classes": outputs, "pretrained": pretrained})
    except OSError as error:
        raise CompeteError(_how_to_get(backbone, error)) from error
    return network, timm.get_pretrained_cfg(backbone).num_classes


def _from_file(backbone: str, outputs: int, channels: int, path: str, options: dict[str, Any]) -> tuple[nn.Module, int]:
    """Return the network and the number of outputs of the file's head (0: it has none).

    The network is built as in the file and loaded strictly; only then is its head replaced.
    """
    import timm

    state = read_weights(path)
    known = timm.get_pretrained_cfg(backbone)
    found = rows(state, _first(known.classifier))
    size = (input_channels(state, _first(known.first_conv), channels), *known.input_size[1:])
    overlay = {"state_dict": state, "num_classes": found, "input_size": size, "label_offset": 0}
    try:
        network = _create(
            backbone,
            {**options, "num_classes": found, "pretrained": True, "pretrained_cfg_overlay": overlay},
        )
    except RuntimeError as error:
        refuse_differences(_create(backbone, {**options, "num_classes": found}), state, path)
        raise ConfigError(f"weights = '{path}': cannot be loaded: {error}") from error
    if found != outputs:
        resettable: Any = network
        resettable.reset_classifier(outputs)
    return network, found


def _create(backbone: str, options: dict[str, Any]) -> nn.Module:
    import timm

    try:
        with quiet_hub():
            network: nn.Module = timm.create_model(backbone, **options)
    except (TypeError, AssertionError) as error:
        raise refuse_arguments(backbone, error) from error
    return network


def _first(names: str | tuple[str, ...] | None) -> str:
    return (names if isinstance(names, str) else names[0]) if names else ""


def _head_names(network: Any) -> list[str]:  # noqa: ANN401
    """Return the dotted names of the classifiers: distilled networks have two."""
    found = network.get_classifier()
    heads = {id(head) for head in (found if isinstance(found, tuple) else (found,))}
    return [name for name, module in network.named_modules() if id(module) in heads]


def _how_to_get(backbone: str, error: Exception) -> str:
    import timm
    from huggingface_hub.constants import HF_HUB_CACHE

    hub = timm.get_pretrained_cfg(backbone).hf_hub_id
    return (
        f"backbone '{backbone}': its pretrained weights are not in {HF_HUB_CACHE} and could not be downloaded "
        f"({str(error).partition('. ')[0]}). On a machine with a network run `hf download {hub} model.safetensors`, "
        'copy the file here and set weights = "path/to/model.safetensors"; or set pretrained = false.'
    )
