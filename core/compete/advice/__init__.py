"""What a good recipe is for given rows, images, metric and device: pure functions from facts to TOML, with reasons."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

from compete.advice.facts import Facts
from compete.advice.models import Model, choose_model, missing_weights, wanted_backbone
from compete.advice.pace import choose_pace
from compete.advice.weights import find_weights, local_weights


@dataclass(frozen=True)
class Advice:
    """The facts, the model that suits them, and what the user has to decide."""

    facts: Facts
    model: Model
    todo: tuple[str, ...] = ()


def advise(facts: Facts, backbones: Collection[str]) -> Advice:
    """Choose the model, having looked where its weights are; `backbones` are the names that a file may be called by."""
    epochs = choose_pace(facts, pretrained=True).epochs
    model = choose_model(facts, epochs, find_weights, partial(local_weights, backbones))
    if not model.missing:
        return Advice(facts, model)
    wanted = wanted_backbone(facts, epochs)
    return Advice(facts, model, tuple(missing_weights(facts, wanted)))
