"""Platforms besides Kaggle: Hugging Face on a loopback port, web forms by hand, and the shared options."""

from __future__ import annotations

import email
import json
import threading
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from compete.config.options import bind
from compete.config.plugins import load_plugins
from compete.leaderboard.platform import AccessError, BusyError, Limits, PlatformError, UnreachableError
from compete_plugins.uploads import huggingface, manual, register_uploads

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
        (500, b"Internal Server Error", UnreachableError, r"failed \(500\)"),
        (200, b"<html>", UnreachableError, r"failed \(200\)"),
        (302, {}, UnreachableError, r"failed \(302\)"),
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


def test_a_token_never_travels_in_the_clear():
    with pytest.raises(AccessError, match=r"http://example\.org: a token is only sent over https"):
        huggingface(competition="org/name", address="http://example.org").check()


def test_hugging_face_that_is_not_there(server, csv_file, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf-secret")
    server.close()
    with pytest.raises(UnreachableError, match="connection to the Hugging Face Space broke"):
        huggingface(competition="org/name", address=server.address).create(csv_file, "m", {})
