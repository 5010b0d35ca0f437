"""Optimizers: the usual ones with explicit options, and any other of `torch.optim` or timm by name.

A parameter group that brings its own `weight_decay` (0 for norms and biases) keeps it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import torch
from pydantic import Field
from torch.optim import Optimizer

from compete import ConfigError, component, did_you_mean, format_list, hookimpl, unknown_name

from ._sam import Climbs

Groups = list[dict[str, Any]]
# Weights are float32: a smaller rate changes none, a smaller epsilon is 0, and a larger one stops all learning.
Rate = Annotated[float, Field(ge=1e-9, le=100)]
Epsilon = Annotated[float, Field(ge=1e-15, le=1)]
Beta = Annotated[float, Field(ge=0, lt=1)]
Decay = Annotated[float, Field(ge=0, le=10)]

# LBFGS calls the loss again inside its step; SparseAdam takes sparse gradients only.
UNFIT = {"Optimizer", "LBFGS", "SparseAdam"}


def check_sgd(*, momentum: float, nesterov: bool, **_: object) -> Iterator[str]:
    """Yield what is wrong with momentum."""
    if nesterov and momentum == 0:
        yield "nesterov = true needs momentum above 0."


@component(check=check_sgd)
def sgd(
    groups: Groups,
    *,
    lr: Rate = 0.01,
    momentum: Beta = 0.9,
    nesterov: bool = True,
    weight_decay: Decay = 5e-4,
) -> Optimizer:
    """Stochastic gradient descent with momentum.

    `lr` is the base learning rate. `momentum` is the share of the last step that is kept; `nesterov` looks
    ahead along it (Sutskever et al. 2013). `weight_decay` is added to the gradient.
    """
    return torch.optim.SGD(groups, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)


def adam(
    groups: Groups,
    *,
    lr: Rate = 3e-4,
    betas: tuple[Beta, Beta] = (0.9, 0.999),
    eps: Epsilon = 1e-8,
    weight_decay: Decay = 0.0,
) -> Optimizer:
    """Adam (Kingma and Ba 2015).

    `lr` is the base learning rate. `betas` are the decay rates of the gradient's mean and square, `eps` keeps the
    division safe. `weight_decay` is added to the gradient; `adamw` applies it to the weights instead.
    """
    return torch.optim.Adam(groups, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=_fused(groups))


def adamw(
    groups: Groups,
    *,
    lr: Rate = 3e-4,
    betas: tuple[Beta, Beta] = (0.9, 0.999),
    eps: Epsilon = 1e-8,
    weight_decay: Decay = 0.05,
) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019).

    `lr` is the base learning rate. `betas` are the decay rates of the gradient's mean and square, `eps` keeps the
    division safe. Each step subtracts the share `lr * weight_decay` of the weights.
    """
    return torch.optim.AdamW(groups, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=_fused(groups))


def _fused(groups: Groups) -> bool | None:
    """Return True on a CPU, whose default is a Python loop over the parameters; elsewhere torch chooses well."""
    return True if all(p.device.type == "cpu" for group in groups for p in group["params"]) else None


def rmsprop(
    groups: Groups,
    *,
    lr: Rate = 1e-4,
    alpha: Beta = 0.99,
    momentum: Beta = 0.9,
    eps: Epsilon = 1e-8,
    weight_decay: Decay = 0.0,
) -> Optimizer:
    """RMSProp with momentum (Tieleman and Hinton 2012).

    `lr` is the base learning rate. `alpha` is the decay rate of the gradient's square, `momentum` the share of
    the last step that is kept; `eps` keeps the division safe. `weight_decay` is added to the gradient.
    """
    return torch.optim.RMSprop(groups, lr=lr, alpha=alpha, momentum=momentum, eps=eps, weight_decay=weight_decay)


def check_torch(*, optimizer: str, arguments: dict[str, Any] | None, **_: object) -> Iterator[str]:
    """Yield what is wrong with the name or the arguments."""
    known = _torch_optimizers()
    if optimizer not in known:
        yield unknown_name("torch.optim optimizer", optimizer, known)
        return
    yield from _check_arguments(f"torch.optim.{optimizer}", known[optimizer], {"lr"}, arguments or {})


@component(check=check_torch)
def any_torch(groups: Groups, *, optimizer: str, lr: Rate, arguments: dict[str, Any] | None = None) -> Optimizer:
    """Any optimizer of `torch.optim`, by its class name.

    `optimizer` is that name, such as "NAdam". `lr` is the base learning rate. `arguments` is a table of further
    arguments under torch's names, such as `weight_decay`. LBFGS and SparseAdam do not fit the training loop.
    """
    name = f"torch.optim.{optimizer}"
    return _built(name, lambda: _torch_optimizers()[optimizer](groups, lr=lr, **(arguments or {})))


@component(check=check_torch)
def sam(
    groups: Groups,
    *,
    lr: Rate,
    optimizer: str = "SGD",
    rho: Annotated[float, Field(ge=1e-6, le=10)] = 0.05,
    adaptive: bool = False,
    arguments: dict[str, Any] | None = None,
) -> Optimizer:
    """Sharpness-aware minimisation (Foret et al. 2021): seeks weights whose whole neighbourhood has a low loss.

    Each step takes its gradients at the worst weights within `rho` (the first-order guess), so it costs two forward
    and backward passes, on the same batch with the same dropout; BatchNorm keeps the statistics of the first. The step
    itself is made by a class of `torch.optim`, `optimizer`, at the rate `lr` and with its `arguments`, as in `torch`;
    for the paper's, arguments = { momentum = 0.9 }. `adaptive` measures the neighbourhood relative to the weights
    (ASAM, Kwon et al. 2021), which needs a `rho` about ten times as large.
    """
    base: Any = _torch_optimizers()[optimizer]
    kind: Any = type(f"SAM{optimizer}", (Climbs, base), {})
    made: Any = _built(f"torch.optim.{optimizer}", lambda: kind(groups, lr=lr, **(arguments or {})))
    made.rho, made.adaptive = rho, adaptive
    climbing: Optimizer = made
    return climbing


def check_timm(*, optimizer: str, arguments: dict[str, Any] | None, **_: object) -> Iterator[str]:
    """Yield what is wrong with the name or the arguments."""
    from timm.optim import get_optimizer_info, list_optimizers

    known = list_optimizers()
    if optimizer not in known:
        yield unknown_name("timm optimizer", optimizer, known)
        return
    info = get_optimizer_info(optimizer)
    if info.second_order:
        yield f"timm's {optimizer} needs second-order gradients, which the training loop does not compute."
    elif not isinstance(info.opt_class, str):  # a string names a class of another package, imported on a GPU only
        options = {"lr", "weight_decay"}
        yield from _check_arguments(f"timm's {optimizer}", info.opt_class, options, arguments or {})


@component(check=check_timm)
def any_timm(
    groups: Groups,
    *,
    optimizer: str,
    lr: Rate,
    weight_decay: Decay = 0.0,
    arguments: dict[str, Any] | None = None,
) -> Optimizer:
    """Any optimizer of timm, by its name in `timm.optim.list_optimizers()`.

    `optimizer` is that name, such as "lamb". `lr` is the base learning rate; `weight_decay` applies to groups without
    their own. `arguments` is a table of further arguments under timm's names. Names that begin with "bnb" or "fused"
    need a GPU and the package bitsandbytes or apex.
    """
    from timm.optim import create_optimizer_v2

    def build() -> Optimizer:
        made: Optimizer = create_optimizer_v2(groups, optimizer, lr, weight_decay, **(arguments or {}))
        return made

    return _built(f"timm's {optimizer}", build)


@hookimpl
def register_optimizers() -> dict[str, Callable[..., Optimizer]]:
    """Offer the bundled optimizers."""
    return {
        "sgd": sgd,
        "adam": adam,
        "adamw": adamw,
        "rmsprop": rmsprop,
        "sam": sam,
        "torch": any_torch,
        "timm": any_timm,
    }


def _torch_optimizers() -> dict[str, Callable[..., Optimizer]]:
    classes = inspect.getmembers(torch.optim, inspect.isclass)
    return {name: made for name, made in classes if issubclass(made, Optimizer) and name not in UNFIT}


def _check_arguments(
    name: str, make: Callable[..., Optimizer], options: set[str], arguments: dict[str, Any]
) -> Iterator[str]:
    """Yield arguments that are options or unknown to the class; otherwise why it refuses the values."""
    allowed = set(inspect.signature(make).parameters) - options - {"params"}
    unknown = [argument for argument in arguments if argument not in allowed]
    for argument in unknown:
        if argument in options:
            yield f"arguments.{argument}: {argument} is an option of its own: set it beside optimizer."
        else:
            yield (
                f"arguments.{argument}: unknown argument of {name}.{did_you_mean(argument, allowed)} "
                f"Available: {format_list(allowed, most=20)}."
            )
    if not unknown:
        yield from _refused_values(name, make, arguments)


def _refused_values(name: str, make: Callable[..., Optimizer], arguments: dict[str, Any]) -> Iterator[str]:
    """Yield why a toy optimizer cannot be built with these arguments."""
    weight = torch.nn.Parameter(torch.zeros(2, 2))
    try:
        make([weight], lr=1e-3, **arguments)
    except Exception as error:  # each class refuses values in its own way
        yield f"{name} does not take arguments = {arguments}: {error}."


def _built(name: str, build: Callable[[], Optimizer]) -> Optimizer:
    """Build the optimizer; raise `ConfigError` for settings that it cannot work with."""
    try:
        return build()
    except Exception as error:
        raise ConfigError(f"[optimizer] {name} cannot train this network here: {error}") from error
