"""Signing in to Kaggle, the child process it happens in, and downloads, with the real, unpatched `kaggle` package."""

# ruff: noqa: F811 - fixtures are imported, and asked for by the same names

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from compete.leaderboard.platform import AccessError, PlatformError, UnreachableError
from compete_plugins.uploads import _kaggle, _kaggle_client, _kaggle_errors
from compete_plugins.uploads._child import ChildFailure

sys.path.insert(0, str(Path(__file__).parents[1]))
from kaggle_fixtures import archive, csv_file, impatient, open_kaggle, point_here, running, server, shared, uploader  # noqa: F401
from kaggle_server import SOURCES

CRLF = b"\r\n"
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
    failure = _kaggle_client.explain(OSError(errno.ENOSPC, "No space left on device", "digits.zip"))
    error = uploader.check.__self__._explain(ChildFailure(**failure))
    assert type(error) is PlatformError
    assert str(error).startswith("cannot write digits.zip: No space left on device. Free up space")
    assert _kaggle_client.explain(ConnectionResetError(errno.ECONNRESET, "reset"))["kind"] == "connection"


def test_download_needs_the_rules_too(open_kaggle, tmp_path):
    with pytest.raises(AccessError, match="have not accepted the rules"):
        open_kaggle("digit-sounds").download(tmp_path, lambda _: None)


PATHS = ("HOME", "KAGGLE_CONFIG_DIR", "XDG_CONFIG_HOME")


def test_a_home_that_cannot_be_written(monkeypatch, open_kaggle, tmp_path):
    (tmp_path / "file").write_text("")
    for name in PATHS:
        monkeypatch.setenv(name, str(tmp_path / "file/home"))
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    with pytest.raises(AccessError, match=r"settings, but cannot write .*/file/home.*: Not a directory\. Set HOME, or"):
        open_kaggle().check()


REFUSED = "Connection refused"


@pytest.mark.parametrize(
    ("variables", "error", "message"),
    [
        ({}, UnreachableError, f"Kaggle cannot be reached: {REFUSED}"),
        (
            {"HTTP_PROXY": "http://ann:SECRET@127.0.0.1:9", "HTTPS_PROXY": ""},
            UnreachableError,
            f"Kaggle cannot be reached through the proxy HTTP_PROXY = 127.0.0.1:9 ({REFUSED})",
        ),
        ({"HTTP_PROXY": "http://", "HTTPS_PROXY": ""}, UnreachableError, "Please check proxy URL"),
    ],
)
def test_what_never_left_this_machine_says_why(monkeypatch, open_kaggle, csv_file, variables, error, message):
    uploader, state = open_kaggle(), {}
    uploader.send(csv_file, state, lambda: None)
    uploader.close()
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name)
    for name, value in {"NO_PROXY": "" if variables else "*", **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KAGGLE_USERNAME", "ann")  # signs in without asking the server
    monkeypatch.setenv("KAGGLE_KEY", "good-key")
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    with pytest.raises(error) as caught:
        uploader.create(csv_file, "m", state)
    assert message in str(caught.value) and "SECRET" not in str(caught.value)
    assert caught.value.sent is False


def explained(url: str) -> Exception:
    """Return what a request becomes, through both sides of the child."""
    import requests

    with pytest.raises(OSError) as caught:
        requests.post(url, json={}, timeout=10)
    return _kaggle_errors.explain(ChildFailure(**_kaggle_client.explain(caught.value)))


@pytest.fixture
def lone(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def answer_once():
    """Return a function that starts a server for one connection; it gives the address."""
    threads = []

    def start(data: bytes, context: ssl.SSLContext | None = None) -> str:
        listener = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            with listener, suppress(OSError):
                connection = listener.accept()[0]
                if context is not None:
                    connection = context.wrap_socket(connection, server_side=True)
                with connection:
                    connection.recv(1 << 16)
                    connection.sendall(data)

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return f"127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for thread in threads:
        thread.join(10)


def test_a_wrong_certificate_is_named(lone, answer_once, tmp_path, monkeypatch):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    error = explained(f"https://{answer_once(b'', context)}")
    assert type(error) is AccessError
    assert str(error).startswith("The certificate of Kaggle's server cannot be checked (")
    assert "self-signed certificate" in str(error) and "REQUESTS_CA_BUNDLE" in str(error)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    assert "(no such file: REQUESTS_CA_BUNDLE = /nowhere.pem)" in str(explained("https://127.0.0.1:9"))


def test_a_proxy_that_lets_nothing_through_is_named(lone, answer_once, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", f"http://{answer_once(b'HTTP/1.1 403 Forbidden' + 2 * CRLF)}")
    error = explained("https://api.kaggle.com")
    assert "through the proxy HTTPS_PROXY = http://127.0.0.1:" in str(error) and "403 Forbidden" in str(error)
    assert error.sent is False


def test_a_request_that_was_lost_behind_a_proxy_may_have_arrived(lone, answer_once, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://{answer_once(b'')}")
    error = explained("http://api.kaggle.com")
    assert "the connection to Kaggle broke (" in str(error) and error.sent is True


def test_a_child_that_ends_says_how(monkeypatch, tmp_path, open_kaggle):
    (tmp_path / "sitecustomize.py").write_text("import os\nos._exit(3)\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{SOURCES}")
    with pytest.raises(UnreachableError, match="process of Kaggle's package ended with status 3") as caught:
        open_kaggle().check()
    assert caught.value.sent is False
