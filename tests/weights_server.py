"""A server of weights on this machine, which speaks as the hub does and can cut an answer off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

COMMIT = "c" * 40


class WeightsServer(ThreadingHTTPServer):
    """Serves `files` by their path; each answer ends after `most_bytes`, and `wrong` digests are announced if set."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.most_bytes: int | None = None
        self.digest = ""
        self.asked: list[tuple[str, str, str]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: WeightsServer

    def do_HEAD(self) -> None:
        self._head(0)

    def do_GET(self) -> None:
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        body = self._head(start)
        self.wfile.write(body[: self.server.most_bytes])

    def _head(self, start: int) -> bytes:
        path = self.path.replace(COMMIT, "main")
        self.server.asked.append((self.command, path, self.headers.get("Range", "")))
        if path not in self.server.files:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return b""
        data = self.server.files[path]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("X-Linked-Size", str(len(data)))
        self.send_header("X-Linked-Etag", f'"{self.server.digest or sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        return data[start:]

    def log_message(self, *_: object) -> None: ...


@contextmanager
def weights_server() -> Iterator[WeightsServer]:
    with WeightsServer() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
