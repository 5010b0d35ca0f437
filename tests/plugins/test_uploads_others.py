"""Platforms besides Kaggle: Hugging Face on a loopback port, web forms by hand, and the shared options."""

from __future__ import annotations

import email
import json
import shutil
import socket
import ssl
import subprocess
import threading
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from compete.config.options import bind
from compete.config.plugins import load_plugins
from compete.leaderboard.platform import AccessError, BusyError, Limits, PlatformError, UnreachableError
from compete_plugins.uploads import huggingface, manual, register_uploads
from compete_plugins.uploads._http import Answer, post_form

CSV = b"id,label\n1,0\n"


class FormServer:
    """Keeps every form it gets and gives the answers it was told to; the last one for ever."""

    def __init__(self) -> None:
        self.forms: list[tuple[str, Message, dict[str, object]]] = []
        self.answers: list[tuple[int, object]] = [(200, {})]
        self.ended = threading.Event()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (FormHandler,), {"forms": self}))
        self.http.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, body: object, code: int = 200) -> None:
        self.answers = [(code, body)]

    def close(self) -> None:
        self.ended.set()
        self.http.shutdown()
        self.http.server_close()


class FormHandler(BaseHTTPRequestHandler):
    forms: FormServer

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.forms.forms.append((self.path, self.headers, parse_form(self.headers["Content-Type"], body)))
        code, answer = self.forms.answers[0]
        if answer == "silence":
            self.forms.ended.wait(30)
        if answer in ("silence", "hang up"):
            self.connection.close()
            return
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(data)


def parse_form(kind: str, body: bytes) -> dict[str, object]:
    """Return the message parts of a multipart form by field."""
    parts = email.message_from_bytes(b"Content-Type: " + kind.encode() + b"\n\n" + body)
    return {part.get_param("name", header="content-disposition"): part for part in parts.get_payload()}


@pytest.fixture
def server():
    server = FormServer()
    yield server
    server.close()


@pytest.fixture
def csv_file(tmp_path):
    path = tmp_path / "submission.csv"
    path.write_bytes(CSV)
    return path


def text(part: Message) -> bytes:
    return part.get_payload(decode=True).removesuffix(b"\r\n")


def test_every_platform_is_registered_with_options():
    registry = load_plugins().registry["uploads"]
    assert set(registry) >= {"kaggle", "manual", "huggingface"}
    assert set(register_uploads()) == {"kaggle", "manual", "huggingface"}
    for component in registry.values():
        assert component.summary
    bound, problems = bind(registry["manual"], {"competition": "1", "max_per_dya": 3}, "[upload]")
    assert bound is None and "Did you mean 'max_per_day'?" in str(problems[0])
    assert "dacon" not in registry  # by hand: nothing here could try its client
    _, problems = bind(registry["kaggle"], {"competition": "Not A Slug"}, "[upload]")
    assert '[upload]: competition = "Not A Slug"' in str(problems[0])
    _, problems = bind(registry["manual"], {"competition": "1", "timezone": "Asia/Soul"}, "[upload]")
    assert "unknown time zone. Did you mean 'Asia/Seoul'?" in str(problems[0])


# --- by hand --------------------------------------------------------------------------------------------------


def test_a_web_form_gets_a_checklist(csv_file):
    uploader = manual(
        competition="mask", site="https://stages.ai/competitions/1", checklist=["Tick 'final'"], max_per_day=10,
        min_interval_minutes=60.0, final_picks=2, timezone="Asia/Seoul",
    )  # fmt: skip
    receipt = uploader.create(csv_file, "run-001 compete-1 CV 0.7", {})
    assert receipt.reference == ""
    assert receipt.notes == (
        "[ ] Open https://stages.ai/competitions/1",
        f"[ ] Upload {csv_file}",
        "[ ] As its note, write: run-001 compete-1 CV 0.7",
        "[ ] Tick 'final'",
    )
    assert uploader.limits == Limits(10, 60.0, 2, "Asia/Seoul")
    nothing = (uploader.check, uploader.quota, uploader.send, uploader.find, uploader.status, uploader.download)
    assert nothing == (None,) * 6
    assert "the page of mask" in manual(competition="mask").create(csv_file, "m", {}).notes[0]


# --- Hugging Face ---------------------------------------------------------------------------------------------


@pytest.fixture
def space(server, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf-secret")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    return huggingface(competition="org/name", address=server.address, timeout_seconds=1.0, max_per_day=3)


def test_hugging_face_is_one_post(server, space, csv_file):
    server.answer({"response": "Success! You have 2 submissions remaining today."})
    space.check()
    receipt = space.create(csv_file, "run-001 compete-1", {})
    assert receipt.notes == ("Success! You have 2 submissions remaining today.",)
    ((path, headers, fields),) = server.forms
    assert path == "/new_submission" and headers["Authorization"] == "Bearer hf-secret"
    assert text(fields["submission_file"]) == CSV
    assert fields["submission_file"].get_filename() == "submission.csv"
    assert (text(fields["submission_comment"]), text(fields["hub_model"])) == (b"run-001 compete-1", b"None")
    assert space.limits.max_per_day == 3 and space.status is None


@pytest.mark.parametrize(
    ("code", "body", "error", "message"),
    [
        (200, {"response": "Invalid token"}, AccessError, r"does not accept your token \(Invalid token\)"),
        (403, {}, AccessError, r"does not accept your token \(403\)"),
        (200, {"response": "Competition has ended"}, PlatformError, "refused: Competition has ended"),
        (422, {"detail": "field required"}, PlatformError, "refused: field required"),
        (429, {}, BusyError, "slow down"),
        (500, b"Internal Server Error", UnreachableError, r"failed \(500\): 'Internal Server Error' instead of a JSON"),
        (200, b"<html><title>Log\nin</title>", UnreachableError, r"failed \(200\): a web page \('Log in'\) instead of"),
        (302, {}, UnreachableError, r"failed \(302\): JSON without a response"),
        (302, b"", UnreachableError, r"failed \(302\): a redirect to /elsewhere, which is not followed"),
        (200, b"", UnreachableError, r"failed \(200\): an empty answer"),
        (200, b"[" * 100_000, UnreachableError, r"failed \(200\): '\[+' instead of a JSON object"),
        (200, b"x" * 2_000_000, UnreachableError, r"failed \(200\): more than 1,000,000 bytes"),
        (200, [1, 2], UnreachableError, r"failed \(200\): '\[1, 2\]' instead of a JSON object"),
        (200, {"response": {"odd": ["hf-secret"]}}, PlatformError, r"refused: \{'odd': \['\*\*\*'\]\}"),
        (200, {"response": None, "detail": 7}, PlatformError, "refused: 7"),
        (200, {"response": "bad: hf-secret"}, PlatformError, r"refused: bad: \*\*\*$"),
        (200, {"response": "x" * 290 + "hf-secret"}, PlatformError, r"x\*\*\*$"),  # masked, then cut
        (200, b"<title>hf-secret</title><html>", UnreachableError, r"'<title>\*\*\*</title><html>' instead"),
        (200, "hang up", UnreachableError, "connection to the Hugging Face Space broke"),
        (200, "silence", UnreachableError, "is silent: no answer for 1 s"),
    ],
)
def test_hugging_face_refusals_and_faults(server, space, csv_file, code, body, error, message):
    server.answer(body, code)
    with pytest.raises(error, match=message) as caught:
        space.create(csv_file, "m", {})
    assert type(caught.value) is error
    assert "hf-secret" not in str(caught.value)
    assert len(server.forms) == 1  # not sent on to where a redirect points


def test_hugging_face_needs_a_token(space, monkeypatch):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(AccessError, match="not signed in to Hugging Face"):
        space.check()


@pytest.mark.parametrize(
    "address",
    [
        "http://example.org", "https://example.org", "http://org-name.hf.space", "https://hf.space.example.org",
        "https://org-name.hf.space@example.org", "https://example.org/.hf.space", "https://example.org#.hf.space",
        "https://example.org\\.hf.space", "https://evilhf.space", "https://org-name.hf.space:8080",
        "https://a.b.hf.space", "https://org-name.hf.spaсe", "http://127.0.0.1.example.org",
        "http://localhost@example.org", "https://org-name.hf.space\n.example.org", "ftp://org-name.hf.space",
    ],
)  # fmt: skip
def test_a_token_goes_to_no_other_host(address, csv_file, monkeypatch):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: pytest.fail("the token was read"))
    monkeypatch.setattr("requests.post", lambda *_, **__: pytest.fail("sent"))
    space = huggingface(competition="org/name", address=address)
    for ask in (space.check, lambda: space.create(csv_file, "m", {})):
        with pytest.raises(AccessError, match="your token is only sent to a Space, over https"):
            ask()
    options = {"competition": "org/name", "address": address}
    bound, problems = bind(load_plugins().registry["uploads"]["huggingface"], options, "[upload]")
    assert any("your token is only sent to a Space" in str(problem) for problem in problems), bound


@pytest.mark.parametrize("competition", ["org/name", "Org/My_Name", "org/name.v2", "evil.com/x"])
def test_the_address_of_a_space_is_its_own(competition, csv_file, monkeypatch):
    sent: list[str] = []
    monkeypatch.setenv("HF_TOKEN", "hf-secret")
    monkeypatch.setattr(
        "compete_plugins.uploads._huggingface.post_form",
        lambda url, *_, **__: sent.append(url) or Answer(200, {"response": "Success"}),
    )
    huggingface(competition=competition).create(csv_file, "m", {})
    own = competition.lower().replace("/", "-").replace("_", "-").replace(".", "-")
    assert sent == [f"https://{own}.hf.space/new_submission"]


def send(url: str, path: Path) -> Answer:
    return post_form(url, {}, ("file", path), platform="It", timeout_seconds=5.0, token="secret-1")


def no_such_name(*_: object) -> None:
    raise socket.gaierror(-2, "Name or service not known")


def test_what_cannot_be_reached_is_named_and_got_nothing(server, csv_file, monkeypatch):
    server.close()
    with pytest.raises(PlatformError, match=r"nothing was sent: .*refused\. Check the network") as caught:
        send(server.address, csv_file)
    assert type(caught.value) is PlatformError
    with (
        monkeypatch.context() as without_dns,
        pytest.raises(PlatformError, match=r"nothing was sent: .*not known\. Che"),
    ):
        without_dns.setattr("socket.getaddrinfo", no_such_name)
        send("https://no-such-host.invalid", csv_file)
    monkeypatch.setenv("HTTPS_PROXY", server.address)
    with pytest.raises(PlatformError, match=r"the proxy in the variable HTTPS_PROXY does not answer \(.*refused"):
        send("https://org-name.hf.space", csv_file)


def test_a_server_on_this_machine_is_not_asked_through_a_proxy(server, csv_file, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert send(server.address, csv_file).code == 200


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_a_certificate_that_nobody_signed_is_named(server, csv_file, tmp_path):
    key, signed = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([*make, "-subj", "/CN=localhost", "-keyout", key, "-out", signed], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(signed, key)
    server.http.socket = context.wrap_socket(server.http.socket, server_side=True)
    server.http.handle_error = lambda *_: None
    with pytest.raises(PlatformError) as caught:
        send(f"https://localhost:{server.http.server_port}", csv_file)
    assert server.forms == []
    assert "nothing was sent: the certificate of localhost is not accepted" in str(caught.value)
    assert "REQUESTS_CA_BUNDLE" in str(caught.value)


@pytest.mark.parametrize("token", ["hf-\u200bsecret", "hf secret"])
def test_an_odd_token_is_refused_before_it_is_sent(space, monkeypatch, token):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: token)
    with pytest.raises(AccessError, match="has characters that no token has"):
        space.check()


def test_a_token_that_cannot_be_read_is_named(space, monkeypatch):
    def refuse() -> str:
        raise PermissionError(13, "Permission denied", "/home/me/.cache/huggingface/token")

    monkeypatch.setattr("huggingface_hub.get_token", refuse)
    with pytest.raises(AccessError, match=r"cannot be read: .*Permission denied: '/home/me"):
        space.check()
