"""Making a submission: whatever happens to its answer, and wherever the process dies, there is at most one."""

# ruff: noqa: F811 - fixtures are imported, and asked for by the same names

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compete.errors import UserError
from compete.leaderboard.creating import SEARCH_PAUSES_SECONDS
from compete.leaderboard.platform import BusyError, PlatformError, UnreachableError
from compete.leaderboard.records import load_records, update_record
from compete.leaderboard.retry import TRIES
from fake_platform import FakePlatform, Killed, candidate, make_candidate, resume_last, send_one  # noqa: F401

# Every step is flushed to the disk, which takes long on a real one.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


@pytest.mark.parametrize(
    ("outcomes", "pauses"),
    [
        (["lost"], [1.0]),
        (["late in 20 s"], [1.0, 4.0, 10.0, 15.0]),
        (["late in 100 s"], list(SEARCH_PAUSES_SECONDS)),
        (["busy"], [3.0]),
        (["busy", "not sent", "busy"], [3.0, 2.0, 3.0]),
    ],
)
def test_a_lost_or_failed_create_leads_to_exactly_one(candidate, outcomes, pauses):
    platform = FakePlatform(*outcomes)
    record = send_one(platform, candidate)
    assert len(platform.made) == 1 and record.reference == "1"
    assert platform.time.pauses == pauses


@pytest.mark.parametrize(
    "platform",
    [
        FakePlatform("silent"),
        FakePlatform("failed"),
        FakePlatform("late in 500 s"),
        FakePlatform("lost", list_lag=9),  # not in the list, but counted
    ],
)
def test_without_certainty_nothing_is_tried_again(candidate, platform):
    with pytest.raises(PlatformError, match="unknown whether the submission was made") as caught:
        send_one(platform, candidate)
    assert f"compete submit {candidate.name} --resume. From 2026-03-01 13:00 UTC on" in str(caught.value)
    assert len(platform.made) <= 1 and platform.outcomes == []
    assert load_records(candidate.records)[0].phase == "creating"


@pytest.mark.parametrize("outcome", ["failed", "killed before", "late in 500 s", "late in 3000 s"])
def test_resuming_looks_and_makes_one_only_when_the_lost_request_is_over(candidate, outcome):
    platform = FakePlatform(outcome)
    with suppress(Killed, PlatformError):
        send_one(platform, candidate)
    for _ in range(40):
        with suppress(PlatformError):
            assert resume_last(platform, candidate).phase == "submitted"
            break
    assert platform.time.seconds >= {"late in 500 s": 500}.get(outcome, 3000)
    platform.time.pause(9999)
    assert len(platform.made) == 1


def test_what_was_sent_is_sent_again_when_its_address_is_gone(candidate):
    platform = FakePlatform("failed")
    with pytest.raises(PlatformError):
        send_one(platform, candidate)
    record = load_records(candidate.records)[0]
    update_record(candidate, record, state={})  # the journal and a copy of the folder's records do not keep it
    platform.time.pause(9999)
    assert resume_last(platform, candidate).phase == "submitted"
    assert (platform.sent, len(platform.made)) == (2, 1)


def test_a_list_that_is_away_is_asked_again(candidate):
    platform = FakePlatform("lost")
    platform.faults["find"] = [UnreachableError("broke")] * 7
    assert send_one(platform, candidate).phase == "submitted"
    assert len(platform.made) == 1


def test_a_list_that_cannot_be_read_leaves_it_open(candidate):
    platform = FakePlatform("lost")
    platform.faults["find"] = [UnreachableError("broke")] * 5 * len(SEARCH_PAUSES_SECONDS)
    with pytest.raises(PlatformError, match=r"^broke; the answer of Fake was lost, and it is unknown whether"):
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


@pytest.mark.parametrize(("outcome", "error"), [("busy", BusyError), ("not sent", UnreachableError)])
def test_what_was_certainly_not_made_can_be_resumed(candidate, outcome, error):
    platform = FakePlatform(*[outcome] * TRIES)
    with pytest.raises(error):
        send_one(platform, candidate)
    assert load_records(candidate.records)[0].phase == "sending"
    assert resume_last(platform, candidate).phase == "submitted"
    assert (len(platform.made), platform.sent) == (1, 1)


@pytest.mark.parametrize("moved_by_seconds", [-90_000, 0, 60])
def test_a_clock_that_is_wrong_makes_none_in_doubt(candidate, moved_by_seconds):
    platform = FakePlatform("killed, late")
    platform.time.seconds = 90_000.0
    with pytest.raises(Killed):
        send_one(platform, candidate)
    platform.time.seconds += moved_by_seconds
    with suppress(PlatformError):
        resume_last(platform, candidate)
    platform.time.pause(90_000)
    assert len(platform.made) == 1


def test_something_counted_but_not_listed_is_never_made_again(candidate):
    platform = FakePlatform("lost", list_lag=99)
    for _ in range(3):
        with pytest.raises(PlatformError, match="unknown whether"):
            resume_last(platform, candidate) if candidate.records.exists() else send_one(platform, candidate)
    platform.time.pause(9999)
    with pytest.raises(PlatformError, match=r"something was counted since: 5 were left before, 4 are now\."):
        resume_last(platform, candidate)
    assert len(platform.made) == 1


def test_a_file_changed_before_create_is_not_submitted(candidate):
    platform = FakePlatform()

    def send(path, state, save):
        platform.send(path, state, save)
        path.write_text("id,label\n1,1\n")

    with pytest.raises(UserError, match="has changed since its submission was begun"):
        send_one(platform, candidate, uploader=platform.uploader(send=send))
    assert platform.made == [] and load_records(candidate.records)[0].phase == "sending"


OUTCOMES = [
    "ok", "busy", "not sent", "refused", "failed", "lost", "silent", "late in 20 s", "late in 100 s", "late in 3000 s",
    "killed before", "killed after", "killed, late",
]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    outcomes=st.lists(st.sampled_from(OUTCOMES), max_size=6),
    list_lag=st.integers(0, 8),
    pauses=st.lists(st.sampled_from([0, 60, 4000]), min_size=12, max_size=12),
    kills=st.lists(st.sampled_from(["check", "quota", "send", "send after the first step", "find"]), max_size=3),
)
def test_whatever_happens_one_submit_makes_at_most_one_submission(outcomes, list_lag, pauses, kills):
    platform = FakePlatform(*outcomes, list_lag=list_lag)
    for place in kills:
        platform.faults.setdefault(place, []).append(Killed())
    with TemporaryDirectory(dir=MEMORY) as folder:
        candidate = make_candidate(Path(folder))
        with suppress(Killed, PlatformError):
            send_one(platform, candidate)
        for pause in pauses:
            platform.time.pause(pause)
            records = load_records(candidate.records)
            if not records or records[0].phase in {"submitted", "refused"}:
                break
            with suppress(Killed, PlatformError):
                resume_last(platform, candidate)
        platform.time.pause(9999)
        assert len(platform.made) <= 1
        records = load_records(candidate.records)
        if records and records[0].phase == "submitted":
            assert platform.made == [records[0].message]
        if records and records[0].phase == "refused":
            assert platform.made == []
