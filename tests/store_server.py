"""A web server on loopback for tests: files with entity tags and ranges, counted requests, and faults on demand."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote


class StoreServer(ThreadingHTTPServer):
    """Serves the files below `root`; its attributes change how, and count what was asked."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.root = root
        self.tags, self.ranges = True, "bytes"  # what it says of ranges
        self.failures: dict[str, list[int]] = {}  # by path: the statuses of the next answers
        self.delay_s = 0.0
        self.answered = 0  # GET requests
        self.most_answers: int | None = None  # all beyond fail
        self.asked: Counter[str] = Counter()
        self.sent_bytes = self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """Say nothing of a client that is gone."""


class Handler(BaseHTTPRequestHandler):
    server: StoreServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        server = self.server
        with server.lock:
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        time.sleep(server.delay_s)
        try:
            self.answer(with_body=True)
        finally:
            with server.lock:
                server.at_once -= 1

    def answer(self, with_body: bool) -> None:
        path, server = unquote(self.path.partition("?")[0]).lstrip("/"), self.server
        file = server.root / path
        with server.lock:
            server.asked[f"{self.command} {path}"] += 1
            failures = server.failures.get(path, [])
            server.answered += with_body
            if server.most_answers is not None and server.answered > server.most_answers:
                failures = [503]
            status = failures.pop(0) if failures and with_body else 200 if file.is_file() else 404
        if status != 200:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        about = file.stat()
        start, end = 0, about.st_size
        wanted = self.headers.get("Range", "")
        if wanted and server.ranges == "bytes":
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, end = int(first), min(end, int(last) + 1) if last else end
        self.send_response(206 if wanted and server.ranges == "bytes" else 200)
        self.send_header("Content-Length", str(end - start))
        if server.ranges:
            self.send_header("Accept-Ranges", server.ranges)
        if server.tags:
            self.send_header("ETag", f'"{about.st_mtime_ns:x}-{about.st_size:x}"')
        self.end_headers()
        if with_body:
            with file.open("rb") as opened:
                opened.seek(start)
                self.wfile.write(opened.read(end - start))
            with server.lock:
                server.sent_bytes += end - start


@contextmanager
def serve(root: Path) -> Iterator[StoreServer]:
    server = StoreServer(root)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
