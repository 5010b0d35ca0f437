"""Module hooks: what happens inside a network while it trains. They watch, and change no result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from compete import hookimpl

from ._activations import Activations
from ._grad_cam import GradCam
from ._nan_watch import NanWatch

Patterns = Annotated[list[str], Field(min_length=1, max_length=100)]


def activations(*, modules: Patterns | None = None, on: Literal["forward", "backward"] = "forward") -> Activations:
    """Record mean, standard deviation and share of zeros of what modules give in training, for each epoch.

    `modules` are name patterns such as `layer1*` (see `compete inspect`); by default all that hold no other module.
    `on = "backward"` records the gradients that arrive at these outputs instead. Written to `activations.csv`, or
    `gradients.csv`, in the member's folder after each epoch. A dead ReLU has a share of zeros near 1, and a network
    whose signal fades or explodes shows it in the standard deviations.
    """
    return Activations(modules, on)


def nan_watch(*, modules: Patterns | None = None, on: Literal["forward", "backward"] = "forward") -> NanWatch:
    """Name the module in which NaN or infinity first appears, in the error that stops the training.

    `modules` are name patterns, by default all that hold no other module; the narrower, the cheaper. `on = "backward"`
    watches the gradients of their outputs, in the order of the backward pass. The device is not waited for. With
    `[training] on_nan = "skip"` the module is named in the warning.
    """
    return NanWatch(modules, on)


def grad_cam(
    *,
    module: str = "",
    images_per_class: Annotated[int, Field(ge=1, le=20)] = 2,
    most_classes: Annotated[int, Field(ge=1, le=100)] = 20,
) -> GradCam:
    """Draw where a member's network looks for the label of some validation images (Grad-CAM, Selvaraju et al. 2017).

    Drawn after the last epoch with the member's final weights: `images_per_class` of each of the first `most_classes`
    classes, into `grad_cam.png` in the member's folder, which the report shows. `module` is the module whose feature
    maps are weighted; by default the last one that gives maps of more than one pixel. Networks without feature maps,
    such as most vision transformers, get a warning.
    """
    return GradCam(module, images_per_class, most_classes)


@hookimpl
def register_hooks() -> dict[str, Callable[..., object]]:
    """Offer the hooks by name."""
    return {"activations": activations, "nan_watch": nan_watch, "grad_cam": grad_cam}
