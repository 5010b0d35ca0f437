"""Build a member's network: its head, what of it is frozen, its parameter groups, and its input scaling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from compete.errors import CompeteError, ConfigError, choices, did_you_mean, fault_place

if TYPE_CHECKING:
    from compete.options import Bound
    from compete.settings import Finetune, Images

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def build_network(model: Bound, outputs: int, images: Images, seed: int) -> nn.Module:
    """Build the network and try it on two noise pictures. Raise `ConfigError` when it gives no logits (2, K)."""
    torch.manual_seed(seed)
    network = model.build(outputs, images.channels)
    if not isinstance(network, nn.Module):
        raise ConfigError(f'[model] name = "{model.name}": gave a {type(network).__name__}, not an nn.Module')
    network.eval()
    logits = _try(model, network, torch.randn(2, images.channels, *images.size))
    shape = tuple(getattr(logits, "shape", ()))
    if shape != (2, outputs):
        raise ConfigError(
            f'[model] name = "{model.name}": gave logits of shape {shape} for 2 pictures; '
            f"the target needs (2, {outputs})"
        )
    if outputs > 1 and bool((logits >= 0).all()) and torch.allclose(logits.sum(dim=1), torch.ones(2), atol=1e-4):
        raise ConfigError(
            f'[model] name = "{model.name}": its outputs are probabilities, and the losses want logits: '
            "leave the softmax out of the network."
        )
    return network


@torch.inference_mode()
def _try(model: Bound, network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Run the network once; what it cannot take is found here, before any training."""
    try:
        logits: torch.Tensor = network(images)
    except CompeteError:
        raise
    except Exception as error:
        raise ConfigError(
            f'[model] name = "{model.name}": the network cannot take pictures of shape {tuple(images.shape[1:])}: '
            f"{type(error).__name__}: {error} (at {fault_place(error)}). Check [images] size and channels."
        ) from error
    return logits


def find_head(network: nn.Module, outputs: int) -> str:
    """Return the dotted name of the head: the attribute `head_name`, or the last layer with K outputs."""
    named = getattr(network, "head_name", None)
    if isinstance(named, str):
        return named
    width = ("out_features", "out_channels")
    found: list[str] = [n for n, m in network.named_modules() if any(getattr(m, a, None) == outputs for a in width)]
    if not found:
        raise ConfigError(
            f"[finetune]: the network has no layer with {outputs} outputs that could be its head. "
            'Give the module an attribute head_name = "the.layer".'
        )
    return found[-1]


def freeze(network: nn.Module, settings: Finetune, outputs: int) -> list[str]:
    """Switch off the gradients of what `[finetune] freeze` names; return the names of the wholly frozen modules."""
    if settings.freeze == "none":
        return []
    if settings.freeze == "backbone":
        head = find_head(network, outputs)
        frozen = [p for name, p in network.named_parameters() if not name.startswith(f"{head}.")]
    else:
        frozen = list(_matching(network, list(settings.freeze)))
    for parameter in frozen:
        parameter.requires_grad_(False)
    if not any(p.requires_grad for p in network.parameters()):
        raise ConfigError("[finetune] freeze: nothing is left to train")
    return [name for name, module in network.named_modules() if name and _is_frozen(module)]


def set_training_mode(network: nn.Module, frozen: Sequence[str]) -> None:
    """Put the network into training mode, and its frozen modules into eval mode.

    Without gradients a BatchNorm would still move its running statistics; in eval mode it does not.
    """
    network.train()
    for name in frozen:
        network.get_submodule(name).eval()


def parameter_groups(network: nn.Module, settings: Finetune, outputs: int) -> list[dict[str, Any]]:
    """Group the trainable parameters: norms and biases without weight decay, the backbone at its own rate."""
    head = find_head(network, outputs) if settings.backbone_lr_ratio != 1 else ""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            key = (not head or name.startswith(f"{head}."), parameter.ndim > 1)
            groups.setdefault(key, []).append(parameter)
    return [
        {
            "params": parameters,
            "lr_ratio": 1.0 if in_head else settings.backbone_lr_ratio,
            **({} if decayed else {"weight_decay": 0.0}),
        }
        for (in_head, decayed), parameters in groups.items()
    ]


def build_optimizer(optimizer: Bound, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """Build the optimizer, then scale each group's learning rate by its `lr_ratio`."""
    built: torch.optim.Optimizer = optimizer.build(groups)
    for group in built.param_groups:
        group["lr"] *= group.get("lr_ratio", 1.0)
    return built


def input_scale(network: nn.Module, images: Images) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and std (1, C, 1, 1) for pictures in 0..1."""
    standard = images.channels == 3
    mean = images.mean or getattr(network, "mean", None) or (IMAGENET_MEAN if standard else [0.5])
    std = images.std or getattr(network, "std", None) or (IMAGENET_STD if standard else [0.25])
    return _per_channel("mean", mean, images.channels), _per_channel("std", std, images.channels)


def _per_channel(name: str, values: Sequence[float], channels: int) -> torch.Tensor:
    if len(values) not in (1, channels):
        raise ConfigError(f"[images] {name} = {list(values)}: give one value, or one for each of {channels} channels")
    return torch.tensor(values, dtype=torch.float32).expand(channels).reshape(1, channels, 1, 1).contiguous()


def _matching(network: nn.Module, patterns: Sequence[str]) -> Iterator[nn.Parameter]:
    names = [name for name, _ in network.named_parameters()]
    for pattern in patterns:
        matched = [name for name in names if fnmatch(name, pattern) or fnmatch(name, f"{pattern}.*")]
        if not matched:
            modules = [name for name, _ in network.named_children()]
            raise ConfigError(
                f'[finetune] freeze "{pattern}" matches no parameter.{did_you_mean(pattern, modules)} '
                f"Modules: {choices(modules)}."
            )
        yield from (network.get_parameter(name) for name in matched)


def _is_frozen(module: nn.Module) -> bool:
    parameters = list(module.parameters())
    return bool(parameters) and not any(p.requires_grad for p in parameters)
