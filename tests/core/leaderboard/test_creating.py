"""Making a submission: whatever happens to its answer, and wherever the process dies, there is at most one."""

# ruff: noqa: F811 - fixtures are imported, and asked for by the same names

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compete.leaderboard.creating import SETTLED_SECONDS
from compete.leaderboard.platform import BusyError, PlatformError, UnreachableError
from compete.leaderboard.records import load_records
from fake_platform import FakePlatform, Killed, candidate, make_candidate, resume_last, send_one  # noqa: F401

# Every step is flushed to the disk, which takes long on a real one.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


@pytest.mark.parametrize(("outcomes", "pauses"), [(["lost"], [1.0]), (["failed"], [1.0, 4.0, 10.0]), (["busy"], [3.0])])
def test_a_lost_or_failed_create_leads_to_exactly_one(candidate, outcomes, pauses):
    platform = FakePlatform(*outcomes)
    record = send_one(platform, candidate)
    assert len(platform.made) == 1 and record.reference == "1"
    assert platform.time.pauses == pauses


@pytest.mark.parametrize(
    ("platform", "match"),
    [
        (FakePlatform("silent"), "unknown whether the submission was made"),
        (FakePlatform("failed", "failed"), "unknown whether"),
        (FakePlatform("lost", list_lag=9), "unknown whether"),  # not in the list, but counted
    ],
)
def test_without_certainty_nothing_is_tried_again(candidate, platform, match):
    with pytest.raises(PlatformError, match=match) as caught:
        send_one(platform, candidate)
    assert f"compete submit {candidate.name} --resume" in str(caught.value)
    assert len(platform.made) <= 1
    assert load_records(candidate.records)[0].phase == "creating"


def test_a_list_that_cannot_be_read_leaves_it_open(candidate):
    platform = FakePlatform("lost")
    platform.faults["find"] = [UnreachableError("broke")] * 5
    with pytest.raises(PlatformError, match="unknown whether"):
        send_one(platform, candidate)
    assert resume_last(platform, candidate).phase == "submitted"
    assert len(platform.made) == 1


def test_a_platform_without_a_list_leaves_it_to_the_user(candidate):
    platform = FakePlatform("lost")
    with pytest.raises(PlatformError, match="it has no list to search") as caught:
        send_one(platform, candidate, uploader=platform.uploader(find=None))
    assert f"compete score {candidate.name} VALUE" in str(caught.value)
    assert f"compete submit {candidate.name} --again" in str(caught.value)


def test_a_refusal_is_recorded_and_final(candidate):
    platform = FakePlatform("refused")
    with pytest.raises(PlatformError, match="no such thing"):
        send_one(platform, candidate)
    assert [(r.phase, r.reason) for r in load_records(candidate.records)] == [("refused", "no such thing")]


def test_a_platform_that_stays_busy_can_be_resumed(candidate):
    platform = FakePlatform("busy", "busy")
    with pytest.raises(BusyError):
        send_one(platform, candidate)
    assert load_records(candidate.records)[0].phase == "sending"
    assert resume_last(platform, candidate).phase == "submitted"
    assert (len(platform.made), platform.sent) == (1, 1)


def test_a_request_lost_a_moment_ago_is_given_time_before_another_one(candidate):
    platform = FakePlatform("killed, late")
    with pytest.raises(Killed):
        send_one(platform, candidate)
    record = resume_last(platform, candidate)
    assert platform.time.pauses[0] == SETTLED_SECONDS
    assert (record.phase, len(platform.made)) == ("submitted", 1)


def test_a_clock_that_was_put_back_makes_for_no_long_wait(candidate):
    platform = FakePlatform("killed after")
    platform.time.seconds = 90_000.0
    with pytest.raises(Killed):
        send_one(platform, candidate)
    platform.time.seconds = 0.0
    assert resume_last(platform, candidate).phase == "submitted"
    assert platform.time.pauses[0] == SETTLED_SECONDS and len(platform.made) == 1


OUTCOMES = [
    "ok", "busy", "refused", "failed", "lost", "silent", "late", "killed before", "killed after", "killed, late",
]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    outcomes=st.lists(st.sampled_from(OUTCOMES), max_size=6),
    list_lag=st.integers(0, 8),
    kills=st.lists(st.sampled_from(["check", "quota", "send", "send after the first step", "find"]), max_size=3),
)
def test_whatever_happens_one_submit_makes_at_most_one_submission(outcomes, list_lag, kills):
    platform = FakePlatform(*outcomes, list_lag=list_lag)
    for place in kills:
        platform.faults.setdefault(place, []).append(Killed())
    with TemporaryDirectory(dir=MEMORY) as folder:
        candidate = make_candidate(Path(folder))
        with suppress(Killed, PlatformError):
            send_one(platform, candidate)
        for _ in range(12):
            records = load_records(candidate.records)
            if not records or records[0].phase in {"submitted", "refused"}:
                break
            with suppress(Killed, PlatformError):
                resume_last(platform, candidate)
        platform.time.pause(1000)
        assert len(platform.made) <= 1
        records = load_records(candidate.records)
        if records and records[0].phase == "submitted":
            assert platform.made == [records[0].message]
        if records and records[0].phase == "refused":
            assert platform.made == []
