"""The classic mistakes of training, each looked for by an experiment (Karpathy 2019, "A Recipe for Training Neural
Networks", https://karpathy.github.io/2019/04/25/recipe/).

A check yields a sentence for what it finds, with a cure, and nothing for a sound network.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load, save
from torch import nn

from compete.errors import FAULTS, is_a_stop
from compete.model.finetune import set_training_mode
from compete.model.network import build_network
from compete.model.selectors import is_fitted
from compete.text import format_first, plural
from compete.train.data_checks import decoding_is_repeatable, labels_follow_pixels, loading_keeps_up
from compete.train.patient import Patient, unchanged_random_state

if TYPE_CHECKING:
    from compete.train.trainer import Trainer

STEPS, LEARNING_RATE, MOST_SECONDS = 60, 1e-2, 6.0  # of the experiment on one batch
FEW_ROWS, MANY_ROWS = 4, 16
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True)
class Check:
    """A check: what it is called, its experiment, and whether it is quick enough to precede every run.

    `of_steps`: it looks at weights that are stepped, which a head that is fitted at once does not have.
    """

    name: str
    examine: Callable[[Patient], Iterator[str]]
    quick: bool = False
    of_steps: bool = True


def diagnose(trainer: Trainer, quick: bool = False) -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each check with what it found. Network, optimizer and random state stay as they are."""
    with unchanged_random_state():
        patient = Patient.of(trainer, FEW_ROWS if quick else MANY_ROWS)
    for check in CHECKS:
        if (check.quick or not quick) and not (check.of_steps and is_fitted(trainer.network)):
            with unchanged_random_state():
                torch.manual_seed(0)
                try:
                    found = list(check.examine(patient))
                except FAULTS as error:  # such as a full memory: an experiment must not stop a run
                    if is_a_stop(error):
                        raise
                    found = [f"the experiment failed: {type(error).__name__}: {str(error).partition(chr(10))[0]}"]
            yield check.name, found


@torch.no_grad()
def logits_not_probabilities(patient: Patient) -> Iterator[str]:
    """Losses want logits: a sigmoid or softmax keeps outputs between 0 and 1, however large the input."""
    network, (images, *columns) = patient.network(), patient.inputs
    logits = torch.stack([network(images * factor, *columns) for factor in (1, -1, 100, -100)])
    if logits.std() > 0 and logits.min() >= 0 and logits.max() <= 1:
        yield "every output is between 0 and 1, as of a sigmoid or softmax; losses want logits: remove it"


@torch.no_grad()
def initial_loss(patient: Patient) -> Iterator[str]:
    """An untrained network knows nothing: its cross-entropy is about ln C, or ln 2 for each independent label."""
    classes, labels = len(patient.target.classes), torch.from_numpy(patient.labels)
    predictions = patient.target.activation(patient.network()(*patient.inputs).float().cpu()).clamp(1e-7, 1 - 1e-7)
    if labels.ndim == 1 and not labels.is_floating_point() and classes > 1:
        loss, expected = float(-predictions.gather(1, labels[:, None]).log().mean()), math.log(classes)
    elif labels.ndim == 2 and bool(((labels == 0) | (labels == 1)).all()):
        loss = float(nn.functional.binary_cross_entropy(predictions, labels.float()))
        expected = math.log(2)
    else:
        return
    if loss > 2 * expected + 0.5:
        yield (
            f"the cross-entropy before training is {loss:.2f}, and {expected:.2f} would be that of a guess: the new "
            "head starts with large weights, or the images are not scaled as the network expects ([images] mean, std)"
        )
    elif loss < 0.3 * expected:
        yield (
            f"the cross-entropy before training is {loss:.2f}, far below that of a guess ({expected:.2f}): the weights "
            "have seen these labels, so that the CV would be too good"
        )


@torch.no_grad()
def modes(patient: Patient) -> Iterator[str]:
    """In eval mode one input gives one output, and dropout does its work in training mode only."""
    network = patient.network()
    first, second = network(*patient.inputs), network(*patient.inputs)
    if not torch.equal(first, second):
        yield (
            "in eval mode two forwards of one batch differ: dropout without `training=self.training`, or other noise "
            "in forward()"
        )
        return
    dropouts = [m for m in network.modules() if isinstance(m, nn.modules.dropout._DropoutNd) and m.p > 0]
    if dropouts and torch.equal(_in_dropout(network, dropouts, patient), first):
        yield f"{plural(len(dropouts), 'dropout module')} in training mode changed nothing: forward() does not use them"


def _in_dropout(network: nn.Module, dropouts: Sequence[nn.Module], patient: Patient) -> torch.Tensor:
    for module in dropouts:
        module.train()
    output: torch.Tensor = network(*patient.inputs)
    return output


def samples_are_independent(patient: Patient) -> Iterator[str]:
    """In eval mode an image's logits depend on no other image: a view or transpose over the batch mixes them."""
    images, *columns = patient.inputs
    images = images.clone().requires_grad_(True)
    logits = patient.network()(images, *columns)
    gradient = torch.autograd.grad(logits[0].sum(), images, allow_unused=True)[0] if logits.requires_grad else None
    if gradient is None:
        yield "the logits do not depend on the images at all: forward() detaches them, or ignores its input"
        return
    if bool(gradient[1:].any()):
        yield (
            "the logits of one image depend on other images of the batch, also in eval mode: look for a view(), "
            "transpose() or mean over the first dimension in forward()"
        )


def gradients_arrive(patient: Patient) -> Iterator[str]:
    """All that is ever trained gets a finite gradient, and stands in the optimizer exactly once."""
    trainer, network = patient.trainer, patient.network()
    set_training_mode(network)
    torch.autograd.backward(trainer.loss(network(*patient.inputs), patient.targets))
    trainable = {name: p for name, p in network.named_parameters() if p.requires_grad}
    without = [name for name, p in trainable.items() if p.grad is None]
    if without:
        yield (
            f"no gradient reaches {format_first(without)}: forward() does not use it, or a detach(), no_grad() or "
            "argmax lies between"
        )
    infinite = [name for name, p in trainable.items() if p.grad is not None and not torch.isfinite(p.grad).all()]
    if infinite:
        yield f"the gradient of {format_first(infinite)} is not finite in the first step"
    held = [id(p) for group in trainer.optimizer.param_groups for p in group["params"]]
    counts = {name: held.count(id(p)) for name, p in trainer.network.named_parameters() if name in trainable}
    left_out = [name for name, count in counts.items() if not count]
    if left_out:
        yield f"{format_first(left_out)} trains, but is not in the optimizer: its weights never change"
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        yield f"{format_first(twice)} is in the optimizer more than once: it moves twice a step"


def gradients_are_cleared(patient: Patient) -> Iterator[str]:
    """The optimizer's `zero_grad` leaves nothing behind for the next step."""
    network = patient.trainer.network
    before = [p.grad for p in network.parameters()]
    try:
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter) if parameter.requires_grad else None
        patient.trainer.optimizer.zero_grad()
        left = [name for name, p in network.named_parameters() if p.grad is not None and bool(p.grad.any())]
    finally:
        for parameter, gradient in zip(network.parameters(), before, strict=True):
            parameter.grad = gradient
    if left:
        yield f"zero_grad() of the optimizer leaves the gradient of {format_first(left)}: gradients add up over steps"


def bias_before_norm(patient: Patient) -> Iterator[str]:
    """A bias right before BatchNorm is subtracted again: it costs memory and learns nothing."""
    found = []
    for module in patient.trainer.network.modules():
        children = list(module.named_children()) if isinstance(module, nn.Sequential) else []
        for (name, layer), (_, following) in pairwise(children):
            if isinstance(following, NORMS) and getattr(layer, "bias", None) is not None:
                found.append(f"{type(layer).__name__} {name}")
    if found:
        layers = plural(len(found), "layer")
        yield f"{layers} right before BatchNorm with a bias ({format_first(found)}), which it cancels: set bias=False"


def one_batch_can_be_learnt(patient: Patient) -> Iterator[str]:
    """Some steps on one batch must bring its loss far down, and further than without the images."""
    if _identical(patient.labels):
        return
    images, *columns = patient.inputs
    start, end = _train(patient, images, columns)
    if not end < 0.7 * start:
        yield (
            f"{STEPS} steps on one batch of {len(patient.rows)} images bring its loss from {start:.3g} to {end:.3g} "
            "only: it cannot be learnt, which is a fault of the network, the loss or the labels"
        )
        return
    if not columns:
        _, blind = _train(patient, torch.zeros_like(images), columns)
        if end > 0.95 * blind:
            yield (
                f"the images do not help: after {STEPS} steps on one batch its loss is {end:.3g} with them and "
                f"{blind:.3g} with black ones"
            )


def _identical(labels: np.ndarray) -> bool:
    return len(np.unique(labels, axis=0)) < 2


def _train(patient: Patient, images: torch.Tensor, columns: Sequence[torch.Tensor]) -> tuple[float, float]:
    """Return the loss of one batch before and after some steps of Adam on a copy of the network."""
    torch.manual_seed(0)
    network, loss, targets = patient.network(), patient.trainer.loss, patient.targets
    set_training_mode(network)
    for module in network.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.eval()  # what can be learnt by heart is the question
    trainable = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trainable, lr=LEARNING_RATE)
    losses: list[float] = []
    ends = time.monotonic() + MOST_SECONDS
    while len(losses) <= STEPS and time.monotonic() < ends:
        value = loss(network(images, *columns), targets)
        losses.append(float(value.detach()))
        optimizer.zero_grad()
        torch.autograd.backward(value)
        optimizer.step()
    return losses[0], min(losses[len(losses) // 2 :])


@torch.no_grad()
def weights_can_be_reloaded(patient: Patient) -> Iterator[str]:
    """What a state dict holds is all that the logits depend on."""
    run, network = patient.trainer.run, patient.network()
    for parameter in network.parameters():
        parameter.add_(0.01 * torch.randn_like(parameter))
    state = {name: t.detach().cpu().contiguous() for name, t in network.state_dict().items()}
    fresh = build_network(run.config, run.target.outputs, run.dataset.column_count, seed=1, weights=False)
    fresh.load_state_dict(load(save(state)))
    device = patient.inputs[0].device
    if not torch.allclose(fresh.to(device).eval()(*patient.inputs), network(*patient.inputs), atol=1e-4, rtol=1e-3):
        yield (
            "a network with the same weights loaded gives other logits: some of its state is neither a parameter nor "
            "a buffer; register it with register_buffer()"
        )


CHECKS = (
    Check("outputs are logits", logits_not_probabilities, quick=True),
    Check("initial loss", initial_loss, quick=True),
    Check("train and eval mode", modes, quick=True),
    Check("samples are independent", samples_are_independent, quick=True),
    Check("gradients arrive", gradients_arrive, quick=True),
    Check("gradients are cleared", gradients_are_cleared, quick=True),
    Check("bias before BatchNorm", bias_before_norm),
    Check("one batch can be learnt", one_batch_can_be_learnt),
    Check("weights can be reloaded", weights_can_be_reloaded),
    Check("labels follow pixels", labels_follow_pixels, of_steps=False),
    Check("decoding is repeatable", decoding_is_repeatable, of_steps=False),
    Check("loading keeps up", loading_keeps_up),
)
