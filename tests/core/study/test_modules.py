"""The module tree, against torch's own numbers."""

from __future__ import annotations

import torch
from torch import nn

from compete.study.modules import module_rows


def test_modules_have_the_shapes_and_parameters_of_a_forward():
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 2))
    network[0].weight.requires_grad_(False)
    network[1].eval()
    rows = {row.name: row for row in module_rows(network, [torch.zeros(1, 3, 8, 8)])}
    assert [rows[name].shape for name in ("0", "1", "2", "3", "")] == [(4, 3, 3), (4, 3, 3), (36,), (2,), (2,)]
    assert (rows[""].parameters, rows[""].trained) == (112 + 8 + 74, 194 - 108)
    assert rows["0"].depth == 1 and rows[""].depth == 0
    assert network.training and network[0].training and not network[1].training
    assert int(network[1].num_batches_tracked) == 0  # nothing was learnt by looking
    assert not any(module._forward_hooks for module in network.modules())
