from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from compete.config.options import bind
from compete.config.registry import Component
from compete_plugins.schedulers import cosine, none, one_cycle, plateau, step

UNHURRIED = settings(deadline=None, max_examples=40)  # torch's first call can take half a second

STEPWISE = {
    "cosine": cosine,
    "one_cycle": one_cycle,
    "step": lambda optimizer, total: step(optimizer, total, every_share=0.25),
    "milestones": lambda optimizer, total: step(optimizer, total, milestones=[0.5, 0.8]),
    "none": none,
}


def optimizer_with(*rates: float) -> torch.optim.Optimizer:
    groups = [{"params": [torch.nn.Parameter(torch.ones(1))], "lr": rate} for rate in rates]
    return torch.optim.SGD(groups, lr=1.0)


def rates_of(optimizer: torch.optim.Optimizer) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]


def run(scheduler, optimizer, steps: int) -> list[list[float]]:
    """Return the rates that each of the steps is made with."""
    used = []
    for _ in range(steps):
        used.append(rates_of(optimizer))
        optimizer.step()
        scheduler.step()
    return used


def test_cosine_without_warmup_is_that_of_torch():
    ours, theirs = optimizer_with(0.1, 0.01), optimizer_with(0.1)
    used = run(cosine(ours, 50, warmup_share=0.0, min_lr_ratio=0.02), ours, 50)
    expected = run(lr_scheduler.CosineAnnealingLR(theirs, 50, eta_min=0.002), theirs, 50)
    assert [rates[0] for rates in used] == pytest.approx([rates[0] for rates in expected])
    assert [rates[1] for rates in used] == pytest.approx([rates[0] / 10 for rates in used])


def test_cosine_rises_in_a_straight_line_to_the_base_rate():
    optimizer = optimizer_with(1.0)
    used = [rates[0] for rates in run(cosine(optimizer, 100, warmup_share=0.09), optimizer, 100)]
    assert used[:10] == pytest.approx([n / 10 for n in range(1, 11)])
    assert max(used) == used[9] == 1.0
    assert used[9:] == sorted(used[9:], reverse=True)
    assert used[-1] == pytest.approx(0.01, abs=1e-3)


def test_one_cycle_of_a_single_step_is_at_its_peak():
    optimizer = optimizer_with(0.1)
    assert run(one_cycle(optimizer, 1), optimizer, 1) == [[0.1]]


def test_one_cycle_is_that_of_torch_for_each_group():
    ours, theirs = optimizer_with(0.1, 0.02), optimizer_with(0.1, 0.02)
    used = run(one_cycle(ours, 40), ours, 40)
    reference = lr_scheduler.OneCycleLR(
        theirs, max_lr=[0.1, 0.02], total_steps=40, pct_start=0.3, div_factor=25, cycle_momentum=False
    )
    expected = [rates_of(theirs)]
    for _ in range(39):
        theirs.step()
        reference.step()
        expected.append(rates_of(theirs))
    torch.testing.assert_close(torch.tensor(used), torch.tensor(expected))


def test_step_cuts_at_shares_of_the_run():
    optimizer = optimizer_with(1.0, 0.5)
    used = run(step(optimizer, 10, every_share=0.3, gamma=0.5), optimizer, 10)
    assert [rates[0] for rates in used] == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]
    assert [rates[1] for rates in used] == [rates[0] / 2 for rates in used]
    optimizer = optimizer_with(1.0)
    used = run(step(optimizer, 10, milestones=[0.5, 0.8], gamma=0.1), optimizer, 10)
    assert [rates[0] for rates in used] == pytest.approx([1] * 5 + [0.1] * 3 + [0.01] * 2)


def test_every_tenth_of_ten_steps_is_every_step():
    optimizer = optimizer_with(1.0)  # 3 / 10 / 0.1 is below 3 in floating point
    used = run(step(optimizer, 10, every_share=0.1, gamma=0.5), optimizer, 10)
    assert [rates[0] for rates in used] == [0.5**n for n in range(10)]


@pytest.mark.parametrize("table", [{}, {"every_share": 0.5, "milestones": [0.5]}], ids=["neither", "both"])
def test_step_wants_one_way_of_saying_where(table):
    _, problems = bind(Component("schedulers", "step", step, "test"), table, "[scheduler]")
    message = "[scheduler]: set either every_share = 0.25 or milestones = [0.5, 0.8]."
    assert [str(problem) for problem in problems] == [message]


def test_none_keeps_every_rate():
    optimizer = optimizer_with(0.3, 0.1)
    assert run(none(optimizer, 5), optimizer, 5) == [[0.3, 0.1]] * 5


@pytest.mark.parametrize("name", sorted(STEPWISE))
@UNHURRIED
@given(st.integers(1, 30), st.integers(0, 35))
def test_a_run_goes_on_as_if_it_had_not_been_cut(name, total, cut):
    make = STEPWISE[name]
    whole = optimizer_with(0.1, 0.01)
    expected = run(make(whole, total), whole, 70)

    first = optimizer_with(0.1, 0.01)
    scheduler = make(first, total)
    assert run(scheduler, first, cut) == expected[:cut]
    for with_optimizer in (False, True):
        second = optimizer_with(0.1, 0.01)
        resumed = make(second, total)
        if with_optimizer:
            second.load_state_dict(first.state_dict())
        resumed.load_state_dict(scheduler.state_dict())
        assert run(resumed, second, 70 - cut) == expected[cut:]


@pytest.mark.parametrize("name", sorted(STEPWISE))
@UNHURRIED
@given(st.integers(1, 200))
def test_rates_stay_between_zero_and_the_base_and_hold_after_the_end(name, total):
    optimizer = optimizer_with(0.5)
    used = [rates[0] for rates in run(STEPWISE[name](optimizer, total), optimizer, total + 3)]
    assert all(0 < rate <= 0.5 and math.isfinite(rate) for rate in used)
    assert used[total:] == [used[total - 1]] * 3


def test_a_scheduler_built_on_a_restored_optimizer_starts_from_the_base_rate():
    first = optimizer_with(1.0)
    run(cosine(first, 10), first, 7)
    second = optimizer_with(1.0)
    second.load_state_dict(first.state_dict())
    cosine(second, 10).load_state_dict({"steps": 7})
    assert rates_of(second) == rates_of(first)


def test_a_group_added_later_moves_from_its_own_rate():
    optimizer = optimizer_with(1.0)
    scheduler = step(optimizer, 10, every_share=0.2, gamma=0.5)
    run(scheduler, optimizer, 4)
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "lr": 0.1})
    optimizer.step()
    scheduler.step()
    assert rates_of(optimizer) == [0.25, 0.025]


def test_stepping_before_the_optimizer_raises_no_warning():
    optimizer = optimizer_with(1.0)  # mixed precision skips optimizer steps
    for make in STEPWISE.values():
        make(optimizer, 10).step()


# --- plateau -------------------------------------------------------------------------------------------------


def plateau_rates(badness: list[float], **options: float) -> list[float]:
    optimizer = optimizer_with(1.0)
    scheduler = plateau(optimizer, 100, **options)
    rates = []
    for value in badness:
        scheduler.step()
        scheduler.epoch_end(value)
        rates.append(rates_of(optimizer)[0])
    return rates


@UNHURRIED
@given(st.lists(st.floats(-2, 2), max_size=30), st.integers(0, 3))
def test_plateau_is_that_of_torch(badness, patience):
    theirs = optimizer_with(1.0)
    reference = lr_scheduler.ReduceLROnPlateau(
        theirs, factor=0.5, patience=patience, threshold=0.0, threshold_mode="abs", min_lr=0.1, eps=0
    )
    expected = []
    for value in badness:
        reference.step(value)
        expected.append(rates_of(theirs)[0])
    assert plateau_rates(badness, patience_epochs=patience, factor=0.5, min_lr=0.1) == expected


def test_plateau_waits_also_for_a_score_that_is_better_higher():
    # badness is the negative score, on which relative thresholds turn round
    assert plateau_rates([-0.9, -0.9, -0.9, -0.95], patience_epochs=1) == [1.0, 1.0, 0.5, 0.5]


def test_nan_is_not_an_improvement():
    assert plateau_rates([0.5, math.nan, math.nan], patience_epochs=1) == [1.0, 1.0, 0.5]


def test_plateau_never_lifts_a_rate_to_the_minimum():
    optimizer = optimizer_with(1.0, 0.001)
    scheduler = plateau(optimizer, 10, patience_epochs=0, factor=0.1, min_lr=0.01)
    for _ in range(5):
        scheduler.epoch_end(1.0)
    assert rates_of(optimizer) == [0.01, 0.001]


def test_plateau_goes_on_as_if_it_had_not_been_cut():
    badness = [3, 2, 2, 2, 2, 1, 1, 1, 1, 1]
    expected = plateau_rates(badness, patience_epochs=1)
    first = optimizer_with(1.0)
    scheduler = plateau(first, 10, patience_epochs=1)
    for value in badness[:4]:
        scheduler.epoch_end(value)
    second = optimizer_with(1.0)
    resumed = plateau(second, 10, patience_epochs=1)
    resumed.load_state_dict(scheduler.state_dict())
    rates = [rates_of(second)[0]]
    for value in badness[4:]:
        resumed.epoch_end(value)
        rates.append(rates_of(second)[0])
    assert rates == expected[3:]
    assert len(set(expected)) > 2
