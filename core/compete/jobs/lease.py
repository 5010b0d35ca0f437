"""A member's lease: of all processes that see a run's folder, on any machine, one at a time trains a member.

It is a file that its holder touches every ten seconds, as locks of the operating system do not reach every machine of
a network disk. The lease of a process that died on this machine is free at once, and that of a lost machine after
`SECONDS` without a touch, by the waiting process's own clock: machines need not agree on the time.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import LeaseCompromise, SoftFileLease, Timeout

from compete.errors import RunBusyError
from compete.store import cannot_write, make_folder, remove_litter

FILE = ".lease"
SECONDS = 30.0
POLL_SECONDS = 0.5


@contextmanager
def member_lease(folder: Path, on_wait: Callable[[str], object] | None = None) -> Iterator[None]:
    """Hold a member's folder. While another process does, wait for it, or without `on_wait` raise `RunBusyError`.

    `on_wait` is called once, with the process that holds it. A holder that lost its lease, as after a sleep of the
    machine, stops as at Ctrl-C: another one may train the member from its last checkpoint.
    """
    make_folder(folder)
    lease = SoftFileLease(
        folder / FILE, lease_duration=SECONDS, on_compromise=_stop, poll_interval=POLL_SECONDS, thread_local=False
    )
    try:
        lease.acquire(timeout=0)
    except Timeout as error:
        owner = describe_owner(lease)
        if on_wait is None:
            raise RunBusyError(f"{folder.name} is trained by {owner}") from error
        on_wait(owner)
        lease.acquire()
    except OSError as error:
        raise cannot_write(folder / FILE, error) from error
    try:
        yield
    finally:
        lease.release()


def remove_free_litter(folder: Path) -> None:
    """Remove what killed processes left in a run's folder, but nothing of members that another process trains."""
    members = list((folder / "members").glob("*/"))
    for member in members:
        with suppress(RunBusyError), member_lease(member):
            remove_litter(member)
    remove_litter(folder, but=members)


def describe_owner(lease: SoftFileLease) -> str:
    """Return "process 12 on host", or "another process" where the file does not tell."""
    owner = lease.owner
    return f"process {owner.pid} on {owner.hostname}" if owner else "another process"


def _stop(_lost: LeaseCompromise) -> None:
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
    else:
        os.kill(os.getpid(), signal.SIGINT)
