"""The core's own tables."""

from __future__ import annotations

from compete.config.settings import Checks


def test_what_the_toml_leaves_open_is_not_checked():
    rules = Checks().submission_rules()
    assert rules == {
        "low": None, "high": None, "rows_sum_to_one": False, "integers": False,
        "allowed": None, "separator": None, "may_be_empty": False,
    }  # fmt: skip


def test_rules_for_label_sets_reach_the_check():
    rules = Checks(allowed=["rust", 7], separator=" ", may_be_empty=True).submission_rules()
    assert (rules["allowed"], rules["separator"], rules["may_be_empty"]) == (["rust", 7], " ", True)
