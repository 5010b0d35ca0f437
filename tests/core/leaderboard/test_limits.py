"""The rules from the TOML, for platforms that report no quota."""

from __future__ import annotations

from datetime import timedelta

import pytest

from compete.leaderboard.platform import AccessError, Limits
from compete.leaderboard.submitting import remaining
from fake_platform import START, FakePlatform, FakeTime

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("limits", "earlier", "left"),
    [
        (Limits(), [], None),
        (Limits(max_per_day=3), [], 3),
        (Limits(max_per_day=3), [START - 60 * MINUTE], 2),
        (Limits(max_per_day=1), [START - 13 * 60 * MINUTE], 1),  # yesterday in UTC
        (Limits(min_interval_minutes=60), [START - 60 * MINUTE], None),
    ],
)
def test_the_toml_s_rules_count_earlier_submissions(limits, earlier, left):
    uploader = FakePlatform().uploader(quota=None, check=None, limits=limits)
    assert remaining(uploader, earlier, print, FakeTime().clock()) == left


@pytest.mark.parametrize(
    ("limits", "earlier", "message"),
    [
        (Limits(max_per_day=1), [START - MINUTE], "Fake, fish: all 1 submissions of today are used up"),
        # Noon in UTC is nine in the evening in Seoul, where the day began 21 hours ago.
        (Limits(max_per_day=1, timezone="Asia/Seoul"), [START - 20 * 60 * MINUTE], "midnight, Asia/Seoul"),
        (Limits(min_interval_minutes=60), [START - 20.5 * MINUTE], r"The next one is possible in 40 min\."),
    ],
)
def test_the_toml_s_rules_stop_a_submission(limits, earlier, message):
    uploader = FakePlatform().uploader(quota=lambda: None, limits=limits)
    with pytest.raises(AccessError, match=message):
        remaining(uploader, earlier, print, FakeTime().clock())
