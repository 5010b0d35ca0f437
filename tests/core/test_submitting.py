"""Submitting: every step is noted before it is taken, and one submission is never made twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compete.creating import SETTLED_SECONDS
from compete.errors import UserError
from compete.patience import Clock
from compete.platform import (
    AccessError,
    BusyError,
    Limits,
    PlatformError,
    Quota,
    Receipt,
    Status,
    UnreachableError,
    Uploader,
)
from compete.records import Candidate, Record, load_records
from compete.store import run_lock
from compete.submitting import make_message, remaining, resume, submit, wait

# Every step is flushed to the disk, which takes long on a real one.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Killed(BaseException):
    """The process dies here."""


class FakeTime:
    """A clock that pauses by moving on."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.pauses: list[float] = []
        self.due: list[tuple[float, Callable[[], None]]] = []

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.seconds += seconds
        for entry in [entry for entry in self.due if entry[0] <= self.seconds]:
            self.due.remove(entry)
            entry[1]()

    def clock(self) -> Clock:
        return Clock(self.pause, lambda: self.seconds, lambda: START + timedelta(seconds=self.seconds))


class FakePlatform:
    """Takes submissions; `outcomes` says what happens at each call of create."""

    def __init__(self, *outcomes: str, list_lag: int = 0, daily: int = 5) -> None:
        self.outcomes = list(outcomes)
        self.made: list[str] = []
        self.list_lag = list_lag
        self.daily = daily
        self.time = FakeTime()
        self.sent = 0
        self.statuses = [Status("complete", 0.8)]
        self.faults: dict[str, list[BaseException]] = {}

    def uploader(self, **changes: object) -> Uploader:
        uploader = Uploader(
            platform="Fake",
            competition="fish",
            create=self.create,
            check=lambda: self._fault("check"),
            quota=self.quota,
            send=self.send,
            find=self.find,
            status=self.status,
        )
        return replace(uploader, **changes)  # type: ignore[arg-type]

    def quota(self) -> Quota:
        self._fault("quota")
        return Quota(self.daily - len(self.made))

    def send(self, path: Path, state: dict, save: Callable[[], None]) -> None:
        self._fault("send")
        if "sent" not in state:
            self.sent += 1
            state["token"] = "t"
            save()
            self._fault("send after the first step")
            state["sent"] = True
            save()

    def create(self, path: Path, message: str, state: dict) -> Receipt:
        assert state.get("sent") or not state
        match self.outcomes.pop(0) if self.outcomes else "ok":
            case "busy":
                raise BusyError("slow down", 3.0)
            case "refused":
                raise PlatformError("no such thing")
            case "failed":
                raise UnreachableError("server failed")
            case "lost":
                self.made.append(message)
                raise UnreachableError("connection broke")
            case "silent":
                raise UnreachableError("silent", silent=True)
            case "late":  # done, but after the client has given up waiting
                self.time.due.append((self.time.seconds + 100, lambda: self.made.append(message)))
                raise UnreachableError("silent", silent=True)
            case "killed before":
                raise Killed
            case "killed after":
                self.made.append(message)
                raise Killed
            case "killed, late":
                self.time.due.append((self.time.seconds + 100, lambda: self.made.append(message)))
                raise Killed
        self.made.append(message)
        return Receipt(str(len(self.made)))

    def find(self, marker: str) -> Receipt | None:
        self._fault("find")
        if self.list_lag > 0:
            self.list_lag -= 1
            return None
        found = [number for number, message in enumerate(self.made, 1) if marker in message]
        return Receipt(str(found[0])) if found else None

    def status(self, reference: str) -> Status:
        self._fault("status")
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]

    def _fault(self, where: str) -> None:
        if self.faults.get(where):
            raise self.faults[where].pop(0)


@pytest.fixture
def candidate(tmp_path: Path) -> Candidate:
    return make_candidate(tmp_path)


def make_candidate(folder: Path) -> Candidate:
    file = folder / "submission.csv"
    file.write_text("id,label\n1,0\n")
    return Candidate(file, folder / "uploads.json", "run-001", "fish", folder)


def send_one(platform: FakePlatform, candidate: Candidate, said: list[str] | None = None, **more: object) -> Record:
    uploader = more.pop("uploader", None) or platform.uploader()
    message = make_message(candidate, "CV 0.7", "")
    say = [].append if said is None else said.append
    return submit(uploader, candidate, message, say=say, clock=platform.time.clock(), **more)  # type: ignore[arg-type]


def resume_last(platform: FakePlatform, candidate: Candidate) -> Record:
    record = load_records(candidate.records)[-1]
    return resume(platform.uploader(), candidate, record, say=[].append, clock=platform.time.clock())


def test_the_happy_path_is_noted_step_by_step(candidate):
    platform, said = FakePlatform(), []
    record = send_one(platform, candidate, said)
    assert (record.phase, record.reference, record.quota_before) == ("submitted", "1", 5)
    assert load_records(candidate.records) == [record]
    assert platform.made == [record.message]
    assert record.message.split()[0] == "run-001" and record.id in record.message
    assert said == [f"sending {candidate.file} to Fake"]
    assert record.state == {}  # the place to upload to is nobody's business any more
    assert platform.time.pauses == []


def test_nothing_is_sent_when_the_quota_is_used_up(candidate):
    platform = FakePlatform(daily=0)
    with pytest.raises(AccessError, match="Fake, fish: no submission is left today; nothing was uploaded"):
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
    platform, said = FakePlatform(), []
    platform.faults["quota"] = [error]
    send_one(platform, candidate, said)
    assert platform.time.pauses == pauses
    assert f"{error}; asking again in {pauses[0]:g} s" in said


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


def test_a_broken_upload_goes_on_with_its_state(candidate):
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


@pytest.mark.parametrize(("outcomes", "pauses"), [(["lost"], [1.0]), (["failed"], [1.0, 4.0, 10.0]), (["busy"], [3.0])])
def test_a_lost_or_failed_create_leads_to_exactly_one(candidate, outcomes, pauses):
    platform = FakePlatform(*outcomes)
    record = send_one(platform, candidate)
    assert len(platform.made) == 1 and record.reference == "1"
    assert platform.time.pauses == pauses


@pytest.mark.parametrize(
    ("platform", "match"),
    [
        (FakePlatform("silent"), "not known whether the submission was made"),
        (FakePlatform("failed", "failed"), "not known whether"),
        (FakePlatform("lost", list_lag=9), "not known whether"),  # not in the list, but counted
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
    with pytest.raises(PlatformError, match="not known whether"):
        send_one(platform, candidate)
    assert resume_last(platform, candidate).phase == "submitted"
    assert len(platform.made) == 1


def test_a_platform_without_a_list_leaves_it_to_the_user(candidate):
    platform = FakePlatform("lost")
    with pytest.raises(PlatformError, match="it has no list to look in") as caught:
        send_one(platform, candidate, uploader=platform.uploader(find=None))
    assert f"compete score {candidate.name} VALUE" in str(caught.value)
    assert f"compete submit {candidate.name} --again" in str(caught.value)


def test_a_refusal_is_noted_and_ends_it(candidate):
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


def test_a_second_submit_of_an_unfinished_file_is_refused(candidate):
    platform = FakePlatform()
    first = send_one(platform, candidate)
    with pytest.raises(UserError, match=r"is not finished \(submitted\)") as caught:
        send_one(platform, candidate)
    assert f"compete submit {candidate.name} --resume" in str(caught.value) and "--again" in str(caught.value)
    second = send_one(platform, candidate, again=True)
    assert [r.phase for r in load_records(candidate.records)] == ["abandoned", "submitted"]
    assert (first.id != second.id, len(platform.made)) == (True, 2)


def test_a_file_submitted_before_brings_a_note(candidate):
    platform, said = FakePlatform(), []
    record = wait_for(platform, candidate, send_one(platform, candidate))
    send_one(platform, candidate, said)
    assert f"note: this very file was submitted before, at {record.submitted_at}: 0.8" in said


def test_a_changed_file_is_not_sent_for_an_old_submission(candidate):
    platform = FakePlatform("killed before")
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


def test_two_processes_do_not_submit_from_one_folder_at_once(candidate):
    with run_lock(candidate.file.parent), pytest.raises(Exception, match="in use by process"):
        send_one(FakePlatform(), candidate)


def wait_for(platform: FakePlatform, candidate: Candidate, record: Record, said=None, minutes: float = 30) -> Record:
    say = [].append if said is None else said.append
    return wait(platform.uploader(), candidate, record, minutes * 60, say=say, clock=platform.time.clock())


def test_waiting_ends_with_the_score(candidate):
    platform, said = FakePlatform(), []
    platform.statuses = [Status("pending"), Status("pending"), Status("complete", 0.8, 0.7)]
    record = wait_for(platform, candidate, send_one(platform, candidate), said)
    assert (record.phase, record.public, record.private) == ("scored", 0.8, 0.7)
    assert load_records(candidate.records) == [record]
    assert said == ["submission 1 is waiting for its score"]
    assert platform.time.pauses == [1.0, 1.5]


def test_waiting_has_a_deadline_and_can_be_taken_up_again(candidate):
    platform, said = FakePlatform(), []
    platform.statuses = [Status("pending")]
    record = wait_for(platform, candidate, send_one(platform, candidate), said, minutes=2)
    assert record.phase == "submitted" and platform.time.seconds == 120
    assert said[-1] == f"no score after 2 min. Ask again with: compete submit {candidate.name} --resume"
    assert resume_last(platform, candidate) == record  # already submitted: nothing is sent
    platform.statuses = [Status("complete", 0.5)]
    assert wait_for(platform, candidate, record).public == 0.5


def test_waiting_survives_a_platform_that_is_away(candidate):
    platform, said = FakePlatform(), []
    platform.faults["status"] = [UnreachableError("broke")] * 5
    record = wait_for(platform, candidate, send_one(platform, candidate), said)
    assert record.phase == "scored"
    assert "broke; still waiting for the score of submission 1" in said


def test_a_failed_submission_keeps_the_platform_s_reason(candidate):
    platform = FakePlatform()
    platform.statuses = [Status("error", reason="Submission must have 418 rows")]
    record = wait_for(platform, candidate, send_one(platform, candidate))
    assert (record.phase, record.reason) == ("failed", "Submission must have 418 rows")


def test_an_unknown_state_is_told_and_waited_out(candidate):
    platform, said = FakePlatform(), []
    platform.statuses = [
        Status("unknown", reason="RUNNING"),
        Status("unknown", reason="RUNNING"),
        Status("complete", 1.0),
    ]
    assert wait_for(platform, candidate, send_one(platform, candidate), said).public == 1.0
    assert said == ["Fake reports the state 'RUNNING', which compete does not know; waiting"]


def test_a_platform_that_tells_no_score(candidate):
    platform = FakePlatform()
    record = send_one(platform, candidate, uploader=platform.uploader(status=None))
    assert record.phase == "unscored"
    send_one(platform, candidate, uploader=platform.uploader(status=None))  # not unfinished


def test_notes_of_the_platform_are_shown(candidate):
    platform, said = FakePlatform(), []
    send_one(platform, candidate, said, uploader=platform.uploader(create=lambda *_: Receipt("7", ("well done",))))
    assert said[-1] == "well done"


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
def test_the_toml_s_rules_count_what_the_ledger_knows(limits, earlier, left):
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


def test_records_are_plain_json_and_their_damage_is_told(candidate):
    record = send_one(FakePlatform(), candidate)
    data = json.loads(candidate.records.read_text())
    assert data["submissions"][0]["message"] == record.message
    candidate.records.write_text("{}")
    with pytest.raises(UserError, match="is damaged"):
        load_records(candidate.records)
    candidate.records.write_text(json.dumps({**data, "format": 2}))
    with pytest.raises(UserError, match=r"another version of compete \(format 2, not 1\)"):
        load_records(candidate.records)
