"""Submitting: checked and counted first, recorded step by step, waited for with a deadline."""

# ruff: noqa: F811 - fixtures are imported, and asked for by the same names

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import pytest

from compete.errors import RunBusyError, UserError
from compete.leaderboard.creating import wait
from compete.leaderboard.platform import (
    AccessError,
    BusyError,
    Limits,
    PlatformError,
    Receipt,
    Status,
    UnreachableError,
)
from compete.leaderboard.records import Candidate, Record, load_records
from compete.leaderboard.submitting import remaining
from fake_platform import START, FakePlatform, FakeTime, Killed, candidate, resume_last, send_one  # noqa: F401


def test_the_happy_path_is_recorded_step_by_step(candidate):
    platform, logged = FakePlatform(), []
    record = send_one(platform, candidate, logged)
    assert (record.phase, record.reference, record.quota_before) == ("submitted", "1", 5)
    assert load_records(candidate.records) == [record]
    assert platform.made == [record.message]
    assert record.message.split()[0] == "run-001" and record.id in record.message
    assert logged == [f"sending {candidate.file} to Fake"]
    assert record.state == {}  # the place to upload to is nobody's business any more
    assert platform.time.pauses == []


def test_a_run_s_name_is_never_taken_for_the_marker(candidate):
    named = replace(candidate, run="compete-1")
    platform = FakePlatform("ok", "late in 1 s")
    first = send_one(platform, named)
    assert first.id != "compete-1" and first.message.split()[:2] == ["compete-1", first.id]
    assert send_one(platform, named, again=True).reference == "2"  # the first one is not found in its place


def test_nothing_is_sent_when_the_quota_is_used_up(candidate):
    platform = FakePlatform(daily=0)
    with pytest.raises(AccessError, match=r"^Fake, fish: no submission is left; nothing was uploaded\. Try again tom"):
        send_one(platform, candidate)
    assert platform.sent == 0 and not candidate.records.exists()


def test_a_failed_check_sends_nothing(candidate):
    platform = FakePlatform()
    platform.faults["check"] = [AccessError("no token")]
    with pytest.raises(AccessError, match="no token"):
        send_one(platform, candidate)
    assert platform.sent == 0


@pytest.mark.parametrize(
    ("error", "pauses"),
    [
        (BusyError("slow down", 7.0), [7.0]),
        (BusyError("slow down"), [2.0]),
        (UnreachableError("broke"), [1.0]),
        (UnreachableError("silent", silent=True), [1.0]),
    ],
)
def test_a_question_is_asked_again(candidate, error, pauses):
    platform, logged = FakePlatform(), []
    platform.faults["quota"] = [error]
    send_one(platform, candidate, logged)
    assert platform.time.pauses == pauses
    assert f"{error}; asking again in {pauses[0]:g} s" in logged


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (UnreachableError("broke"), 5),
        (UnreachableError("silent", silent=True), 2),
        (BusyError("slow down", 7.0), 5),
        (BusyError("slow down", 3600.0), 1),
    ],
)
def test_asking_again_has_an_end(candidate, error, tries):
    platform = FakePlatform()
    platform.faults["quota"] = [error] * 9
    with pytest.raises(type(error)):
        send_one(platform, candidate)
    assert 9 - len(platform.faults["quota"]) == tries


def test_a_broken_upload_resumes_with_its_state(candidate):
    platform = FakePlatform()
    platform.faults["send after the first step"] = [UnreachableError("broke")]
    seen = []
    uploader = platform.uploader(
        send=lambda path, state, save: (seen.append(dict(state)), platform.send(path, state, save))
    )
    send_one(platform, candidate, uploader=uploader)
    assert seen == [{}, {"token": "t"}]


def test_a_refused_upload_is_over(candidate):
    platform = FakePlatform()
    platform.faults["send"] = [PlatformError("not taken")]
    with pytest.raises(PlatformError, match="not taken"):
        send_one(platform, candidate)
    assert [(r.phase, r.reason) for r in load_records(candidate.records)] == [("refused", "not taken")]
    assert send_one(platform, candidate).phase == "submitted"


def test_a_second_submit_of_an_unfinished_file_is_refused(candidate):
    platform = FakePlatform()
    first = send_one(platform, candidate)
    with pytest.raises(UserError, match=r"is not finished \(submitted\)") as caught:
        send_one(platform, candidate)
    assert f"compete submit {candidate.name} --resume" in str(caught.value) and "--again" in str(caught.value)
    second = send_one(platform, candidate, again=True)
    assert [r.phase for r in load_records(candidate.records)] == ["submitted", "submitted"]  # both get their score
    assert (first.id != second.id, len(platform.made)) == (True, 2)


@pytest.mark.parametrize(("outcome", "phases"), [("lost", ["submitted"]), ("failed", ["abandoned"])])
def test_a_submission_given_up_for_a_new_one_keeps_a_number_that_it_has(candidate, outcome, phases):
    platform, logged = FakePlatform(outcome), []
    platform.faults["find"] = [UnreachableError("broke")] * 30
    with pytest.raises(PlatformError):
        send_one(platform, candidate)
    send_one(platform, candidate, logged, again=True)
    assert [r.phase for r in load_records(candidate.records)] == [*phases, "submitted"]
    assert any(("was made: number 1" if outcome == "lost" else "was made is not known") in line for line in logged)


def test_a_file_submitted_before_is_sent_again_only_when_asked(candidate):
    platform = FakePlatform()
    wait_for(platform, candidate, send_one(platform, candidate))
    match = r"was submitted before, at 2026-03-01 12:00 UTC \(number 1, score 0\.8\), and has not changed"
    with pytest.raises(UserError, match=match):
        send_one(platform, candidate)
    assert send_one(platform, candidate, uploader=platform.uploader(competition="birds")).reference == "2"
    wait_for(platform, candidate, load_records(candidate.records)[-1])
    assert send_one(platform, candidate, again=True).reference == "3"
    wait_for(platform, candidate, load_records(candidate.records)[-1])
    candidate.file.write_text("id,label\n1,1\n")
    assert send_one(platform, candidate).reference == "4"


def test_a_refused_quota_gives_nothing_up(candidate):
    platform = FakePlatform(daily=1)
    send_one(platform, candidate)
    with pytest.raises(AccessError, match="no submission is left"):
        send_one(platform, candidate, again=True)
    assert [r.phase for r in load_records(candidate.records)] == ["submitted"]


def test_a_changed_file_is_not_sent_for_an_old_submission(candidate):
    platform = FakePlatform()
    platform.faults["send"] = [Killed()]
    with pytest.raises(Killed):
        send_one(platform, candidate)
    candidate.file.write_text("id,label\n1,1\n")
    with pytest.raises(UserError, match="has changed since its submission was begun"):
        resume_last(platform, candidate)


def test_resuming_an_upload_asks_for_the_quota_again(candidate):
    platform = FakePlatform()
    platform.faults["send"] = [Killed()]
    with pytest.raises(Killed):
        send_one(platform, candidate)
    platform.daily = 0
    with pytest.raises(AccessError, match="no submission is left"):
        resume_last(platform, candidate)


HOLDER = """
import fcntl, sys
file = open(sys.argv[1] + "/.lock", "a")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_two_processes_do_not_submit_from_one_folder_at_once(candidate):
    command = [sys.executable, "-c", HOLDER, str(candidate.file.parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        with pytest.raises(RunBusyError, match=r"is in use by .*\. Wait for it, and repeat the command\.$"):
            send_one(FakePlatform(), candidate)
        holder.stdin.close()
    assert send_one(FakePlatform(), candidate).phase == "submitted"


def wait_for(platform: FakePlatform, candidate: Candidate, record: Record, logged=None, minutes: float = 30) -> Record:
    log = [].append if logged is None else logged.append
    return wait(platform.uploader(), candidate, record, minutes * 60, log=log, clock=platform.time.clock())


def test_waiting_ends_with_the_score(candidate):
    platform, logged = FakePlatform(), []
    platform.statuses = [Status("pending"), Status("pending"), Status("complete", 0.8, 0.7)]
    record = wait_for(platform, candidate, send_one(platform, candidate), logged)
    assert (record.phase, record.public, record.private) == ("scored", 0.8, 0.7)
    assert load_records(candidate.records) == [record]
    assert logged == ["submission 1 is waiting for its score"]
    assert platform.time.pauses == [1.0, 1.5]


def test_waiting_has_a_deadline_and_can_be_taken_up_again(candidate):
    platform, logged = FakePlatform(), []
    platform.statuses = [Status("pending")]
    record = wait_for(platform, candidate, send_one(platform, candidate), logged, minutes=2)
    assert record.phase == "submitted" and platform.time.seconds == 120
    assert logged[-1] == f"no score after 2 min. Ask again with: compete submit {candidate.name} --resume"
    assert resume_last(platform, candidate) == record  # already submitted: nothing is sent
    platform.statuses = [Status("complete", 0.5)]
    assert wait_for(platform, candidate, record).public == 0.5


def test_waiting_survives_a_platform_that_is_away(candidate):
    platform, logged = FakePlatform(), []
    platform.faults["status"] = [UnreachableError("broke")] * 5
    record = wait_for(platform, candidate, send_one(platform, candidate), logged)
    assert record.phase == "scored"
    assert "broke; still waiting for the score of submission 1" in logged


def test_waiting_for_a_platform_that_stays_away_ends_at_the_deadline(candidate):
    platform, logged = FakePlatform(), []
    platform.faults["status"] = [UnreachableError("silent", silent=True)] * 999
    record = wait_for(platform, candidate, send_one(platform, candidate), logged, minutes=2)
    assert record.phase == "submitted" and 120 <= platform.time.seconds < 125
    assert logged[-1].startswith("no score after 2 min")


def test_a_failed_submission_keeps_the_platform_s_reason(candidate):
    platform = FakePlatform()
    platform.statuses = [Status("error", reason="Submission must have 418 rows")]
    record = wait_for(platform, candidate, send_one(platform, candidate))
    assert (record.phase, record.reason) == ("failed", "Submission must have 418 rows")


def test_an_unknown_state_is_reported_and_waited_out(candidate):
    platform, logged = FakePlatform(), []
    platform.statuses = [
        Status("unknown", reason="RUNNING"),
        Status("unknown", reason="RUNNING"),
        Status("complete", 1.0),
    ]
    assert wait_for(platform, candidate, send_one(platform, candidate), logged).public == 1.0
    assert logged == ["Fake reports the state 'RUNNING', which compete does not know; waiting"]


def test_a_platform_that_reports_no_score(candidate):
    platform = FakePlatform()
    record = send_one(platform, candidate, uploader=platform.uploader(status=None))
    assert record.phase == "unscored"
    with pytest.raises(UserError, match="was submitted before"):
        send_one(platform, candidate, uploader=platform.uploader(status=None))


def test_notes_of_the_platform_are_shown(candidate):
    platform, logged = FakePlatform(), []
    send_one(platform, candidate, logged, uploader=platform.uploader(create=lambda *_: Receipt("7", ("well done",))))
    assert logged[-1] == "well done"


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
