"""Which plan fits into a time, and which one follows when it goes wrong: arithmetic, with made-up costs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from compete.budget.ledger import Ledger
from compete.budget.plan import Cost, Done, Plan, Unit, describe, full_plan, plans, seconds

ONE = Unit("one", epochs=4, folds=(0, 1, 2), seeds=2, refit=True)
TWO = Unit("two", epochs=8, folds=(0, 1, 2), seeds=1, refit=False)
COST = Cost(start=10, reopen=1, epoch=100, refit_epoch=150, predict=5, finish=20)


def ledger(plan: Plan, limit: float, **values) -> Ledger:
    return Ledger("", limit, (ONE,), [COST], plan, **values)


def test_plans_leave_out_seeds_then_variants_then_half_the_epochs_then_folds_then_the_refit_then_epochs():
    found = [(plan.seeds, plan.epochs, plan.folds, plan.refit) for plan in plans([ONE, TWO])]
    assert found[:4] == [(2, (4, 8), 3, True), (1, (4, 8), 3, True), (1, (4,), 3, True), (1, (4,), 3, True)]
    assert [epochs for _, epochs, _, _ in found[2:7]] == [(4,), (4,), (3,), (2,), (2,)]
    assert found[7:10] == [(1, (2,), 2, True), (1, (2,), 1, True), (1, (2,), 1, False)]
    assert found[-1] == (1, (1,), 1, False)


def test_a_plan_costs_its_members_its_refit_and_its_ends():
    plan = full_plan([ONE])
    assert seconds(plan, [ONE], [COST]) == 10 + 6 * 4 * 100 + 2 * 4 * 150 + 6 * 5 + 20
    done = Done({(0, 0, 0): 4, (0, 1, 0): 3}, opened=frozenset([0]))
    assert seconds(plan, [ONE], [COST], done) == (4 * 4 + 1) * 100 + 2 * 4 * 150 + 6 * 5 + 20
    assert seconds(plan, [ONE], [COST], Done(finished=frozenset([0]))) == 0


def test_a_plan_says_what_it_leaves_out():
    plan = Plan(epochs=(3,), folds=2, seeds=2, refit=False)
    assert list(describe(plan, [ONE, TWO])) == [
        "one: 3 of 4 epochs, 2 of 3 folds, 2 seeds, no refit",
        "two: left out",
    ]


def test_epochs_that_a_toml_does_not_allow_are_passed_over():
    found = [plan.epochs for plan in plans([ONE], lambda plan: plan.epochs != (3,))]
    assert (3,) not in found and found[0] == (4,) and found[-1] == (1,)


@pytest.mark.parametrize(
    ("left", "folds"), [(1000, 3), (800, 2), (424, 2), (10, 1)], ids=["fits", "one fold less", "just", "never"]
)
def test_members_that_have_not_begun_are_left_out_and_finished_ones_count_nothing(left, folds):
    plan = Plan(epochs=(4,), folds=3, seeds=1, refit=False)
    book = ledger(plan, left, epochs={(0, 0, 0): 4}, opened={0}, calibrated=True)
    changed = book.shrink()
    if folds == 3:
        assert changed is None and book.need(plan) == 8 * 100 + 3 * 5 + 20
        return
    assert changed == replace(plan, folds=2 if left >= 431 else 1)


def test_without_a_finished_member_fewer_epochs_begin_again_where_nothing_else_fits():
    plan = Plan(epochs=(4,), folds=1, seeds=1, refit=False)
    book = ledger(plan, 260, epochs={(0, 0, 0): 1}, opened={0}, calibrated=True)
    assert book.need(plan) == 325 and book.shrink() == replace(plan, epochs=(2,))
    book.limit = 30
    assert book.shrink() is None, "late, but going on is the shortest way to a submission"


def test_the_first_epoch_may_make_the_plan_richer_or_poorer():
    plan = Plan(epochs=(2,), folds=3, seeds=1, refit=True)
    slow = ledger(plan, 800, epochs={(0, 0, 0): 1}, opened={0})
    assert slow.calibrate() == Plan(epochs=(2,), folds=2, seeds=1, refit=True) and slow.calibrated
    fast = ledger(plan, 800, epochs={(0, 0, 0): 1}, opened={0}, clock=lambda: 0.0)
    fast.costs = [replace(COST, epoch=5, refit_epoch=8)]
    assert fast.calibrate() == full_plan([ONE])
    same = ledger(plan, 1130, epochs={(0, 0, 0): 1}, opened={0})
    assert same.calibrate() is None


def test_time_counts_while_a_command_works():
    now = iter([5.0, 7.0, 10.0])
    book = ledger(full_plan([ONE]), 100, spent=1.0, clock=lambda: next(now))
    assert [book.tick(), book.tick(), book.tick()] == [0.0, 2.0, 3.0] and book.left == 94
