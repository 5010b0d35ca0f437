"""Every parameter of a network: its shape, whether it trains, how fast, and the gradient that one step gives it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from compete.session import Run
from compete.study.dry_run import first_step
from compete.train.fit import refuse_fitted
from compete.train.loop import gradients


def parameter_table(run: Run) -> pd.DataFrame:
    """Return a row for each parameter, from the gradients of the first member's first step; no step is made.

    Columns: name, shape, dtype, parameters, requires_grad; group, lr and weight_decay of the optimizer (missing for a
    frozen parameter), and gradient_norm (missing where no gradient arrives).
    """
    refuse_fitted(run.network, "--parameters")
    trainer, batches = first_step(run)
    trainer.network.train()
    gradients(trainer, batches, splits=1)
    groups: dict[int, tuple[int, dict[str, Any]]] = {
        id(parameter): (number, group)
        for number, group in enumerate(trainer.optimizer.param_groups)
        for parameter in group["params"]
    }
    rows = []
    for name, parameter in trainer.network.named_parameters():
        number, group = groups.get(id(parameter)) or (None, {})
        rows.append(
            {
                "name": name,
                "shape": " x ".join(map(str, parameter.shape)) or "scalar",
                "dtype": str(parameter.dtype).removeprefix("torch."),
                "parameters": parameter.numel(),
                "requires_grad": parameter.requires_grad,
                "group": number,
                "lr": group.get("lr"),
                "weight_decay": group.get("weight_decay"),
                "gradient_norm": None if parameter.grad is None else float(parameter.grad.norm()),
            }
        )
    return pd.DataFrame(rows).astype({"group": "Int64"})
