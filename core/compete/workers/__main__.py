"""`python -m compete.workers [rank]`: jobs come in as lines of JSON, events go out as lines of JSON.

It ends when its input does, which is also how it learns that the process that started it has died.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
from typing import IO

from compete.errors import FAULTS, Stopped
from compete.jobs.child import STOPPED, end_this_process, report_stream
from compete.jobs.failures import failure_record
from compete.jobs.job import Job, Record
from compete.workers.work import Worker

GRACE_SECONDS = 3.0  # a rank that waits for another one inside a library hears no signal


def main() -> None:
    """Do jobs until there are no more. Exit status: 0, also where a job failed, which is reported; 130 stopped."""
    try:
        with report_stream() as out:
            jobs: queue.SimpleQueue[str | None] = queue.SimpleQueue()
            busy = threading.Event()
            threading.Thread(target=_read, args=(jobs, busy), daemon=True).start()
            _work(jobs, busy, out)
    except Stopped:  # it may come as late as when the last job is done
        sys.exit(STOPPED)


def _work(jobs: queue.SimpleQueue[str | None], busy: threading.Event, out: IO[str]) -> None:
    one_at_a_time = threading.Lock()  # a storage warns from a thread of its own

    def report(record: Record) -> None:
        with one_at_a_time:
            out.write(json.dumps(record) + "\n")
            out.flush()

    worker = Worker(report, is_rank="rank" in sys.argv[1:])
    while line := jobs.get():
        job = Job.from_json(line)
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
        busy.set()  # here: the input may end before the job begins
        jobs.put(line)
    jobs.put(None)
    if busy.is_set():
        end_this_process(GRACE_SECONDS)


if __name__ == "__main__":
    main()
