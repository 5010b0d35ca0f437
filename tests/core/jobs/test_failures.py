"""Errors of other processes keep their kind and their sentence."""

from __future__ import annotations

import json

import pytest

from compete.errors import CompeteError, ConfigError, TrainingError
from compete.jobs.failures import failure, failure_record


@pytest.mark.parametrize("error", [TrainingError("fold0: lower lr"), ConfigError(["[a] b: c", "[d] e: f"])])
def test_an_error_of_ours_arrives_as_it_was(error):
    again = failure(json.loads(json.dumps(failure_record(error))))
    assert type(again) is type(error) and str(again) == str(error) and again.exit_status == error.exit_status


def test_another_error_arrives_as_one_line_that_says_where():
    try:
        raise KeyError("x")
    except KeyError as error:
        again = failure(failure_record(error))
    assert type(again) is CompeteError
    assert str(again).startswith("KeyError: 'x' (at ") and "test_failures.py:" in str(again)
