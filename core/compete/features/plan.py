"""Whether a run's backbone runs once per image, and what stored features depend on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from compete import __version__
from compete.config.code import own_code
from compete.errors import FAULTS, error_location, is_a_stop
from compete.features.split import CannotSplitError, Split, find_split
from compete.identity import digest, digest_bytes, digest_file
from compete.model.selectors import is_fitted

if TYPE_CHECKING:
    from torch import nn

    from compete.config.load import Config
    from compete.data.images import Images, ImageSet
    from compete.predict.inference import Scaler

TRIED = 2  # noise images: batch norm in a head needs more than one


@dataclass(frozen=True)
class FeaturePlan:
    """Where the network is cut, or why it is not although its backbone is frozen; neither if the backbone trains."""

    split: Split | None = None
    reason: str = ""


def plan_features(config: Config, network: nn.Module, images: Images, columns: int, outputs: int) -> FeaturePlan:
    """Decide whether features are stored: every image must give the same ones in each epoch, fold and seed.

    The members are the same up to rounding either way, and TOML, data and code alone decide which way is taken: so
    identities do not count it.
    """
    if not config.finetune.head_only and not is_fitted(network):
        return FeaturePlan()
    reason = _changing_input(config, images)
    if reason:
        return FeaturePlan(reason=reason)
    noise, size = torch.Generator().manual_seed(0), (config.images.channels, *config.images.size)
    inputs = [torch.randn(TRIED, *shape, generator=noise) for shape in ([size, (columns,)] if columns else [size])]
    try:
        return FeaturePlan(find_split(network, config, outputs, inputs))
    except CannotSplitError as error:
        return FeaturePlan(reason=f"the network cannot be cut: {error}")
    except FAULTS as error:  # of a forward that does what nobody thought of: an experiment must not stop a run
        if is_a_stop(error):
            raise
        return FeaturePlan(reason=f"the network could not be tried: {type(error).__name__} at {error_location(error)}")


def _changing_input(config: Config, images: Images) -> str:
    """Return what makes an image another one in each epoch, or must see the backbone at work."""
    if images.augment is not None:
        return "[[transforms]] have random parts, so that each epoch sees other images"
    if config.many("batch_transforms"):
        return "[[batch_transforms]] change the images of each batch"
    if config.many("hooks"):
        return "[[hooks]] watch modules of the network at work"
    return "" if images.train.key else "nothing is stored by this command"


def features_key(
    config: Config, network: nn.Module, split: Split, scaler: Scaler, images: ImageSet, precision: str, device: str
) -> str:
    """Return the key of a table's features: pixels, weights of the backbone, views, and how it computes.

    Heads, losses, optimizers and seeds leave it as it is.
    """
    model, start = config.one("models"), len(split.body)
    weights = {name: _bytes(tensor) for name, tensor in split.backbone_state(network).items()}
    scale = [_bytes(scaler.mean), _bytes(scaler.std), scaler.channels_last]
    tta = [(bound.name, bound.options) for bound in config.many("tta")]
    code = [own_code(__version__), *config.plugins.code.values()]
    return digest(
        images.key,
        images.by_row.numbers,
        [name[start:].lstrip(".") for name in split.rest],
        (model.name, model.options, tta, scale, precision, device),
        [digest_bytes(source) for source in code] + [digest_file(file) for file in model.files],
        *(part for item in weights.items() for part in item),
    )


def _bytes(tensor: torch.Tensor) -> object:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
