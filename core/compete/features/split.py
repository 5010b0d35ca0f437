"""Cut a network in front of its head: a frozen backbone that gives features, and the rest that takes them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from compete.model.finetune import begin_plan, set_training_mode
from compete.model.selectors import find_head, within

if TYPE_CHECKING:
    from compete.config.load import Config

Dropout = nn.modules.dropout._DropoutNd
TRIALS = 3  # of a backbone in training mode: what is random in it should show


class CannotSplitError(Exception):
    """Why a network cannot be cut in front of its head, to go on with a sentence."""


@dataclass(frozen=True)
class Split:
    """Where a network is cut, by dotted names of modules.

    `body` takes images alone, and what its modules `rest` make of the features, one after the other, is its output:
    dropouts right before the head, and the head.
    """

    body: str
    rest: tuple[str, ...]

    @torch.no_grad()
    def features(self, network: nn.Module, images: torch.Tensor) -> torch.Tensor:
        """Return the features (B, ...) of scaled images (B, C, H, W)."""
        with inputs_of(network.get_submodule(self.rest[0])) as found:
            network.get_submodule(self.body)(images)
        return found[0]

    def rest_of(self, network: nn.Module, dtype: torch.dtype) -> nn.Module:
        """Return the network from the features on, with the same modules; features are converted to `dtype` first."""
        rest = nn.Sequential(_Convert(dtype), *(network.get_submodule(name) for name in self.rest))
        return _with_module(network, self.body, rest)

    def backbone_state(self, network: nn.Module) -> dict[str, torch.Tensor]:
        """Return the tensors that features depend on, by their names in the body."""
        state = network.get_submodule(self.body).state_dict()
        start = len(self.body) + 1 if self.body else 0
        rest = tuple(f"{name[start:]}." for name in self.rest)
        return {name: tensor for name, tensor in state.items() if not name.startswith(rest)}


@contextmanager
def inputs_of(module: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Yield a list that gets a copy of each input of a module."""
    found: list[torch.Tensor] = []

    def keep(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        found.append(next(iter((*args, *kwargs.values()))).clone())

    hook = module.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        yield found
    finally:
        hook.remove()


class _Convert(nn.Module):
    """Gives features the type that they had before they were stored: half precision is rounded where it was."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features.to(self.dtype)


def _with_module(network: nn.Module, name: str, module: nn.Module) -> nn.Module:
    """Return the network with one module replaced; all others are shared, and the network itself stays as it is."""
    if not name:
        return module
    first, _, inner = name.partition(".")
    clone = copy.copy(network)
    clone._modules = dict(network._modules)
    clone._modules[first] = _with_module(network.get_submodule(first), inner, module)
    return clone


def find_split(network: nn.Module, config: Config, outputs: int, inputs: Sequence[torch.Tensor]) -> Split:
    """Find where a network can be cut, and try it. Raise `CannotSplitError` with the reason if it cannot.

    `inputs` are a few images (B, C, H, W), noise will do, and the columns (B, F) if there are any. The network stays as
    it is.
    """
    network = copy.deepcopy(network).eval()
    begin_plan(network, config, outputs)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        split = _locate(network, find_head(network, outputs), inputs)
        _refuse_trained_backbone(network, split)
        _refuse_random_backbone(network, split, inputs)
        _refuse_other_logits(network, split, inputs)
    return split


@dataclass(frozen=True)
class _Call:
    """One call of a module; the tensors are kept, so that no other one gets their place in memory."""

    name: str
    inputs: tuple[Any, ...]
    output: Any

    @property
    def features(self) -> torch.Tensor | None:
        """The call's only input, None if it has others."""
        return self.inputs[0] if len(self.inputs) == 1 and isinstance(self.inputs[0], torch.Tensor) else None


@torch.no_grad()
def _calls(network: nn.Module, inputs: Sequence[torch.Tensor]) -> list[_Call]:
    """Return the calls of all modules in one forward, in the order of their ends."""
    calls: list[_Call] = []

    def watch(name: str) -> Any:  # noqa: ANN401 - a hook
        return lambda _module, args, kwargs, output: calls.append(_Call(name, (*args, *kwargs.values()), output))

    modules = network.named_modules()
    hooks = [module.register_forward_hook(watch(name), with_kwargs=True) for name, module in modules]
    try:
        network(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return calls


def _same(first: object, second: object) -> bool:
    """Return whether two tensors are one, or views of one with the same shape."""
    tensors = isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor)
    return tensors and (first.data_ptr(), first.shape) == (second.data_ptr(), second.shape)  # type: ignore[attr-defined]


def _locate(network: nn.Module, heads: Sequence[str], inputs: Sequence[torch.Tensor]) -> Split:
    modules, calls = dict(network.named_modules()), _calls(network, inputs)
    heads = [name for name in heads if name in modules]  # a head over the model has parameters of its own
    if len(heads) != 1:
        raise CannotSplitError(f"its head has {len(heads)} modules")
    head = _only_call(calls, heads[0])
    features = None if head is None else head.features
    if head is None or features is None:
        raise CannotSplitError(f"its head {heads[0]} does not take one tensor, once")
    path = heads[0].split(".")
    for body in (".".join(path[:depth]) for depth in range(len(path))):
        call = _only_call(calls, body)
        if call is not None and _same(call.features, inputs[0]) and _same(call.output, head.output):
            return Split(body, _with_dropouts(modules, calls, head))
    raise CannotSplitError(f"it works on after its head {heads[0]}")


def _only_call(calls: Sequence[_Call], name: str) -> _Call | None:
    found = [call for call in calls if call.name == name]
    return found[0] if len(found) == 1 else None


def _with_dropouts(modules: dict[str, nn.Module], calls: Sequence[_Call], head: _Call) -> tuple[str, ...]:
    """Return the head's name after those of the dropouts right before it, which pass their input on in eval mode."""
    names, features = [head.name], head.features
    for call in reversed(calls):
        if call.name.startswith(f"{head.name}."):
            continue
        module, once = modules[call.name], _only_call(calls, call.name) is not None
        if isinstance(module, Dropout) and module.p > 0 and once and _same(call.output, features):
            names.insert(0, call.name)
            features = call.features
    return tuple(names)


def _refuse_trained_backbone(network: nn.Module, split: Split) -> None:
    rest = {id(parameter) for parameter in split.rest_of(network, torch.float32).parameters()}
    trained = [name for name, p in network.named_parameters() if p.requires_grad and id(p) not in rest]
    if trained:
        raise CannotSplitError(f"{trained[0]} is trained, which lies before the features")


def _refuse_random_backbone(network: nn.Module, split: Split, inputs: Sequence[torch.Tensor]) -> None:
    """Compare the features in training mode with those in eval mode, more than once."""
    expected = split.features(network, inputs[0])
    trained = copy.deepcopy(network)
    set_training_mode(trained)
    for _ in range(TRIALS):
        if not torch.allclose(split.features(trained, inputs[0]), expected, rtol=1e-5, atol=1e-6):
            raise CannotSplitError("its features are others in training mode: dropout, drop path or batch norm")
    for name, module in trained.named_modules():
        active = module.training and not any(True for _ in module.children()) and not within(name, split.rest)
        rate = getattr(module, "p", 0) if isinstance(module, Dropout) else getattr(module, "drop_prob", 0)
        if active and rate and name.startswith(split.body and f"{split.body}."):
            raise CannotSplitError(f"its module {name} is random in training mode")


@torch.no_grad()
def _refuse_other_logits(network: nn.Module, split: Split, inputs: Sequence[torch.Tensor]) -> None:
    """Compare the logits of both ways: whatever else happens between features and logits would show."""
    for training in (False, True):
        whole, cut = copy.deepcopy(network), copy.deepcopy(network)
        if training:
            set_training_mode(whole)
        features = split.features(cut, inputs[0])
        rest = split.rest_of(cut, features.dtype).train(training)
        torch.manual_seed(0)
        expected = whole(*inputs)
        torch.manual_seed(0)
        if not torch.allclose(rest(features, *inputs[1:]), expected, rtol=1e-4, atol=1e-5):
            raise CannotSplitError("its logits depend on more than the input of its head")
