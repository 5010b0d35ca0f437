"""Build a member's network: its backbone and head, and the scaling of its input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from compete.errors import ConfigError, code_of_others, error_location
from compete.model.finetune import plan_training
from compete.model.initialise import initialise
from compete.model.selectors import attribute, find_head
from compete.model.weights import obtain_weights, quoted

if TYPE_CHECKING:
    from compete.config.load import Config
    from compete.config.options import BoundComponent
    from compete.config.settings import Images

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def build_network(
    config: Config,
    outputs: int,
    columns: int,
    seed: int,
    weights: bool = True,
    progress: Callable[[int, int], object] = lambda *_: None,
) -> nn.Module:
    """Build `[model]` with its `[head]` and try it on two noise images.

    Raise `ConfigError` for wrong logits, and where `[finetune]` does not suit it.

    It has K `outputs`, and takes F `columns` beside the images. Trained weights that this machine lacks are fetched,
    with `progress(done, total)` in bytes, after the network without them was tried. Without `weights` it is the bare
    architecture: nothing is downloaded, and no weights file is read.
    """
    model, images = config.one("models"), config.images
    if weights:
        for component in (model, config.one("heads")):
            obtain_weights(
                config, component, lambda: build_network(config, outputs, columns, seed, weights=False), progress
            )
    torch.manual_seed(seed)
    if not weights:
        model = replace(model, options=model.options | dict(model.component.traits.without_weights))
    network = _compose(model, config.one("heads"), images.channels, columns, outputs)
    _note_head(network, outputs)
    if config.init.weights is not None and weights:
        _initialise(network, config, outputs, columns, seed)
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
    plan_training(network, config, outputs)
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
    network.backbone_name = prefix.removesuffix(".")
    stages = attribute(body, "stage_names") or ()
    network.stage_names = [[f"{prefix}{name}" for name in stage] for stage in stages]


def _note_head(network: Any, outputs: int) -> None:  # noqa: ANN401 - sets an attribute
    """Note where the head is, for selectors; what needs a head says so where it finds none."""
    if not attribute(network, "head_name"):
        with suppress(ConfigError):
            network.head_name = find_head(network, outputs)


def _initialise(network: Any, config: Config, outputs: int, columns: int, seed: int) -> None:  # noqa: ANN401 - as above
    def rebuild() -> nn.Module:
        torch.manual_seed(seed + 1)
        return _compose(config.one("models"), config.one("heads"), config.images.channels, columns, outputs)

    done = initialise(network, config.init, rebuild, seed)
    network.notes = (*(attribute(network, "notes") or ()), done)


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
        channels, height, width = inputs[0].shape[1:]
        cures = [f"`--set {quoted(text)}`" for text in model.model_input(channels).cures(channels, height, width)]
        return ConfigError(
            f'[model] name = "{model.name}": the network cannot take images of shape {tuple(inputs[0].shape[1:])}: '
            f"{type(error).__name__}: {error} (at {error_location(error)}). "
            + (f"What helps: {', or '.join(cures)}." if cures else "Check [images] size and channels.")
        )

    with code_of_others(refused):
        logits: torch.Tensor = network(*inputs)
    return logits


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
