"""The Kaggle platform: the real, unpatched `kaggle` package against a server on a loopback port."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest

from compete.platform import AccessError, BusyError, PlatformError, Quota, Status, UnreachableError
from compete_plugins.uploads import _kaggle
from compete_plugins.uploads._kaggle import kaggle

sys.path.insert(0, str(Path(__file__).parents[1]))
from kaggle_server import Competition, KaggleServer

HALF = 1_500_000


def zip_bytes() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("train.csv", "id,label\n1,0\n")
        archive.writestr("images/1.raw", os.urandom(3_200_000))
    return data.getvalue()


@pytest.fixture(scope="module")
def archive() -> bytes:
    return zip_bytes()


@pytest.fixture(scope="module")
def running():
    with KaggleServer() as server:
        yield server


@pytest.fixture
def server(running, archive, monkeypatch, tmp_path):
    running.reset(
        Competition("digits", archive=archive),
        Competition("digit-sounds", entered=False),
        Competition("cats-and-dogs"),
    )
    point_here(monkeypatch, running.environment(tmp_path / "home", KAGGLE_API_TOKEN="good-token"))
    yield running
    assert running.leaks == []


def point_here(monkeypatch, environment):
    """Replace the whole environment: the child of the platform inherits it."""
    for name in list(os.environ):
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def open_kaggle(server):
    opened = []

    def open_one(competition="digits", timeout_seconds=10.0):
        opened.append(kaggle(competition=competition, timeout_seconds=timeout_seconds))
        return opened[-1]

    yield open_one
    for uploader in opened:
        uploader.close()


@pytest.fixture(scope="module")
def shared():
    uploader = kaggle(competition="digits", timeout_seconds=10.0)
    yield uploader
    uploader.close()


@pytest.fixture
def uploader(server, shared):
    """A platform for the tests to which it does not matter that its child is an old one."""
    return shared


@pytest.fixture(scope="module")
def csv_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("csv") / "submission.csv"
    path.write_bytes(b"id,label\n" + b"1,0\n" * 750_000)
    return path


def send_all(uploader, path, state):
    """Send as core does: again after every break."""
    for _ in range(5):
        try:
            return uploader.send(path, state, lambda: None)
        except UnreachableError:
            continue
    raise AssertionError("never sent")


def test_a_submission_from_check_to_score(uploader, server, csv_file):
    state, saved = {}, []
    uploader.check()
    assert uploader.quota() == Quota(5)
    uploader.send(csv_file, state, lambda: saved.append(dict(state)))
    assert [sorted(step) for step in saved] == [["token", "url"], ["sent", "token"]]
    json.dumps(state)
    receipt = uploader.create(csv_file, "run-001 compete-abc CV 0.8", state)
    assert receipt.reference == "101"
    assert server.submissions[0]["data"] == csv_file.read_bytes()
    assert server.submissions[0]["description"] == "run-001 compete-abc CV 0.8"
    assert uploader.status("101") == Status("pending")
    assert uploader.status("101") == Status("complete", public=0.8125)
    assert uploader.quota() == Quota(4)
    assert uploader.find("compete-abc") == receipt
    assert uploader.find("compete-xyz") is None


def test_building_it_starts_and_sends_nothing(server):
    kaggle(competition="digits")
    assert server.log == []


def test_a_dropped_upload_goes_on_where_it_stopped(open_kaggle, server, csv_file):
    uploader, state = open_kaggle(), {}
    server.fail("PUT", "drop", bytes=HALF)
    with pytest.raises(UnreachableError, match="broke in mid-upload"):
        uploader.send(csv_file, state, lambda: None)
    uploader.close()  # as after a kill: the state alone must be enough
    open_kaggle().send(csv_file, state, lambda: None)
    size = csv_file.stat().st_size
    assert server.uploads["blob1"]["parts"] == [HALF, size - HALF]
    assert server.uploads["blob1"]["data"] == csv_file.read_bytes()
    assert server.calls("StartSubmissionUpload") == 1


def test_an_upload_that_was_sent_is_not_sent_again(uploader, server, csv_file):
    state = {}
    uploader.send(csv_file, state, lambda: None)
    uploader.send(csv_file, state, lambda: None)
    assert server.calls("PUT") == 1


@pytest.mark.parametrize("code", [503, 500])
def test_a_file_store_that_fails_once_is_tried_again(uploader, server, csv_file, code):
    server.fail("PUT", code=code)
    state = {}
    send_all(uploader, csv_file, state)
    assert state["sent"] and uploader.create(csv_file, "m", state).reference == "101"


def test_an_expired_upload_starts_afresh(uploader, server, csv_file):
    state = {}
    server.fail("PUT", "drop", bytes=HALF)
    server.fail("PUT?", code=404)
    send_all(uploader, csv_file, state)
    assert server.calls("StartSubmissionUpload") == 2
    assert uploader.create(csv_file, "m", state).reference == "101"


def test_a_file_store_that_keeps_refusing_ends_the_upload(uploader, server, csv_file):
    server.fail("PUT", times=2, code=403)
    with pytest.raises(PlatformError, match=r"file store did not take submission\.csv") as caught:
        send_all(uploader, csv_file, {})
    assert not isinstance(caught.value, UnreachableError)


def test_the_answer_of_create_is_lost_and_the_submission_found(uploader, server, csv_file):
    state = {}
    uploader.send(csv_file, state, lambda: None)
    server.fail("CreateSubmission", "lose")
    with pytest.raises(UnreachableError, match="connection to Kaggle broke"):
        uploader.create(csv_file, "compete-lost", state)
    assert uploader.find("compete-lost").reference == "101"


def test_an_answer_without_a_number_counts_as_lost(uploader, server, csv_file):
    state = {}
    uploader.send(csv_file, state, lambda: None)
    server.fail("CreateSubmission", "status", code=0, http_code=200, message="Successfully submitted")
    with pytest.raises(UnreachableError, match="no submission number"):
        uploader.create(csv_file, "m", state)


@pytest.mark.parametrize("request_name", ["IntrospectToken", "GetCompetition"])
def test_a_silent_server_meets_a_deadline(open_kaggle, server, request_name):
    server.fail(request_name, "stall", times=2)
    uploader = open_kaggle(timeout_seconds=1.5)
    begun = time.monotonic()
    with pytest.raises(UnreachableError, match=r"Kaggle is silent: no answer for 1\.5 s") as caught:
        uploader.check()
    assert caught.value.silent
    assert time.monotonic() - begun < 5
    server.faults.clear()
    uploader.check()  # a new child


def test_an_upload_that_stalls_is_resumed(open_kaggle, server, csv_file):
    uploader, state = open_kaggle(timeout_seconds=1.5), {}
    server.fail("PUT", "stall", bytes=HALF)
    with pytest.raises(UnreachableError, match="silent"):
        uploader.send(csv_file, state, lambda: None)
    uploader.send(csv_file, state, lambda: None)
    assert server.uploads["blob1"]["parts"] == [HALF, csv_file.stat().st_size - HALF]


@pytest.mark.parametrize(("code", "silent"), [(500, False), (502, False), (504, True)])
def test_server_failures(uploader, server, code, silent):
    server.fail("GetCompetition", code=code, message="Backend down")
    with pytest.raises(UnreachableError, match=rf"server failed \({code} Backend down\)") as caught:
        uploader.check()
    assert caught.value.silent == silent


def test_slow_down(uploader, server):
    server.fail("GetSubmissionLimits", code=429, headers={"Retry-After": "7"})
    server.fail("GetSubmissionLimits", code=429)
    for seconds in (7.0, None):
        with pytest.raises(BusyError, match="slow down") as caught:
            uploader.quota()
        assert caught.value.wait_seconds == seconds


def test_an_error_inside_an_answer_of_status_200(uploader, server):
    server.fail("GetSubmissionLimits", code=400, http_code=200, message="Not today")
    with pytest.raises(PlatformError, match=r"Kaggle refused: Not today \(400\)"):
        uploader.quota()


def test_an_answer_that_is_no_json(uploader, server):
    server.competitions["digits"].facts = None  # the server then answers nothing at all
    with pytest.raises(UnreachableError):
        uploader.check()


def test_a_mistyped_competition_brings_the_near_one(open_kaggle):
    with pytest.raises(AccessError) as caught:
        open_kaggle("digts").check()
    assert str(caught.value) == (
        "Kaggle knows no competition 'digts', or you have not joined it (Permission 'competitions.participate' was "
        "denied). Did you mean 'digits'? Yours: cats-and-dogs, digits."
    )


def test_rules_not_accepted_is_told_before_anything_is_sent(open_kaggle, server):
    with pytest.raises(AccessError, match="have not accepted the rules") as caught:
        open_kaggle("digit-sounds").quota()
    assert "https://www.kaggle.com/competitions/digit-sounds/rules" in str(caught.value)
    assert server.calls("StartSubmissionUpload") == 0


def test_rules_not_accepted_is_understood_when_told_at_the_end(open_kaggle, server, csv_file):
    uploader, state = open_kaggle("digit-sounds"), {}
    uploader.send(csv_file, state, lambda: None)
    with pytest.raises(AccessError, match="have not accepted the rules"):
        uploader.create(csv_file, "m", state)


def test_the_quota_counts_down_to_zero(uploader, server):
    server.used_today = 5
    assert uploader.quota() == Quota(0)


def test_a_quota_refused_at_create(uploader, server, csv_file):
    state = {}
    uploader.send(csv_file, state, lambda: None)
    server.used_today = 5
    with pytest.raises(PlatformError, match=r"Kaggle refused: Bad Request \(400\)"):
        uploader.create(csv_file, "m", state)


@pytest.mark.parametrize(
    ("facts", "message"),
    [({"isKernelsSubmissionsOnly": True}, "takes notebooks only"), ({"submissionsDisabled": True}, "no submissions")],
)
def test_competitions_that_take_no_file(uploader, server, facts, message):
    server.competitions["digits"].facts = facts
    with pytest.raises(AccessError, match=message):
        uploader.check()


@pytest.mark.parametrize(
    ("verdict", "status"),
    [
        (
            {"status": "ERROR", "errorDescription": "ERROR: Required column 'label' could not be found"},
            Status("error", reason="ERROR: Required column 'label' could not be found"),
        ),
        ({"status": "ERROR"}, Status("error", reason="Kaggle gives no reason")),
        ({"status": "RUNNING"}, Status("unknown", reason="RUNNING")),
        ({"status": "COMPLETE", "publicScore": "", "privateScore": ""}, Status("complete")),
        ({"status": "COMPLETE", "publicScore": "0.5", "privateScore": "-1e3"}, Status("complete", 0.5, -1000.0)),
    ],
)
def test_verdicts(uploader, server, csv_file, verdict, status):
    server.verdict, server.polls = verdict, 0
    state = {}
    uploader.send(csv_file, state, lambda: None)
    uploader.create(csv_file, "compete-v", state)
    assert uploader.status("101") == status
    assert uploader.find("compete-v").reference == "101"  # also where the list holds a status that nobody knows


CREDENTIALS = {
    "token file": ({}, {".kaggle/access_token": "good-token"}),
    "key in variables": ({"KAGGLE_USERNAME": "ann", "KAGGLE_KEY": "good-key"}, {}),
    "key file": ({}, {"config/kaggle.json": '{"username": "ann", "key": "good-key"}'}),
}


def sign_in_with(monkeypatch, server, home, variables, files):
    environment = server.environment(home)
    for name, text in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
        (home / name).chmod(0o600)
    point_here(monkeypatch, {**environment, **variables})


@pytest.mark.parametrize(("variables", "files"), CREDENTIALS.values(), ids=list(CREDENTIALS))
def test_good_credentials(monkeypatch, tmp_path, server, open_kaggle, variables, files):
    sign_in_with(monkeypatch, server, tmp_path / "other", variables, files)
    open_kaggle().check()


BAD = {
    "token": ({"KAGGLE_API_TOKEN": "SECRET-1"}, {}, "the variable KAGGLE_API_TOKEN"),
    "token file": ({}, {".kaggle/access_token": "SECRET-1"}, "the file ~/.kaggle/access_token"),
    "key": (
        {"KAGGLE_USERNAME": "ann", "KAGGLE_KEY": "SECRET-1"},
        {},
        "the variables KAGGLE_USERNAME and KAGGLE_KEY",
    ),
    "key file": ({}, {"config/kaggle.json": '{"username": "ann", "key": "SECRET-1"}'}, "config/kaggle.json"),
    "stale token beside a good key": (
        {"KAGGLE_API_TOKEN": "SECRET-1", "KAGGLE_USERNAME": "ann", "KAGGLE_KEY": "good-key"},
        {},
        "the variable KAGGLE_API_TOKEN",
    ),
    "a variable that became a token": (
        {"KAGGLE_TOKEN": "SECRET-1", "KAGGLE_USERNAME": "ann", "KAGGLE_KEY": "good-key"},
        {},
        "the variable KAGGLE_TOKEN",
    ),
}


@pytest.mark.parametrize(("variables", "files", "source"), BAD.values(), ids=list(BAD))
def test_bad_credentials(monkeypatch, tmp_path, server, open_kaggle, capfd, caplog, variables, files, source):
    caplog.set_level(logging.DEBUG)
    sign_in_with(monkeypatch, server, tmp_path / "other", variables, files)
    with pytest.raises(AccessError, match="does not accept the credentials from") as caught:
        open_kaggle().check()
    assert source in str(caught.value)
    assert "https://www.kaggle.com/settings" in str(caught.value)
    printed = "".join(capfd.readouterr()) + caplog.text + str(caught.value)
    assert "SECRET-1" not in printed


def test_no_credentials(monkeypatch, tmp_path, server, open_kaggle, capfd):
    point_here(monkeypatch, server.environment(tmp_path / "other"))
    with pytest.raises(AccessError, match=r"You are not signed in to Kaggle\. Create an API token"):
        open_kaggle().check()
    assert "".join(capfd.readouterr()) == ""


def test_a_server_that_fails_while_signing_in_is_no_bad_credential(open_kaggle, server):
    server.fail("IntrospectToken", times=2, code=500, message="down")
    with pytest.raises(UnreachableError, match="server failed"):
        open_kaggle().check()


def test_a_token_repeated_by_the_server_is_not_shown(uploader, server):
    server.fail("GetCompetition", code=400, message="bad token good-token")
    with pytest.raises(PlatformError) as caught:
        uploader.check()
    assert "good-token" not in str(caught.value)


@pytest.mark.parametrize("package", ["kaggle", "six"])
def test_a_package_that_is_not_installed(monkeypatch, tmp_path, open_kaggle, package):
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{package!r}] = None\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(AccessError, match=rf"package '{package}', which is not installed: pip install"):
        open_kaggle().check()


def test_a_module_in_the_user_s_folder_is_not_taken_for_the_client(monkeypatch, tmp_path, open_kaggle):
    (tmp_path / "kaggle.py").write_text("raise RuntimeError('the wrong one')")
    monkeypatch.chdir(tmp_path)
    open_kaggle().check()


def test_the_child_dies_with_its_parent(server, tmp_path):
    server.fail("GetCompetition", "stall")
    code = (
        "from compete_plugins.uploads._kaggle import kaggle; u = kaggle(competition='digits'); "
        "import threading; threading.Thread(target=u.check, daemon=True).start(); import time\n"
        "while u.check.__self__._child._process is None: time.sleep(0.01)\n"
        "print(u.check.__self__._child._process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    child = int(parent.stdout.readline())
    assert server.stalled.wait(20)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 5
    while _alive(child) and time.monotonic() < until:
        time.sleep(0.02)
    assert not _alive(child)


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_ctrl_c_in_mid_request_ends_the_child(open_kaggle, server):
    server.fail("GetCompetition", "stall")
    uploader, us = open_kaggle(), threading.get_ident()
    threading.Thread(target=lambda: (server.stalled.wait(20), signal.pthread_kill(us, signal.SIGINT))).start()
    with pytest.raises(KeyboardInterrupt):
        uploader.check()
    uploader.check()


def test_a_download(uploader, server, archive, tmp_path):
    percents = []
    path = uploader.download(tmp_path, percents.append)
    assert path == tmp_path / "digits.zip"
    assert path.read_bytes() == archive
    assert percents == sorted(percents) and percents[-1] == 100


def test_a_broken_download_goes_on_in_the_next_call(open_kaggle, server, archive, tmp_path, monkeypatch):
    monkeypatch.setattr(_kaggle, "DOWNLOAD_PAUSE_SECONDS", 0.0)
    server.fail("GET", "drop", bytes=2_500_000)
    server.fail(f"GET {2 << 20}", "stall")
    uploader = open_kaggle(timeout_seconds=3.5)  # the client waits two to three seconds before its own second try
    with pytest.raises(UnreachableError):
        uploader.download(tmp_path, lambda _: None)
    assert uploader.download(tmp_path, lambda _: None).read_bytes() == archive
    assert server.log.count(f"GET {2 << 20}") == 2  # it went on at whole mebibytes, and fetched nothing twice
    assert server.calls("GET") == 2  # the second call's first request is only looked at


def test_download_needs_the_rules_too(open_kaggle, tmp_path):
    with pytest.raises(AccessError, match="have not accepted the rules"):
        open_kaggle("digit-sounds").download(tmp_path, lambda _: None)
