"""A member's network before its first step, its seeds, and copies of its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from compete.model.device import seed_of
from compete.model.finetune import TrainingPlan, begin_plan
from compete.model.network import build_network
from compete.predict.inference import Scaler, scaler_for

if TYPE_CHECKING:
    from torch import nn

    from compete.session import Run
    from compete.types import Member

# The purposes of a member's random numbers; each has its own seeds.
NETWORK, ROWS, IMAGES, STEP, SAMPLE = range(5)


def member_seed(member: Member, purpose: int, *parts: int) -> int:
    """Return a member's seed for a purpose, unrelated to those of other members, purposes and parts."""
    return seed_of(member.seed, member.fold + 1, purpose, *parts)


def fresh_network(run: Run, member: Member) -> tuple[nn.Module, TrainingPlan, Scaler]:
    """Return a member's untrained network on the device, what trains of it and when, and its images' scaler."""
    config, device = run.config, run.fabric.device
    outputs = run.target.outputs
    network = build_network(config, outputs, run.dataset.column_count, member_seed(member, NETWORK))
    plan = begin_plan(network, config, outputs)
    scaler = scaler_for(network, config).to(device)
    if config.training.channels_last:
        network = network.to(memory_format=torch.channels_last)
    return network.to(device), plan, scaler


def copy_weights(network: nn.Module) -> dict[str, torch.Tensor]:
    """Copy a network's weights to main memory."""
    return {name: t.detach().to("cpu", copy=True).contiguous() for name, t in network.state_dict().items()}
