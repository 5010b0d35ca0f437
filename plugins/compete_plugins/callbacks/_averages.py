"""Averages over the epochs of a member: stochastic weight averaging and greedy soup."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, update_bn

from compete import Epoch, TrainerView, hookimpl

State = dict[str, Any]  # tensors, numbers and strings
Weights = dict[str, torch.Tensor]
NORM = nn.modules.batchnorm._BatchNorm


class StochasticAverage:
    """Validate and predict with the mean of the weights after each of the last epochs, once these have come."""

    def __init__(self, last_epochs: int) -> None:
        self.last_epochs = last_epochs
        self.average: AveragedModel | None = None
        self.stale: list[str] = []  # norms whose statistics are still those of the last epoch's weights

    @hookimpl
    def on_member_start(self, trainer: TrainerView) -> None:
        """Start from nothing."""
        self.average = AveragedModel(trainer.network).requires_grad_(False)
        self.stale = []

    @hookimpl
    def on_step_end(self, trainer: TrainerView) -> None:
        """Add the weights after an epoch's last step."""
        if trainer.step == trainer.steps_per_epoch and trainer.epoch >= trainer.epochs - self.last_epochs:
            assert self.average is not None
            self.average.update_parameters(trainer.network)
            # Frozen ones are in eval mode: they keep the statistics that they were trained with.
            modules = trainer.network.named_modules()
            self.stale = [name for name, module in modules if isinstance(module, NORM) and module.training]

    @hookimpl
    def evaluation_network(self, trainer: TrainerView) -> nn.Module | None:
        """Return the averaged network, once there is one, with statistics of its own."""
        if self.average is None or not int(self.average.n_averaged):
            return None
        network: nn.Module = self.average.module
        if self.stale:
            norms = [network.get_submodule(name) for name in self.stale]
            self.stale = []
            refresh_statistics(network, norms, trainer.training_inputs())
        return network

    def state_dict(self) -> State:
        """Return the average, the number of epochs in it, and the norms to refresh."""
        tensors = {} if self.average is None else self.average.state_dict()
        return {"stale": "\n".join(self.stale), **tensors}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the average exactly."""
        assert self.average is not None
        self.stale = state["stale"].split("\n") if state["stale"] else []
        self.average.load_state_dict({name: value for name, value in state.items() if name != "stale"})


def refresh_statistics(
    network: nn.Module, norms: Sequence[nn.Module], batches: Iterator[tuple[torch.Tensor, ...]]
) -> None:
    """Compute the norms' running statistics from batches, with all the rest of the network in eval mode."""
    network.eval()
    # torch's function takes the first item of each batch as the input.
    update_bn(((inputs,) for inputs in batches), _Norms(norms, network))


class _Norms(nn.Module):
    """Some norms of a network; called with a batch, it runs the whole network."""

    def __init__(self, norms: Sequence[nn.Module], network: nn.Module) -> None:
        super().__init__()
        self.norms = nn.ModuleList(norms)
        self.run: Callable[..., torch.Tensor] = lambda *inputs: network(*inputs)  # hides it: it is not to be trained

    def forward(self, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        return self.run(*inputs)


class GreedySoup:
    """Keep the weights of the best epochs, and at the end the average of those that together score best."""

    needs_scores = True

    def __init__(self, candidates: int) -> None:
        self.candidates = candidates
        self.kept: list[tuple[float, int, Weights]] = []  # score, number of the epoch, weights; best first

    @hookimpl
    def on_member_start(self) -> None:
        """Start from nothing."""
        self.kept = []

    @hookimpl(trylast=True)
    def on_epoch_end(self, trainer: TrainerView, epoch: Epoch) -> None:
        """Keep the weights if they are among the best; of equal epochs the first is better."""
        better = trainer.metric.better
        place = next((n for n, (score, *_) in enumerate(self.kept) if better(epoch.score, score)), len(self.kept))
        if better(epoch.score, None) and place < self.candidates:
            self.kept.insert(place, (epoch.score, epoch.number, _copied(trainer.evaluation_network)))
            del self.kept[self.candidates :]

    @hookimpl
    def on_training_end(self, trainer: TrainerView) -> None:
        """Choose the soup."""
        if not self.kept:
            return
        network = deepcopy(trainer.network)
        (best, number, first), *others = self.kept
        soup = [first]
        for _, _, weights in others:
            network.load_state_dict(mean([*soup, weights]))
            score = trainer.evaluate(network)[1]
            if trainer.metric.better(score, None) and not trainer.metric.better(best, score):
                best, soup = score, [*soup, weights]
        network.load_state_dict(mean(soup))
        trainer.choose(network, number, best)
        self.kept = []

    def state_dict(self) -> State:
        """Return the kept epochs, one key for each number and tensor."""
        state: State = {"kept": len(self.kept)}
        for place, (score, number, weights) in enumerate(self.kept):
            state |= {f"{place}.score": score, f"{place}.epoch": number}
            state |= {f"{place}.weights.{name}": tensor for name, tensor in weights.items()}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the kept epochs."""
        self.kept = []
        for place in range(state["kept"]):
            start = f"{place}.weights."
            weights = {key.removeprefix(start): value for key, value in state.items() if key.startswith(start)}
            self.kept.append((state[f"{place}.score"], state[f"{place}.epoch"], weights))


def mean(soup: Sequence[Weights]) -> Weights:
    """Return the mean of weights and running statistics; integers, such as batch norm's counter, are the first's."""
    return {
        name: torch.stack([weights[name].double() for weights in soup]).mean(dim=0).to(tensor.dtype)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in soup[0].items()
    }


def _copied(network: nn.Module) -> Weights:
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in network.state_dict().items()}
