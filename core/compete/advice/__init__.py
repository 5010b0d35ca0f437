"""What a good recipe is for given rows, images, metric and device: pure functions from facts to TOML, with reasons."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from compete.advice.facts import Facts
from compete.advice.models import Model, choose_model, missing_weights, wanted_backbone
from compete.advice.pace import choose_pace
from compete.advice.weights import find_weights, local_weights

if TYPE_CHECKING:
    from compete.config.registry import Component


@dataclass(frozen=True)
class Advice:
    """The facts, the model that suits them, and what the user has to decide."""

    facts: Facts
    model: Model
    todo: tuple[str, ...] = ()


def advise(facts: Facts, timm: Component | None) -> Advice:
    """Choose the model, having looked where the weights of `timm`'s backbones are: cached, on the hub, or in a file."""
    listed = None if timm is None else timm.traits.backbones
    backbones = () if listed is None else tuple(listed.names())
    epochs = choose_pace(facts, pretrained=True).epochs
    model = choose_model(facts, epochs, partial(find_weights, timm), partial(local_weights, backbones))
    if not model.missing:
        return Advice(facts, model)
    wanted = wanted_backbone(facts, epochs)
    return Advice(facts, model, tuple(missing_weights(facts, wanted)))
