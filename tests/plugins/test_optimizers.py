from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest
import timm.optim
import torch
from torch import nn

from compete import ConfigError
from compete.config.options import bind
from compete.config.registry import Component
from compete_plugins.optimizers import register_optimizers

FIXED = ["sgd", "adam", "adamw", "rmsprop"]
# opt_einsum, which kron asks for in a warning, is optional; apex and bitsandbytes need a GPU
TIMM_HERE = [n for n in timm.optim.list_optimizers(exclude_filters=["bnb*", "fused*", "kron*"]) if n != "adahessian"]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def groups_of(net: nn.Module) -> list[dict[str, Any]]:
    matrices = [p for p in net.parameters() if p.ndim > 1]
    return [{"params": matrices}, {"params": [p for p in net.parameters() if p.ndim == 1], "weight_decay": 0.0}]


def bound(name: str, **table: object):
    made, problems = bind(Component("optimizers", name, register_optimizers()[name], "test"), table, "[optimizer]")
    assert not problems, problems
    return made.build


def problems_of(name: str, **table: object) -> list[str]:
    _, problems = bind(Component("optimizers", name, register_optimizers()[name], "test"), table, "[optimizer]")
    return [str(problem) for problem in problems]


def trained(build, steps: int = 3) -> list[torch.Tensor]:
    net = network()
    optimizer = build(groups_of(net))
    for _ in range(steps):
        optimizer.zero_grad()
        net(torch.eye(3)).square().sum().backward()
        optimizer.step()
    return [p.detach() for p in net.parameters()]


@pytest.mark.parametrize(
    ("name", "options", "reference"),
    [
        ("sgd", {}, lambda g: torch.optim.SGD(g, lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)),
        (
            "sgd",
            {"lr": 0.1, "momentum": 0.0, "nesterov": False},
            lambda g: torch.optim.SGD(g, lr=0.1, weight_decay=5e-4),
        ),
        (
            "adam",
            {"betas": [0.8, 0.9], "eps": 1e-3},
            lambda g: torch.optim.Adam(g, lr=3e-4, betas=(0.8, 0.9), eps=1e-3),
        ),
        ("adamw", {"lr": 0.1}, lambda g: torch.optim.AdamW(g, lr=0.1, weight_decay=0.05)),
        ("rmsprop", {"lr": 0.1, "alpha": 0.5}, lambda g: torch.optim.RMSprop(g, lr=0.1, alpha=0.5, momentum=0.9)),
        (
            "torch",
            {"optimizer": "NAdam", "lr": 0.1, "arguments": {"betas": [0.8, 0.9], "weight_decay": 0.1}},
            lambda g: torch.optim.NAdam(g, lr=0.1, betas=(0.8, 0.9), weight_decay=0.1),
        ),
        (
            "timm",
            {"optimizer": "lamb", "lr": 0.1, "weight_decay": 0.2, "arguments": {"grad_averaging": False}},
            lambda g: timm.optim.Lamb(g, lr=0.1, weight_decay=0.2, grad_averaging=False),
        ),
    ],
)
def test_options_reach_the_optimizer(name, options, reference):
    close = 1e-6 if name in ("adam", "adamw") else 0  # one fused kernel rounds otherwise than torch's loop
    torch.testing.assert_close(trained(bound(name, **options)), trained(reference), rtol=close, atol=0)


def test_adamw_makes_one_fused_step_on_a_cpu():
    assert bound("adamw")(groups_of(network())).defaults["fused"] is True
    assert not bound("adamw")(groups_of(network().to("meta"))).defaults["fused"]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {"weight_decay": 0.3}) for name in FIXED),
        ("torch", {"optimizer": "AdamW", "lr": 0.1, "arguments": {"weight_decay": 0.3}}),
        ("timm", {"optimizer": "lion", "lr": 0.1, "weight_decay": 0.3}),
    ],
)
def test_a_groups_own_weight_decay_wins(name, options):
    optimizer = bound(name, **options)(groups_of(network()))
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0.0]


@pytest.mark.parametrize("name", ["ASGD", "Adadelta", "Adafactor", "Adagrad", "Adamax", "NAdam", "RAdam", "Rprop"])
def test_every_optimizer_of_torch_trains(name):
    before = [p.detach() for p in network().parameters()]
    after = trained(bound("torch", optimizer=name, lr=0.01))
    assert all(torch.isfinite(p).all() for p in after)
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("name", TIMM_HERE)
def test_every_optimizer_of_timm_is_taken(name):
    optimizer = bound("timm", optimizer=name, lr=0.01, weight_decay=0.1)(groups_of(network()))
    assert [group["lr"] for group in optimizer.param_groups] == [0.01, 0.01]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]


# --- messages ------------------------------------------------------------------------------------------------


def test_nesterov_needs_momentum():
    assert problems_of("sgd", momentum=0.0) == ["[optimizer]: nesterov = true needs momentum above 0."]


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_betas_out_of_range(name):
    assert problems_of(name, betas=[0.9, 1.0]) == [
        "[optimizer] betas = [0.9, 1.0]: must be a list of 2 numbers, 0 <= x < 1, but betas.1 is 1.0."
    ]


@pytest.mark.parametrize("name", FIXED)
def test_a_learning_rate_of_zero_is_refused(name):
    assert problems_of(name, lr=0.0) == ["[optimizer] lr = 0.0: must be a number, 1e-09 <= x <= 100."]


@pytest.mark.parametrize("name", ["torch", "timm"])
def test_name_and_learning_rate_are_required(name):
    assert problems_of(name) == [
        "[optimizer] optimizer: is required and missing.",
        "[optimizer] lr: is required and missing.",
    ]


@pytest.mark.parametrize("name", ["LBFGS", "SparseAdam", "Optimizer", "lr_scheduler"])
def test_torch_classes_that_do_not_fit_the_loop_are_unknown(name):
    (problem,) = problems_of("torch", optimizer=name, lr=0.1)
    assert problem.startswith(f"[optimizer]: unknown torch.optim optimizer '{name}'.")


def test_the_nearest_name_is_offered():
    (problem,) = problems_of("torch", optimizer="nadamm", lr=0.1)
    assert "unknown torch.optim optimizer 'nadamm'. Did you mean 'NAdam'?" in problem
    (problem,) = problems_of("timm", optimizer="lambb", lr=0.1)
    assert "unknown timm optimizer 'lambb'. Did you mean 'lamb'?" in problem


def test_every_wrong_argument_is_named_at_once():
    problems = problems_of("torch", optimizer="NAdam", lr=0.1, arguments={"beta": 1, "lr": 0.2, "params": 1})
    assert problems[0].startswith(
        "[optimizer]: arguments.beta: unknown argument of torch.optim.NAdam. Did you mean 'betas'? "
        "Available: betas, capturable,"
    )
    assert problems[1] == "[optimizer]: arguments.lr: lr is an option of its own: set it beside optimizer."
    assert problems[2].startswith("[optimizer]: arguments.params: unknown argument of torch.optim.NAdam.")
    problems = problems_of("timm", optimizer="lamb", lr=0.1, arguments={"beta": 1, "weight_decay": 0.2})
    assert "arguments.beta: unknown argument of timm's lamb. Did you mean 'betas'?" in problems[0]
    assert (
        problems[1]
        == "[optimizer]: arguments.weight_decay: weight_decay is an option of its own: set it beside optimizer."
    )


def test_values_that_the_class_refuses_are_found_when_the_toml_is_read():
    (problem,) = problems_of("torch", optimizer="AdamW", lr=0.1, arguments={"betas": [0.9, 1.5]})
    assert problem.startswith("[optimizer]: torch.optim.AdamW does not take arguments = {'betas': [0.9, 1.5]}: ")
    assert "1.5" in problem.rpartition(": ")[2]


def test_second_order_optimizers_are_refused():
    assert problems_of("timm", optimizer="adahessian", lr=0.1) == [
        "[optimizer]: timm's adahessian needs second-order gradients, which the training loop does not compute."
    ]


def test_an_optimizer_that_refuses_the_network_is_an_error():
    build = bound("torch", optimizer="Muon", lr=0.1)
    with pytest.raises(ConfigError, match=r"^\[optimizer\] torch.optim.Muon cannot train this network here: .*2D"):
        build(groups_of(network()))


@pytest.mark.skipif(find_spec("bitsandbytes") is not None, reason="the package is there")
def test_an_optimizer_of_a_missing_package_is_an_error():
    build = bound("timm", optimizer="bnbadamw", lr=0.1)
    with pytest.raises(ConfigError, match=r"^\[optimizer\] timm's bnbadamw cannot train this network here: "):
        build(groups_of(network()))
