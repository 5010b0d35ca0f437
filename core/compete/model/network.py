"""Build a member's network: its head, frozen parts, parameter groups and input scaling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch
from torch import nn

from compete.errors import ConfigError, code_of_others, error_location
from compete.text import did_you_mean, format_list

if TYPE_CHECKING:
    from compete.config.load import Config
    from compete.config.options import BoundComponent
    from compete.config.settings import Finetune, Images
    from compete.model.fitted import FittedHead

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class NetworkAttributes(Protocol):
    """Attributes that a `[model]`'s network may have. Each is optional; the core reads no others.

    `head_name` names the head's modules. `mean` and `std` are those of the weights' training: one value or one per
    channel, for pixels in 0..1. `notes` are lines about the origin of the weights, shown with the network. With
    `fitted_head` the head is fitted on features at once, and its backbone is frozen.
    """

    head_name: str | Sequence[str]
    mean: Sequence[float]
    std: Sequence[float]
    notes: Sequence[str]
    fitted_head: FittedHead


def build_network(config: Config, outputs: int, columns: int, seed: int, weights: bool = True) -> nn.Module:
    """Build `[model]` with its `[head]` and try it on two noise images. Raise `ConfigError` for wrong logits.

    It has K `outputs`, and takes F `columns` beside the images. Without `weights` it is the bare architecture: nothing
    is downloaded, and no weights file is read.
    """
    torch.manual_seed(seed)
    model, images = config.one("models"), config.images
    if not weights:
        model = replace(model, options=model.options | dict(model.component.traits.without_weights))
    network = _compose(model, config.one("heads"), images.channels, columns, outputs)
    network.eval()
    noise = torch.randn(2, images.channels, *images.size)
    logits = _try(model, network, noise, *([torch.randn(2, columns)] if columns else []))
    shape = tuple(getattr(logits, "shape", ()))
    if shape != (2, outputs):
        raise ConfigError(
            f'[model] name = "{model.name}": gives logits {shape} for 2 images; the target needs (2, {outputs})'
        )
    if outputs > 1 and bool((logits >= 0).all()) and torch.allclose(logits.sum(dim=1), torch.ones(2), atol=1e-4):
        raise ConfigError(
            f'[model] name = "{model.name}": its outputs are probabilities, and the losses want logits: '
            "Remove the softmax from the network."
        )
    return network


def _compose(model: BoundComponent, head: BoundComponent, channels: int, columns: int, outputs: int) -> nn.Module:
    """Build the head over the model; if the head is a module, all parameters outside the backbone belong to it."""
    inner: list[tuple[nn.Module, int]] = []

    def backbone(width: int) -> nn.Module:
        network = model.build(width, channels)
        if not isinstance(network, nn.Module):
            raise ConfigError(f'[model] name = "{model.name}": returned a {type(network).__name__}, not an nn.Module')
        inner.append((network, width))
        return network

    network: nn.Module = head.build(backbone, columns, outputs)
    if len(inner) != 1 or not isinstance(network, nn.Module):
        raise ConfigError(f'[head] name = "{head.name}": must build one backbone and return an nn.Module')
    body, width = inner[0]
    if network is body:
        return network
    body_heads = find_head(body, width)
    _redraw_zeros(body, body_heads)
    _set_attributes(network, body, body_heads)
    return network


def _set_attributes(network: Any, body: nn.Module, body_heads: Sequence[str]) -> None:  # noqa: ANN401 - sets attributes
    """Give the whole network the backbone's attributes, and the names of all that is head."""
    network.mean, network.std = attribute(body, "mean"), attribute(body, "std")
    network.notes = attribute(body, "notes") or ()
    prefix = next((f"{name}." for name, module in network.named_modules() if module is body), "")
    own = [name for name, _ in network.named_parameters() if not (prefix and name.startswith(prefix))]
    network.head_name = (*own, *(f"{prefix}{name}" for name in body_heads))


def _redraw_zeros(body: nn.Module, heads: Sequence[str]) -> None:
    """Draw weights for a last layer of zeros: right for logits, but features that are all zero would never learn."""
    for name in heads:
        for module in body.get_submodule(name).modules():
            if isinstance(module, (nn.Linear, nn.Conv2d)) and not module.weight.any():
                module.reset_parameters()


@torch.inference_mode()
def _try(model: BoundComponent, network: nn.Module, *inputs: torch.Tensor) -> torch.Tensor:
    """Run the network once, so that images of a wrong shape are refused before any training."""

    def refused(error: BaseException) -> ConfigError:
        return ConfigError(
            f'[model] name = "{model.name}": the network cannot take images of shape {tuple(inputs[0].shape[1:])}: '
            f"{type(error).__name__}: {error} (at {error_location(error)}). Check [images] size and channels."
        )

    with code_of_others(refused):
        logits: torch.Tensor = network(*inputs)
    return logits


def attribute(network: nn.Module, name: Literal["head_name", "mean", "std", "notes", "fitted_head"]) -> Any:  # noqa: ANN401
    """Return one of a network's `NetworkAttributes`, or None."""
    return getattr(network, name, None)


def is_fitted(network: nn.Module) -> bool:
    """Return whether the network's head is fitted at once, and never stepped."""
    return attribute(network, "fitted_head") is not None


def find_head(network: nn.Module, outputs: int) -> tuple[str, ...]:
    """Return the dotted names of the head's modules: the attribute `head_name`, or the last layer with K outputs."""
    named = attribute(network, "head_name")
    if named:
        return (named,) if isinstance(named, str) else tuple(named)
    width = ("out_features", "out_channels")
    found = [n for n, m in network.named_modules() if any(getattr(m, attr, None) == outputs for attr in width)]
    if not found:
        raise ConfigError(
            f"[finetune]: the network has no layer with {outputs} outputs that could be its head. "
            'Give the module an attribute head_name = "the.layer".'
        )
    return (found[-1],)


def _within(parameter: str, modules: Sequence[str]) -> bool:
    return any(parameter == module or parameter.startswith(f"{module}.") for module in modules)


def freeze(network: nn.Module, settings: Finetune, outputs: int) -> list[str]:
    """Freeze the parameters that `[finetune] freeze` names; return the names of the modules with no other ones."""
    fitted = is_fitted(network)
    if settings.freeze == "none" and not fitted:
        return []
    if settings.freeze == "backbone" or fitted:
        heads = find_head(network, outputs)
        frozen = [p for name, p in network.named_parameters() if not _within(name, heads)]
    else:
        frozen = list(_matching(network, list(settings.freeze)))
    for parameter in frozen:
        parameter.requires_grad_(False)
    if not fitted and not any(p.requires_grad for p in network.parameters()):
        raise ConfigError("[finetune] freeze: no parameter remains to train")
    return [name for name, module in network.named_modules() if name and _is_frozen(module)]


def set_training_mode(network: nn.Module, frozen: Sequence[str]) -> None:
    """Put the network into training mode, and its frozen modules into eval mode.

    Even without gradients BatchNorm updates its running statistics, except in eval mode.
    """
    network.train()
    for name in frozen:
        network.get_submodule(name).eval()


def parameter_groups(network: nn.Module, settings: Finetune, outputs: int) -> list[dict[str, Any]]:
    """Group the trainable parameters: norms and biases without weight decay, the backbone at its own learning rate."""
    heads = find_head(network, outputs) if settings.backbone_lr_ratio != 1 else ()
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            key = (not heads or _within(name, heads), parameter.ndim > 1)
            groups.setdefault(key, []).append(parameter)
    return [
        {
            "params": parameters,
            "lr_ratio": 1.0 if in_head else settings.backbone_lr_ratio,
            **({} if decayed else {"weight_decay": 0.0}),
        }
        for (in_head, decayed), parameters in groups.items()
    ]


def build_optimizer(optimizer: BoundComponent, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """Build the optimizer, and scale each group's learning rate by its `lr_ratio`."""
    built: torch.optim.Optimizer = optimizer.build(groups)
    for group in built.param_groups:
        group["lr"] *= group.get("lr_ratio", 1.0)
    return built


def input_scale(network: nn.Module, images: Images) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and std (1, C, 1, 1) for images in 0..1."""
    standard = images.channels == 3
    mean = images.mean or attribute(network, "mean") or (IMAGENET_MEAN if standard else [0.5])
    std = images.std or attribute(network, "std") or (IMAGENET_STD if standard else [0.25])
    return _per_channel("mean", mean, images.channels), _per_channel("std", std, images.channels)


def _per_channel(name: str, values: Sequence[float], channels: int) -> torch.Tensor:
    if len(values) not in (1, channels):
        raise ConfigError(f"[images] {name} = {list(values)}: give one value, or one for each of {channels} channels")
    # (1,) or (C,) -> (C,) -> (1, C, 1, 1)
    return torch.tensor(values, dtype=torch.float32).expand(channels).reshape(1, channels, 1, 1).contiguous()


def _matching(network: nn.Module, patterns: Sequence[str]) -> Iterator[nn.Parameter]:
    names = [name for name, _ in network.named_parameters()]
    for pattern in patterns:
        matched = [name for name in names if fnmatch(name, pattern) or fnmatch(name, f"{pattern}.*")]
        if not matched:
            modules = [name for name, _ in network.named_children()]
            raise ConfigError(
                f'[finetune] freeze: "{pattern}" matches no parameter.{did_you_mean(pattern, modules)} '
                f"Modules: {format_list(modules)}."
            )
        yield from (network.get_parameter(name) for name in matched)


def _is_frozen(module: nn.Module) -> bool:
    parameters = list(module.parameters())
    return bool(parameters) and not any(p.requires_grad for p in parameters)
