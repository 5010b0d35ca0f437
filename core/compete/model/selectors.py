"""Name parts of a network: one syntax for `[finetune]`, `[init]` and `[[hooks]]`.

A selector is a name or a pattern (`layer4`, `blocks.1?`, `*.bias`), a class (`type:BatchNorm2d`, its subclasses
included), or one of the words `all`, `head` and `backbone`, unless a module has that name. Where parameters are chosen,
a module stands for all below it. In a network with a `[head]` of its own, names may also be those inside the backbone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, Protocol

from compete.errors import ConfigError
from compete.text import did_you_mean, format_first, format_list

if TYPE_CHECKING:
    from torch import nn

    from compete.model.fitted import FittedHead

WORDS = ("all", "head", "backbone")
TYPE = "type:"
HEADS = ("head", "heads", "classifier")  # what authors call a head that has several layers
SHOWN = 20


class NetworkAttributes(Protocol):
    """Attributes that a `[model]`'s network may have. Each is optional; the core reads no others.

    `head_name` names the head's modules. `mean` and `std` are those of the weights' training: one value or one per
    channel, for pixels in 0..1. `notes` are lines about the origin of the weights, shown with the network.
    `stage_names` are modules or parameters from the input on, in the stages that unfreeze one after the other and have
    one learning rate each; what is named nowhere goes with the head. With `fitted_head` the head is fitted on features
    at once, and its backbone is frozen.
    """

    head_name: str | Sequence[str]
    mean: Sequence[float]
    std: Sequence[float]
    notes: Sequence[str]
    stage_names: Sequence[Sequence[str]]
    fitted_head: FittedHead


Attribute = Literal["head_name", "mean", "std", "notes", "stage_names", "backbone_name", "fitted_head"]


def attribute(network: nn.Module, name: Attribute) -> Any:  # noqa: ANN401
    """Return one of a network's `NetworkAttributes`, or None; `backbone_name` is the core's own."""
    return getattr(network, name, None)


def is_fitted(network: nn.Module) -> bool:
    """Return whether the network's head is fitted at once, and never stepped."""
    return attribute(network, "fitted_head") is not None


def find_head(network: nn.Module, outputs: int) -> tuple[str, ...]:
    """Return the dotted names of the head's modules: the attribute `head_name`, or the last layer with K outputs.

    That layer stands for a whole module called `head` or `classifier` that holds it.
    """
    named = attribute(network, "head_name")
    if named:
        return (named,) if isinstance(named, str) else tuple(named)
    width = ("out_features", "out_channels")
    found = [n for n, m in network.named_modules() if any(getattr(m, attr, None) == outputs for attr in width)]
    if not found:
        raise ConfigError(
            f"[finetune]: the network has no layer with {outputs} outputs that could be its head. "
            'Give the module an attribute head_name = "the.layer".'
        )
    parts = found[-1].split(".")
    ends = (n for n, part in enumerate(parts, start=1) if part in HEADS)
    return (".".join(parts[: next(ends, len(parts))]),)


def within(name: str, modules: Iterable[str]) -> bool:
    """Return whether a name is one of `modules`, or below one."""
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def head_parameters(network: nn.Module) -> set[str]:
    """Return the names of the head's parameters; `build_network` has noted where the head is."""
    heads = attribute(network, "head_name") or ()
    heads = (heads,) if isinstance(heads, str) else heads
    return {name for name, _ in network.named_parameters() if within(name, heads)}


def match_modules(network: nn.Module, selectors: Sequence[str], where: str) -> list[str]:
    """Return the names of the modules that selectors match, in the network's order. Raise `ConfigError`."""
    modules = {name: module for name, module in network.named_modules() if name}
    return _match(network, selectors, where, modules)


def match_parameters(network: nn.Module, selectors: Sequence[str], where: str) -> list[str]:
    """Return the names of the parameters that selectors match, or that lie below what they match."""
    modules = {name: module for name, module in network.named_modules() if name}
    parameters = dict(network.named_parameters())
    matched = set(_match(network, selectors, where, {**modules, **parameters}))
    return [name for name in parameters if matched.intersection(_above(name))]


def summarised(network: nn.Module, parameters: Iterable[str], most: int = 4) -> str:
    """Describe parameters by the highest modules that hold no others: "layer4, fc"; "none" if there are none."""
    return format_first(list(_roots(network, "", set(parameters))), most) or "none"


def _roots(module: nn.Module, prefix: str, chosen: set[str]) -> Iterator[str]:
    inside = [f"{prefix}{name}" for name, _ in module.named_parameters()]
    if not inside or chosen.isdisjoint(inside):
        return
    if chosen.issuperset(inside):
        yield prefix.rstrip(".") or "all"
        return
    yield from (f"{prefix}{name}" for name, _ in module.named_parameters(recurse=False) if f"{prefix}{name}" in chosen)
    for name, child in module.named_children():
        yield from _roots(child, f"{prefix}{name}.", chosen)


def _match(network: nn.Module, selectors: Sequence[str], where: str, known: dict[str, Any]) -> list[str]:
    """Return the names in `known`, of modules and parameters, that selectors match; raise with all that match none."""
    found: set[str] = set()
    problems = []
    for selector in selectors:
        matched = _matching(network, selector, known)
        if not matched:
            problems.append(f'{where} "{selector}": matches no module.{_hint(network, selector, known)}')
        found |= matched
    if problems:
        raise ConfigError(problems)
    return [name for name in known if name in found]


def _matching(network: nn.Module, selector: str, known: dict[str, Any]) -> set[str]:
    if selector.startswith(TYPE):
        pattern = selector.removeprefix(TYPE)
        return {name for name, part in known.items() if any(fnmatchcase(kind, pattern) for kind in class_names(part))}
    by_name = {name for name in known if any(fnmatchcase(called, selector) for called in _names(network, name))}
    return by_name or (_of_word(network, selector, known) if selector in WORDS else set())


def _of_word(network: nn.Module, word: str, known: dict[str, Any]) -> set[str]:
    if word == "all":
        return set(known)
    head, wanted = head_parameters(network), word == "head"
    below: dict[str, set[bool]] = {}  # of each module or parameter: whether its parameters are the head's
    for name, _ in network.named_parameters():
        for above in _above(name):
            below.setdefault(above, set()).add(name in head)
    return {name for name in known if below.get(name) == {wanted}}


def _above(name: str) -> Iterator[str]:
    """Yield a dotted name and those of all modules that it is in."""
    parts = name.split(".")
    yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def _names(network: nn.Module, name: str) -> Iterator[str]:
    """Yield what a part is called in the network, and inside its backbone."""
    yield name
    prefix = attribute(network, "backbone_name")
    if prefix and name.startswith(f"{prefix}."):
        yield name.removeprefix(f"{prefix}.")


def class_names(part: object) -> list[str]:
    """Return the names of a module's classes, without those that all modules have; none for a parameter."""
    names = [kind.__name__ for kind in type(part).__mro__]
    return names[: names.index("Module")] if "Module" in names else []


def _hint(network: nn.Module, selector: str, known: dict[str, Any]) -> str:
    modules = {called for name in known if hasattr(known[name], "named_modules") for called in _names(network, name)}
    if selector.startswith(TYPE):
        kinds = {f"{TYPE}{type(part).__name__}" for part in known.values() if hasattr(part, "named_modules")}
        return f"{did_you_mean(selector, kinds)} Available: {format_list(kinds)}."
    near = did_you_mean(selector.rstrip("*."), [*modules, *WORDS])
    top = [name for name in modules if "." not in name] or list(modules)
    return f"{near} Available: {format_list(WORDS)}; {format_list(top, most=SHOWN)}. `compete inspect` lists all."
