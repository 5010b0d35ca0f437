"""One process at a time trains a member."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from compete.errors import RunBusyError
from compete.jobs import lease
from compete.jobs.lease import FILE, member_lease

HOLD = """
import sys, time
from pathlib import Path
from compete.jobs.lease import member_lease
with member_lease(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "fold0-seed42")], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_member_that_another_process_holds_is_refused_by_its_owner(tmp_path, holder):
    busy = pytest.raises(RunBusyError, match=f"^fold0-seed42 is trained by process {holder.pid} on ")
    with busy, member_lease(tmp_path / "fold0-seed42"):
        pass


def test_the_lease_of_a_killed_process_is_free_at_once(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "fold0-seed42" / FILE).exists()
    with member_lease(tmp_path / "fold0-seed42"):
        pass
    assert not (tmp_path / "fold0-seed42" / FILE).exists()


def test_a_holder_is_waited_for_and_named(tmp_path, holder):
    waited = []

    def kill(owner):
        waited.append(owner)
        holder.kill()
        holder.wait()

    with member_lease(tmp_path / "fold0-seed42", kill):
        assert [owner.split(" on ")[0] for owner in waited] == [f"process {holder.pid}"]


def test_the_lease_of_a_lost_machine_expires_when_nothing_touches_it(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "SECONDS", 1.0)
    monkeypatch.setattr(lease, "POLL_SECONDS", 0.05)
    folder, waited = tmp_path / "fold0-seed42", []
    with member_lease(folder):
        mine = (folder / FILE).read_text()
    host = next(line for line in mine.splitlines() if line.startswith("host="))
    (folder / FILE).write_text(mine.replace(host, "host=lost"))
    with pytest.raises(RunBusyError, match=r"on lost$"), member_lease(folder):
        pass
    with member_lease(folder, waited.append):
        assert len(waited) == 1 and waited[0].endswith("on lost")


def test_who_loses_a_lease_stops(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "SECONDS", 0.3)
    stops, before = [], signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: stops.append(1))
    try:
        with member_lease(tmp_path / "member"):
            (tmp_path / "member" / FILE).unlink()
            for _ in range(100):
                if stops:
                    break
                signal.sigtimedwait([], 0.05)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert stops
