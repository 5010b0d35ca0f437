"""Weights from a local file, read without running any code in it and checked against the network."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import nn

from compete import ConfigError, did_you_mean

State = dict[str, torch.Tensor]

WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")  # where training scripts put the weights


def check_weights(pretrained: bool, weights: str) -> Iterator[str]:
    """Yield what is wrong with the options `pretrained` and `weights`."""
    if not weights:
        return
    if pretrained:
        yield "set either pretrained = true or weights, not both: a local file needs pretrained = false."
    path = Path(weights)
    if not path.is_file():
        beside = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        yield f"weights = '{weights}': no such file: {path.resolve()}.{did_you_mean(path.name, beside)}"


def read_weights(path: str) -> State:
    """Read a state dict from `.safetensors`, or from a PyTorch file that holds nothing but tensors."""
    from safetensors.torch import load_file
    from timm.models import clean_state_dict

    try:
        if path.endswith(".safetensors"):
            content: object = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ConfigError(
            f"weights = '{path}': refused. The file holds more than tensors, and such objects can run any code "
            "when loaded (or it is damaged). Save the tensors alone: torch.save(model.state_dict(), ...)."
        ) from error
    except Exception as error:  # damaged files raise almost anything
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ConfigError(f"weights = '{path}': cannot be read, it may be damaged: {reason}") from error
    state = _unwrapped(content)
    if not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ConfigError(f"weights = '{path}': not a state dict, which maps names to tensors.")
    cleaned: State = clean_state_dict(state)
    return cleaned


def _unwrapped(content: object) -> State:
    if not isinstance(content, Mapping):
        return {}
    for key in WRAPPERS:
        if isinstance(content.get(key), Mapping):
            return dict(content[key])
    return dict(content)


def rows(state: State, layer: str) -> int:
    """Return the number of outputs of a layer in a state dict; 0 if the layer is missing."""
    weight = state.get(f"{layer}.weight")
    return 0 if weight is None else len(weight)


def input_channels(state: State, stem: str, channels: int) -> int:
    """Return the channels that a state dict's first convolution expects: `channels`, or 3 to be adapted."""
    weight = state.get(f"{stem}.weight")
    return channels if weight is not None and weight.shape[1] == channels else 3


def load_exactly(network: nn.Module, state: State, path: str) -> None:
    """Load a state dict into a network; raise `ConfigError` unless all names and shapes agree."""
    refuse_differences(network, state, path)
    network.load_state_dict(state)


def refuse_differences(network: nn.Module, state: State, path: str) -> None:
    """Raise `ConfigError` with the first names or shapes that differ between a network and a state dict."""
    own = network.state_dict()
    shared = own.keys() & state.keys()
    kinds = {
        "missing in the file": [name for name in own if name not in state],
        "unknown to the network": [name for name in state if name not in own],
        "of another shape": [name for name in own if name in shared and own[name].shape != state[name].shape],
    }
    problems = [f"{len(names)} {kind} ({_first_few(names)})" for kind, names in kinds.items() if names]
    if problems:
        raise ConfigError(f"weights = '{path}': not for this backbone: {', '.join(problems)}.")


def _first_few(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
