"""Every parameter of a network: its shape, whether it trains, how fast, and the gradient that one step gives it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from compete.model.finetune import set_training_mode
from compete.session import Run
from compete.study.dry_run import first_step
from compete.train.fit import refuse_fitted
from compete.train.loop import gradients


def parameter_table(run: Run) -> pd.DataFrame:
    """Return a row for each parameter, from the gradients of the first member's first step; no step is made.

    Columns: name, shape, dtype, parameters; from_epoch, in which its training begins (missing for what is never
    trained), and requires_grad in the first epoch; group, lr and weight_decay of the optimizer (missing as well); and
    gradient_norm (missing where no gradient arrives). `lr` is the rate before any scheduler.
    """
    refuse_fitted(run.network, "--parameters")
    trainer, batches = first_step(run)
    set_training_mode(trainer.network)
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
                "from_epoch": trainer.plan.first_epoch(name),
                "requires_grad": parameter.requires_grad,
                "group": number,
                "lr": group.get("initial_lr", group.get("lr")),
                "weight_decay": group.get("weight_decay"),
                "gradient_norm": None if parameter.grad is None else float(parameter.grad.norm()),
            }
        )
    return pd.DataFrame(rows).astype({"from_epoch": "Int64", "group": "Int64"})
