"""Networks of timm, by name, with weights from its hub or from a local file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import nn

from compete import Backbone, Backbones, ConfigError, InputFile, ModelInput, Weights, component

from ._gem import pool_generalised_mean
from ._network import (
    ALTERNATIVES,
    WITHOUT_WEIGHTS,
    check_network,
    described,
    head_note,
    refuse_arguments,
    unknown_backbone,
    zero_head,
)
from ._sizes import cures, per_channel
from ._sources import file_weights, hub_weights, url_weights
from ._stages import timm_stages
from ._weights import State, input_channels, read_weights, refuse_differences, rows

WELL_KNOWN = 3  # weights trained on ImageNet-1k; more do not make a backbone more usual
RESERVED = ("num_classes", "in_chans", "drop_rate", "drop_path_rate")
Rate = Annotated[float, Field(ge=0, le=0.99)]


def _check(
    backbone: str, pretrained: bool, weights: str, arguments: dict[str, Any] | None, **_: object
) -> Iterator[str]:
    import timm

    names = timm.list_models(pretrained="." in backbone)  # "resnet18.a1_in1k" also names the weights
    given: Any = {"pretrained": pretrained, "weights": weights, "arguments": arguments}
    yield from check_network(backbone, names, lambda name: _unknown(name, names), RESERVED, **given)
    if pretrained and backbone in names and not timm.is_model_pretrained(backbone):
        yield f"backbone = '{backbone}': timm has no pretrained weights for it. Set pretrained = false."


def _unknown(name: str, names: list[str]) -> str:
    """Explain an unknown backbone; a name of older versions has a successor, and others may be torchvision's."""
    import timm
    from timm.models import _registry
    from torchvision import models

    renamed = getattr(_registry, "_deprecated_models", {}).get(name)
    if isinstance(renamed, str):
        return f"backbone '{name}' is called '{renamed}' since timm 0.9. Set backbone = \"{renamed}\"."
    trained = Counter(full.partition(".")[0] for full in timm.list_pretrained() if full.endswith("in1k"))
    others = models.list_models(module=models)
    return unknown_backbone("timm", name, names, "torchvision", others, lambda known: min(trained[known], WELL_KNOWN))


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


def _weights(backbone: str, pretrained: bool, weights: str, **_: object) -> tuple[Weights, ...]:
    import timm

    if weights or not pretrained:
        return file_weights(weights) if weights else ()
    trained = timm.get_pretrained_cfg(backbone)
    if trained.hf_hub_id:
        return (hub_weights(trained.hf_hub_id, trained.hf_hub_id.rpartition("/")[2]),)
    return (url_weights(trained.url, f"timm/{backbone}"),)


def _input(
    channels: int, *, backbone: str, pretrained: bool, weights: str, arguments: dict[str, Any] | None, **_: object
) -> ModelInput:
    import timm

    trained = timm.get_pretrained_cfg(backbone)
    given: Any = (arguments or {}).get("img_size") or trained.input_size[1:]
    size = (given, given) if isinstance(given, int) else tuple(given)

    def build(changed: dict[str, Any]) -> nn.Module:
        options = {**(arguments or {}), "in_chans": channels, **changed}
        if not (pretrained or weights):
            return _create(backbone, options)
        trained_state = _create(backbone, {}).state_dict()  # names and shapes alone are compared
        return _with_state(backbone, trained_state, options)

    mean, std = (per_channel(values, channels) for values in (trained.mean, trained.std))
    return ModelInput(size, mean, std, cures(build, size, ("img_size", "dynamic_img_size")))


@component(
    check=_check,
    without_weights=WITHOUT_WEIGHTS,
    backbones=Backbones(_names, _describe),
    weights=_weights,
    model_input=_input,
    alternatives=ALTERNATIVES,
)
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
    elif pretrained:
        network, found = _from_hub(backbone, outputs, options)
    else:
        network, found = _create(backbone, {**options, "num_classes": outputs}), outputs
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


def _from_hub(backbone: str, outputs: int, options: dict[str, Any]) -> tuple[nn.Module, int]:
    """Return the network and the number of outputs of the trained head."""
    import timm

    (trained,) = _weights(backbone, pretrained=True, weights="")
    state = read_weights(str(trained.path or trained.fetch(lambda *_: None)))
    try:
        network = _with_state(backbone, state, {**options, "num_classes": outputs})
    except RuntimeError as error:
        first = str(error).partition("\n\t")[2].partition("\n")[0] or str(error)
        raise ConfigError(f"backbone '{backbone}': its trained weights do not fit these arguments: {first}") from error
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
    overlay = {"num_classes": found, "input_size": size, "label_offset": 0}
    try:
        network = _with_state(backbone, state, {**options, "num_classes": found}, **overlay)
    except RuntimeError as error:
        refuse_differences(_create(backbone, {**options, "num_classes": found}), state, path)
        raise ConfigError(f"weights = '{path}': cannot be loaded: {error}") from error
    if found != outputs:
        resettable: Any = network
        resettable.reset_classifier(outputs)
    return network, found


def _with_state(backbone: str, state: State, options: dict[str, Any], **overlay: object) -> nn.Module:
    """Return the network with trained weights, as timm fits them to its head, channels and size."""
    overlay = {"state_dict": state, **overlay}
    network: Any = _create(backbone, {**options, "pretrained": True, "pretrained_cfg_overlay": overlay})
    network.pretrained_cfg = {**network.pretrained_cfg, "state_dict": None}  # a second copy of all weights
    return network  # type: ignore[no-any-return]


def _create(backbone: str, options: dict[str, Any]) -> nn.Module:
    import timm

    try:
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
