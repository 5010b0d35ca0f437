"""A job: one member to train, in words that any process which sees the run's folder understands."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compete.identity import Identity
from compete.jobs.mirror import Mirror, run_storage
from compete.jobs.shipment import ROOT, WORK, Shipment, named_paths, pack
from compete.toml.read import write_toml_text
from compete.types import Member, MemberResult

if TYPE_CHECKING:
    from compete.session import Run

Record = dict[str, Any]  # an event as plain JSON data


@dataclass(frozen=True)
class Job:
    """One member to train: picklable, and JSON as `to_json`. `compete.run_job(job)` does it, in any process.

    `folder` is the run's and `cwd` what the TOML's paths are relative to, both absolute. `toml` is the whole
    configuration and `path` the file that it came from; `identity` is what rows, images, settings and code must be.
    `cpus` is the process's share of the machine's cores, for threads and loader processes; 0: all. `storage` is the URL
    of the run's members where the process does not see the folder: they are fetched from there and stored there.
    `named` are the paths that the TOML names, which must be there, and where it does; `shipped` others were shipped.
    """

    member: Member
    folder: str
    cwd: str
    toml: str
    path: str
    identity: Identity
    doctor: bool = False
    cpus: int = 0
    storage: str = ""
    named: Mapping[str, str] = field(default_factory=dict)
    shipped: bool = False

    def to_json(self) -> str:
        """Return the job as one line."""
        return json.dumps(asdict(self))

    def moved(self, shipment: Shipment, folder: Path) -> Job:
        """Return the job as it is done where its files are unpacked in a folder."""
        toml = tomllib.loads(self.toml)
        if shipment.moves_root:
            toml["competition"]["root"] = str(folder / ROOT)
        return replace(self, cwd=str(folder / WORK), toml=write_toml_text(toml), named=shipment.left, shipped=True)

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Return the job that `to_json` wrote."""
        data = json.loads(text)
        return cls(**{**data, "member": Member(**data["member"]), "identity": Identity(**data["identity"])})


def python_command(module: str) -> list[str]:
    """Return the command that runs a module in another process, where the same modules are found as in this one.

    `python -m` alone would look in the working folder first, where a `queue.py` is the user's and not Python's.
    """
    looks_here = {"", str(Path.cwd())} & set(sys.path)
    return [sys.executable, *([] if looks_here else ["-P"]), "-m", module]


def job_of(run: Run, member: Member, cpus: int = 0, storage: str = "") -> Job:
    """Return the job of a run's member."""
    return Job(
        member=member,
        folder=str(run.folder.resolve()),
        cwd=str(Path.cwd()),
        toml=write_toml_text(run.config.resolved()),
        path=str(run.config.path),
        identity=run.identity,
        doctor=run.session.options.doctor,
        cpus=cpus,
        storage=storage and run_storage(storage, run.folder),
        named=named_paths(run.config),
    )


@dataclass(frozen=True)
class TrainMember:
    """What an executor gets as `train`: `train(member)` trains a member in this process and returns its result.

    A finished member is not trained again, so an executor also calls it for each member that was trained elsewhere.
    """

    run: Run
    work: Callable[[Member], MemberResult]
    is_finished: Callable[[Member], bool]
    show: Callable[[Record], None]

    def __call__(self, member: Member) -> MemberResult:
        """Train the member unless it is finished; return its result."""
        return self.work(member)

    @property
    def device(self) -> str:
        """The kind of device that the run trains on: "cpu", "cuda" or "mps"."""
        return str(self.run.fabric.device.type)

    @property
    def devices(self) -> int:
        """The number of devices that train one member together."""
        return self.run.config.training.total_devices

    @property
    def device_setting(self) -> str:
        """The `[training] device` of the TOML, which other machines may read in another way: "auto" for one."""
        return self.run.config.training.device

    def job(self, member: Member, cpus: int = 0, storage: str = "") -> Job:
        """Return the job that `compete.run_job` does in another process, with a share of its machine's cores.

        `storage` is a URL below which the run's members are stored, for a machine that does not see the run's folder.
        """
        return job_of(self.run, member, cpus, storage)

    def shipment(self, member: Member) -> Shipment:  # noqa: ARG002 - of several runs it chooses one
        """Return what the member's run needs of this machine's files, for one that lacks them; all are read once."""
        return pack(self.run.config)

    def fetch(self, members: Sequence[Member], storage: str) -> list[Member]:
        """Fetch what a storage has of some members into the run's folder; return those that are not finished yet."""
        for member in members:
            key = self.run.identity.predictions(member)
            Mirror(run_storage(storage, self.run.folder), self.run.folder, member.name, key).fetch()
        return self.pending(members)

    def pending(self, members: Sequence[Member]) -> list[Member]:
        """Return the members that are not finished."""
        return [member for member in members if not self.is_finished(member)]

    def replay(self, record: Record) -> None:
        """Show an event of another process, as `run_job` reports it, in this one: in the log and on the screen."""
        self.show(record)

    def warn(self, message: str, member: Member | None = None) -> None:  # noqa: ARG002 - of several runs it chooses one
        """Add a warning, perhaps of one member, which its run reports at its end."""
        self.run.session.warn(message)
