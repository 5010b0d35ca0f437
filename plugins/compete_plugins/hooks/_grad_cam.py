"""Grad-CAM: which parts of an image speak for its label (Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391)."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from compete import CompeteError, RunView, Target, TrainerView, hookimpl

from ._activations import write_whole
from ._modules import choose_modules

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Array = np.ndarray[Any, Any]

FILE = "grad_cam.png"
INCHES, DPI = 1.9, 80  # of an image in the sheet


@dataclass(frozen=True)
class Group:
    """Images of one class: its title, its column of the predictions, the rows, and whether the label is its absence."""

    title: str
    column: int
    rows: Array
    absent: bool = False


class GradCam:
    """Draws a sheet for each member after its last epoch; what fails is a warning, as the training is done by then."""

    def __init__(self, module: str, images_per_class: int, most_classes: int) -> None:
        self.module, self.images_per_class, self.most_classes = module, images_per_class, most_classes
        self.run: RunView | None = None

    def match(self, network: nn.Module) -> None:
        """Raise `ConfigError` for a module that is not there."""
        if self.module:
            choose_modules(network, [self.module], "[[hooks]] module =")

    @hookimpl
    def on_run_start(self, run: RunView) -> None:
        """Remember whom to warn."""
        self.run = run

    @hookimpl(trylast=True)
    def on_training_end(self, trainer: TrainerView) -> None:
        """Draw the member's sheet."""
        rows, labels = trainer.validation
        groups = list(_groups(trainer.target, rows, labels, self.images_per_class))[: self.most_classes]
        if not groups:
            return
        try:
            network = trainer.final_network()
            names = choose_modules(network, [self.module], "") if self.module else [n for n, _ in _named(network)]
            drawn = [(group, *explain(network, names, trainer, group)) for group in groups]
            write_whole(trainer.folder / FILE, _sheet(drawn, trainer.target.classes))
        except CompeteError as error:
            self._warn(f"grad_cam of {trainer.member.name}: {error}")
        except Exception as error:  # a strange network must not lose its training
            self._warn(f"grad_cam of {trainer.member.name} cannot be drawn: {type(error).__name__}: {error}")

    def _warn(self, message: str) -> None:
        if self.run is not None:
            self.run.warn(message)


def _named(network: nn.Module) -> list[tuple[str, nn.Module]]:
    return [(name, module) for name, module in network.named_modules() if name]


def _groups(target: Target, rows: Array, labels: Array, most: int) -> Iterator[Group]:
    """Yield the first `most` rows of each class that has any."""
    if labels.ndim == 1 and not np.issubdtype(labels.dtype, np.integer):
        yield Group(target.classes[0], 0, rows[:most])
    elif labels.ndim == 1 and len(target.classes) == 1:
        for value in (0, 1):
            if (labels == value).any():
                yield Group(f"{target.classes[0]} = {value}", 0, rows[labels == value][:most], absent=value == 0)
    else:
        for number, name in enumerate(target.classes):
            hits = labels == number if labels.ndim == 1 else labels[:, number] > 0.5
            if hits.any():
                yield Group(name, number, rows[hits][:most])


def explain(network: nn.Module, names: Sequence[str], trainer: TrainerView, group: Group) -> tuple[Array, Array, Array]:
    """Return images (B, H, W, C), heat (B, H, W) in 0..1 and predictions (B, C); of `names` the last map is taken."""
    images, inputs = trainer.decode(group.rows)
    maps: dict[str, torch.Tensor] = {}
    hooks = [network.get_submodule(name).register_forward_hook(_keeper(maps, name)) for name in names]
    try:
        with torch.enable_grad():
            # Parts of the network may be frozen: the graph then starts at the images.
            logits = network(inputs[0].clone().requires_grad_(True), *inputs[1:]).float()
    finally:
        for hook in hooks:
            hook.remove()
    found = [name for name in maps if _is_map(maps[name])]
    if not found:
        raise CompeteError(
            "no module gives feature maps (B, C, h, w), which Grad-CAM weights. Name one, or leave it out"
        )
    predictions = trainer.target.activation(logits)
    score = logits if logits.shape[1] == predictions.shape[1] else predictions.clamp_min(1e-12).log()
    chosen = score[:, group.column].sum() * (-1 if group.absent else 1)
    heat = cam(maps[found[-1]], torch.autograd.grad(chosen, maps[found[-1]])[0], images.shape[1:3])
    return images, heat, predictions.detach().cpu().numpy()


def _keeper(maps: dict[str, torch.Tensor], name: str) -> Any:  # noqa: ANN401 - a hook
    def keep(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, torch.Tensor) and output.requires_grad:
            maps.pop(name, None)  # the order is that of the last call
            maps[name] = output

    return keep


def _is_map(tensor: torch.Tensor) -> bool:
    return tensor.ndim == 4 and sum(size > 1 for size in tensor.shape[1:]) >= 2


def cam(maps: torch.Tensor, slopes: torch.Tensor, size: tuple[int, int]) -> Array:
    """Return heat (B, H, W) from maps and their gradients (B, C, h, w): equations 1 and 2; the highest is 1."""
    if _is_channels_last(maps, size):
        maps, slopes = maps.permute(0, 3, 1, 2), slopes.permute(0, 3, 1, 2)
    weights = slopes.float().mean(dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
    heat = F.relu((weights * maps.detach().float()).sum(dim=1, keepdim=True))  # (B, 1, h, w)
    heat = F.interpolate(heat, size, mode="bilinear", align_corners=False)[:, 0]
    highest = heat.amax(dim=(1, 2), keepdim=True)
    return (heat / torch.where(highest > 0, highest, 1)).cpu().numpy()


def _is_channels_last(maps: torch.Tensor, size: tuple[int, int]) -> bool:
    """Return whether maps are (B, h, w, C), as Swin's: their sides then have the proportion of the image's."""
    aspect = math.log(size[0] / size[1])
    _, first, second, third = maps.shape
    return abs(math.log(first / second) - aspect) < abs(math.log(second / third) - aspect)


def _sheet(drawn: Sequence[tuple[Group, Array, Array, Array]], classes: Sequence[str]) -> bytes:
    """Return a PNG with a line for each class: the images with their heat, and what was predicted."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    columns = max(len(group.rows) for group, *_ in drawn)
    with mpl.rc_context({"text.parse_math": False, "font.size": 7}):
        figure = Figure(figsize=(columns * INCHES, len(drawn) * (INCHES + 0.3)), layout="constrained")
        for axes, (group, images, heat, predictions) in zip(
            figure.subplots(len(drawn), columns, squeeze=False), drawn, strict=True
        ):
            for place, cell in enumerate(axes):
                cell.set_axis_off()
                if place < len(images):
                    cell.imshow(_shown(images[place]))
                    cell.imshow(heat[place], cmap="inferno", alpha=0.55 * heat[place], vmin=0, vmax=1)
                    cell.set_title(_caption(group, predictions[place], classes))
        data = io.BytesIO()
        figure.savefig(data, format="png", dpi=DPI)
    return data.getvalue()


def _caption(group: Group, prediction: Array, classes: Sequence[str]) -> str:
    best = int(prediction.argmax())
    return f"{group.title[:24]}\npredicted {classes[best][:18]} {prediction[best]:.2f}"


def _shown(image: Array) -> Array:
    """Return an image (H, W, C) as (H, W, 3) to show; measured data from its smallest value to its largest."""
    if image.dtype != np.uint8:
        values = np.nan_to_num(image.astype(np.float32))
        low, high = values.min(), values.max()
        image = ((values - low) / (high - low or 1) * 255).astype(np.uint8)
    colours = image[:, :, :3] if image.shape[2] >= 3 else image[:, :, :1]
    return np.broadcast_to(colours, (*image.shape[:2], 3))
