"""`python -m compete.workers [rank]`: jobs come in as lines of JSON, events go out as lines of JSON.

It ends when its input does, which is also how it learns that the process that started it has died.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from typing import IO

from compete.errors import FAULTS, Stopped
from compete.jobs.failures import failure_record
from compete.jobs.job import Job, Record
from compete.workers.work import Worker

GRACE_SECONDS = 3.0


def main() -> None:
    """Do jobs until there are no more. Exit status: 0, also where a job failed, which is reported; 130 stopped."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)  # what plugins print must not look like an event
        signal.signal(signal.SIGTERM, _stop)
        signal.signal(signal.SIGINT, _stop)
        jobs: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        busy = threading.Event()
        threading.Thread(target=_read, args=(jobs, busy), daemon=True).start()
        try:
            _work(jobs, busy, out)
        except Stopped:
            sys.exit(130)


def _work(jobs: queue.SimpleQueue[str | None], busy: threading.Event, out: IO[str]) -> None:
    def report(record: Record) -> None:
        out.write(json.dumps(record) + "\n")
        out.flush()

    worker = Worker(report, is_rank="rank" in sys.argv[1:])
    while line := jobs.get():
        job = Job.from_json(line)
        busy.set()
        ended: Record = {"event": "done", "member": job.member.name}
        try:
            worker.do(job)
        except Stopped:
            raise
        except FAULTS as error:
            ended |= {"event": "failed", "failure": failure_record(error)}
        busy.clear()
        report(ended)


def _read(jobs: queue.SimpleQueue[str | None], busy: threading.Event) -> None:
    """Pass lines on; at the end of the input, stop what is being done."""
    for line in sys.stdin:
        jobs.put(line)
    jobs.put(None)
    if busy.is_set():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_SECONDS)  # a rank that waits for another one inside a library hears no signal
        os._exit(130)


def _stop(_number: int, _frame: object) -> None:
    raise Stopped


if __name__ == "__main__":
    main()
