"""Draw new layers' weights as `[init]` says, and leave trained ones alone."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from compete.errors import ConfigError
from compete.model.selectors import class_names, match_parameters, summarised
from compete.text import did_you_mean, format_list, plural

if TYPE_CHECKING:
    from compete.config.tuning import Init

GAINED = ("xavier_uniform", "xavier_normal", "orthogonal")  # whose functions take a gain; other weights are multiplied


def initialise(network: nn.Module, settings: Init, rebuild: Callable[[], nn.Module], seed: int) -> str:
    """Initialise weights and biases of a network's layers, and return what was done; raise `ConfigError` for nothing.

    Without `modules` only new layers are touched: those that `rebuild`, with other random numbers, gives other weights,
    or whose weights are all zero. All others hold trained weights, or constants of the network.
    """
    new = set(_new(network, rebuild()))
    chosen = set(match_parameters(network, settings.modules, "[init] modules:")) if settings.modules else new
    done: list[str] = []
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        names = {module: name for name, module in network.named_modules()}
        network.apply(lambda module: done.extend(_draw(module, names[module], settings, chosen)))
    if not done:
        raise ConfigError(f"[init]: {_nothing(network, settings, bool(new))}")
    trained = [name for name in done if name not in new and name.endswith("weight")]
    lost = f"; {plural(len(trained), 'trained weight')} overwritten: {summarised(network, trained)}" if trained else ""
    return f"init: {summarised(network, done)}{lost}"


def _new(network: nn.Module, other: nn.Module) -> Iterator[str]:
    """Yield the names of the parameters of layers with random or zero weights."""
    others = dict(other.named_parameters())
    for layer, module in network.named_modules():
        own = dict(module.named_parameters(prefix=layer, recurse=False))
        weights = {name: p for name, p in own.items() if p.ndim > 1}
        if any(not torch.equal(p, others[name]) or not p.any() for name, p in weights.items()):
            yield from own


def _draw(module: nn.Module, name: str, settings: Init, chosen: set[str]) -> Iterator[str]:
    """Initialise one layer; yield the names of the parameters that were."""
    scheme = _scheme_for(module, settings)
    own = {f"{name}.{key}".lstrip("."): p for key, p in module.named_parameters(recurse=False)}
    for key, parameter in own.items():
        if key not in chosen or scheme is None:
            continue
        if key.endswith("bias"):
            if settings.bias is not None:
                nn.init.constant_(parameter, settings.bias)
                yield key
        elif parameter.ndim > 1 or scheme in ("ones", "zeros"):
            _apply(scheme, parameter, settings.gain)
            yield key


def _scheme_for(module: nn.Module, settings: Init) -> str | None:
    """Return how a module's weights are drawn; if no types are given, so is every layer with a weight matrix."""
    if isinstance(settings.weights, dict):
        return next((settings.weights[kind] for kind in class_names(module) if kind in settings.weights), None)
    weight = getattr(module, "weight", None)
    return settings.weights if isinstance(weight, nn.Parameter) and weight.ndim > 1 else None


def _apply(scheme: str, parameter: nn.Parameter, gain: float) -> None:
    function: Any = getattr(nn.init, f"{scheme}_")
    if scheme in GAINED:
        function(parameter, gain=gain)
        return
    options: dict[str, Any] = {"std": 0.02} if "std" in inspect.signature(function).parameters else {}
    if scheme.startswith("kaiming"):
        options = {"nonlinearity": "relu"}
    function(parameter, **options)
    with torch.no_grad():
        parameter.mul_(gain)


def _nothing(network: nn.Module, settings: Init, has_new: bool) -> str:
    if not settings.modules and not has_new:
        return 'every layer holds trained weights, which stay. Name those to overwrite: modules = ["layer4"]'
    kinds = sorted({type(m).__name__ for m in network.modules() if any(True for _ in m.parameters(recurse=False))})
    unknown = [kind for kind in (settings.weights if isinstance(settings.weights, dict) else ()) if kind not in kinds]
    hint = "".join(did_you_mean(kind, kinds) for kind in unknown)
    return f"touches no layer.{hint} Layers with weights: {format_list(kinds)}"
