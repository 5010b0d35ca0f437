"""Signing in to Kaggle, the child process it happens in, and downloads, with the real, unpatched `kaggle` package."""

# ruff: noqa: F811 - fixtures are imported, and asked for by the same names

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from compete.leaderboard.platform import AccessError, PlatformError, UnreachableError
from compete_plugins.uploads import _kaggle, _kaggle_client
from compete_plugins.uploads._child import ChildFailure

sys.path.insert(0, str(Path(__file__).parents[1]))
from kaggle_fixtures import archive, impatient, open_kaggle, point_here, running, server, shared, uploader  # noqa: F401
from kaggle_server import SOURCES

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


def test_a_server_that_fails_while_signing_in_is_not_a_bad_credential(open_kaggle, server):
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
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{SOURCES}")
    with pytest.raises(AccessError, match=rf"package '{package}', which is not installed: pip install"):
        open_kaggle().check()


def test_a_module_in_the_users_folder_does_not_replace_the_client(monkeypatch, tmp_path, open_kaggle):
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
    assert server.stalled.wait(60)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 60
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


def test_a_broken_download_resumes_in_the_next_call(open_kaggle, server, archive, tmp_path, monkeypatch):
    monkeypatch.setattr(_kaggle, "DOWNLOAD_PAUSE_SECONDS", 0.0)
    server.fail("GET", "drop", bytes=2_500_000)
    server.fail(f"GET {2 << 20}", "stall")
    uploader = open_kaggle()
    uploader.check()
    # The client waits two to three seconds before its own second try.
    with impatient(uploader, 6.0), pytest.raises(UnreachableError):
        uploader.download(tmp_path, lambda _: None)
    assert uploader.download(tmp_path, lambda _: None).read_bytes() == archive
    assert server.log.count(f"GET {2 << 20}") == 2  # it resumed at whole mebibytes, and fetched nothing twice
    assert server.log.count("GET") == 2  # the second call's first request is only looked at


def test_a_full_disk_is_not_a_broken_connection(uploader):
    failure = _kaggle_client._explain(OSError(errno.ENOSPC, "No space left on device", "digits.zip"))
    error = uploader.check.__self__._explain(ChildFailure(**failure))
    assert type(error) is PlatformError
    assert str(error).startswith("cannot write digits.zip: No space left on device. Free up space")
    assert _kaggle_client._explain(ConnectionResetError(errno.ECONNRESET, "reset"))["kind"] == "connection"


def test_download_needs_the_rules_too(open_kaggle, tmp_path):
    with pytest.raises(AccessError, match="have not accepted the rules"):
        open_kaggle("digit-sounds").download(tmp_path, lambda _: None)
