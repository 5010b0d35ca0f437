"""A stand-in for Kaggle on a loopback port, for the real `kaggle` package: its wire protocol, with faults on order.

The package is pointed here by the environment alone: its endpoint LOCALHOST is `http://localhost`, and this server is
the HTTP proxy of the process.
"""

from __future__ import annotations

import base64
import json
import os
import re
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import compete
import compete_plugins
from kaggle_code_server import CodeRequests, Shelf

# The child of the platform runs these sources, not those that may be installed.
SOURCES = os.pathsep.join(str(Path(package.__path__[0]).parent) for package in (compete, compete_plugins))
NO_RULES = "You cannot submit until you accept the competition rules"
NO_RULES_DOWNLOAD = "You must accept this competition's rules before you'll be able to download files."
DENIED = "Permission 'competitions.participate' was denied"


@dataclass
class Competition:
    """A competition, as one user sees it."""

    slug: str
    entered: bool = True
    daily: int = 5
    archive: bytes = b""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass
class Fault:
    """What goes wrong at the next request of a kind.

    `what` is "status" (answer with `code`; HTML when there is no `message`), "stall" (no answer), "lose" (do it, then
    hang up), "mute" (do it, then no answer) or "drop" (hang up after `bytes` of the body, in either direction).
    """

    request: str
    what: str
    code: int = 500
    message: str | None = ""
    headers: dict[str, str] = field(default_factory=dict)
    bytes: int = 0
    http_code: int | None = None


class KaggleServer:
    """The server and its state. `log` holds the name of every request; use it as a context manager."""

    def __init__(self, *competitions: Competition) -> None:
        self.tokens = {"good-token": "ann"}
        self.keys = {("ann", "good-key")}
        self.lock = threading.RLock()
        self.stalled = threading.Event()
        self.ended = threading.Event()
        self.reset(*competitions)
        self._http = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"kaggle": self}))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def reset(self, *competitions: Competition) -> None:
        """Forget everything that happened; these are the competitions now."""
        self.competitions = {c.slug: c for c in competitions}
        self.submissions: list[dict[str, Any]] = []
        self.uploads: dict[str, dict[str, Any]] = {}
        self.faults: list[Fault] = []
        self.log: list[str] = []
        self.leaks: list[str] = []
        self.verdict: dict[str, Any] = {"status": "COMPLETE", "publicScore": "0.81250", "privateScore": ""}
        self.polls = 1
        self.page_size = 20
        self.used_today = 0
        self.limited_by_total = False
        self.shelf = Shelf()
        self.stalled.clear()

    def __enter__(self) -> KaggleServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._http.shutdown()
        self._http.server_close()

    def fail(self, request: str, what: str = "status", times: int = 1, **details: Any) -> None:
        """Order a fault for the next requests of a kind."""
        self.faults += [Fault(request, what, **details) for _ in range(times)]

    def environment(self, home: Path, **more: str) -> dict[str, str]:
        """Return the environment that points the package here; it holds nothing else."""
        for folder in (home, home / "config", home / "tmp"):
            folder.mkdir(parents=True, exist_ok=True)
        proxy = f"http://127.0.0.1:{self._http.server_port}"
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": str(home),
            "KAGGLE_CONFIG_DIR": str(home / "config"),
            "TMPDIR": str(home / "tmp"),
            "PYTHONPATH": SOURCES,
            "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
            "HTTP_PROXY": proxy,
            "http_proxy": proxy,
            "HTTPS_PROXY": proxy,
            **more,
        }


class _Server(ThreadingHTTPServer):
    def handle_error(self, *about: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # clients are killed on purpose
            super().handle_error(*about)


class _RefusalError(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Handler(BaseHTTPRequestHandler):
    kaggle: KaggleServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        name = urlsplit(self.path).path.rpartition("/")[2]
        request = json.loads(self._body() or b"{}")
        fault = self._fault(name)
        if fault is not None and fault.what not in {"lose", "mute"}:
            self._misbehave(fault)
            return
        try:
            with self.kaggle.lock:
                answer = self._answer(name, request)
        except _RefusalError as refusal:
            self._send(refusal.code, {"code": refusal.code, "message": str(refusal)})
            return
        if fault is not None:
            self._misbehave(fault)
        elif isinstance(answer, str):
            self._send(302, {}, Location=answer)
        else:
            self._send(200, answer)

    def do_PUT(self) -> None:
        if "Authorization" in self.headers:
            self.kaggle.leaks.append("Authorization on PUT")
        upload = self.kaggle.uploads.get(urlsplit(self.path).path.rpartition("/")[2])
        if upload is None:
            self._body()
            self._send(404, {})
            return
        size = upload["size"]
        asked = re.fullmatch(
            r"bytes (\*|(\d+)-\d+)/\d+", self.headers.get("Content-Range", f"bytes 0-{size - 1}/{size}")
        )
        assert asked is not None
        fault = self._fault("PUT?" if asked[1] == "*" else "PUT")
        if asked[1] != "*":
            upload["data"] = upload["data"][: int(asked[2])] + self._body(fault.bytes if fault else None)
            upload["parts"].append(len(upload["data"]) - int(asked[2]))
        if fault is not None and fault.what == "drop":
            self._hang_up()
        elif fault is not None:
            self._misbehave(fault)
        elif (arrived := len(upload["data"])) == size:
            self._send(200, {})
        else:
            self._send(308, {}, **({"Range": f"bytes=0-{arrived - 1}"} if arrived else {}))

    def do_GET(self) -> None:
        slug = urlsplit(self.path).path.rpartition("/")[2].removesuffix(".zip")
        data = self.kaggle.competitions[slug].archive
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        fault = self._fault(f"GET {start}" if start else "GET")
        headers = {"Accept-Ranges": "bytes", "ETag": '"one"', "Last-Modified": "Wed, 01 Jan 2020 00:00:00 GMT"}
        headers["Content-Type"] = "application/zip"
        if fault is not None and fault.what != "drop":
            self._misbehave(fault)
            return
        self._send(206 if asked else 200, data[start:], cut=fault.bytes if fault else None, **headers)

    def _answer(self, name: str, request: dict[str, Any]) -> Any:
        if name == "IntrospectToken":
            user = self.kaggle.tokens.get(request["token"])
            return {"active": True, "username": user} if user else {"active": False}
        self._require_user()
        if name == "ListCompetitions":
            assert request["group"] == "COMPETITION_LIST_TAB_ENTERED"
            entered = [c.slug for c in self.kaggle.competitions.values() if c.entered]
            return {"competitions": [{"ref": f"https://www.kaggle.com/competitions/{slug}"} for slug in entered]}
        if name == "GetSubmission":
            return self._poll(request["ref"])
        snake = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
        if code := getattr(CodeRequests(self.kaggle, _RefusalError), snake, None):
            return code(request)
        competition = self.kaggle.competitions.get(request["competitionName"])
        if competition is None:
            raise _RefusalError(403, DENIED)
        return getattr(self, f"_{snake}")(competition, request)

    def _get_competition(self, competition: Competition, _: dict[str, Any]) -> Any:
        return {"userHasEntered": competition.entered, "maxDailySubmissions": competition.daily, **competition.facts}

    def _get_submission_limits(self, competition: Competition, _: dict[str, Any]) -> Any:
        used = self.kaggle.used_today
        if not competition.entered or not used:
            return {}  # not on a team before the first submission: all zero
        total = {"limitedByTotal": True} if self.kaggle.limited_by_total else {}
        return {"numToday": used, "numTotal": used, "numAllowedNow": competition.daily - used, **total}

    def _start_submission_upload(self, _: Competition, request: dict[str, Any]) -> Any:
        token = f"blob{len(self.kaggle.uploads) + 1}"
        self.kaggle.uploads[token] = {"size": request["contentLength"], "data": b"", "parts": []}
        return {"token": token, "createUrl": f"http://localhost/storage/{token}"}

    def _create_submission(self, competition: Competition, request: dict[str, Any]) -> Any:
        if not competition.entered:
            raise _RefusalError(403, NO_RULES)
        upload = self.kaggle.uploads[request["blobFileTokens"]]
        if len(upload["data"]) != upload["size"] or self.kaggle.used_today >= competition.daily:
            raise _RefusalError(400, "Bad Request")
        self.kaggle.used_today += 1
        ref = 100 + len(self.kaggle.submissions) + 1
        row = {"ref": ref, "description": request["submissionDescription"], "data": upload["data"], "polls": 0}
        self.kaggle.submissions.append({**row, "verdict": dict(self.kaggle.verdict)})
        return {"message": "Successfully submitted", "ref": ref}

    def _list_submissions(self, _: Competition, request: dict[str, Any]) -> Any:
        """Show the newest first, a page at a time; a token leads to the next one."""
        start, size = int(request.get("pageToken") or 0), self.kaggle.page_size
        rows = self.kaggle.submissions[::-1]
        more = {"nextPageToken": str(start + size)} if start + size < len(rows) else {}
        return {"submissions": [self._row(row) for row in rows[start : start + size]], **more}

    def _download_data_files(self, competition: Competition, _: dict[str, Any]) -> Any:
        if not competition.entered:
            raise _RefusalError(403, NO_RULES_DOWNLOAD)
        return f"http://localhost/files/{competition.slug}.zip?signature=secret"

    def _poll(self, ref: int) -> Any:
        row = next(row for row in self.kaggle.submissions if row["ref"] == ref)
        row["polls"] += 1
        return self._row(row)

    def _row(self, row: dict[str, Any]) -> dict[str, Any]:
        """Show a submission: the status of a pending one is left out, as every default is."""
        shown = {"ref": row["ref"], "description": row["description"]}
        return {**shown, **row["verdict"]} if row["polls"] > self.kaggle.polls else shown

    def _require_user(self) -> None:
        kind, _, secret = self.headers.get("Authorization", "").partition(" ")
        known = secret in self.kaggle.tokens
        if kind == "Basic":
            user, _, key = base64.b64decode(secret).decode().partition(":")
            known = (user, key) in self.kaggle.keys
        if not known:
            raise _RefusalError(401, "Unauthenticated")

    def _fault(self, name: str) -> Fault | None:
        with self.kaggle.lock:
            self.kaggle.log.append(name)
            fault = next((fault for fault in self.kaggle.faults if fault.request == name), None)
            if fault is not None:
                self.kaggle.faults.remove(fault)
            return fault

    def _misbehave(self, fault: Fault) -> None:
        if fault.what in {"stall", "mute"}:
            self.kaggle.stalled.set()
            self.kaggle.ended.wait(60)
        if fault.what in {"stall", "mute", "lose"}:
            self._hang_up()
        else:
            body = b"<html>" if fault.message is None else {"code": fault.code, "message": fault.message}
            self._send(fault.http_code or fault.code, body, **fault.headers)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.close()

    def _body(self, most: int | None = None) -> bytes:
        left = int(self.headers.get("Content-Length", 0))
        left = left if not most else min(left, most)
        data = b""
        while left > len(data) and (block := self.rfile.read(min(1 << 16, left - len(data)))):
            data += block
        return data

    def _send(self, code: int, body: Any, cut: int | None = None, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:cut])
        if cut is not None:
            self._hang_up()
