"""A platform in memory that does whatever goes wrong, on a clock of its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from compete.leaderboard.platform import BusyError, PlatformError, Quota, Receipt, Status, UnreachableError, Uploader
from compete.leaderboard.records import Candidate, Record, load_records
from compete.leaderboard.retry import Clock
from compete.leaderboard.submitting import resume, submit

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
        outcome = self.outcomes.pop(0) if self.outcomes else "ok"
        if late := re.fullmatch(r"late in (\d+) s", outcome):  # done, but after the client has given up waiting
            self.time.due.append((self.time.seconds + int(late[1]), lambda: self.made.append(message)))
            raise UnreachableError("silent", silent=True)
        match outcome:
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
            case "not sent":
                raise UnreachableError("no connection", sent=False)
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
    return Candidate(file, folder / "uploads.json", "run-001", "fish", folder / "submissions", folder)


def send_one(platform: FakePlatform, candidate: Candidate, logged: list[str] | None = None, **more: object) -> Record:
    uploader = more.pop("uploader", None) or platform.uploader()
    log = [].append if logged is None else logged.append
    return submit(uploader, candidate, "CV 0.7", log=log, clock=platform.time.clock(), **more)  # type: ignore[arg-type]


def resume_last(platform: FakePlatform, candidate: Candidate) -> Record:
    record = load_records(candidate.records)[-1]
    return resume(platform.uploader(), candidate, record, log=[].append, clock=platform.time.clock())
