"""A member's files in a store: on a disk, and behind S3's protocol on this machine."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from compete.errors import StoreError
from compete.jobs.mirror import FINISHED, Mirror, mirrored, run_storage, scratch_folder
from compete.store import CHECKPOINT


@pytest.fixture(params=["file", "s3"])
def storage(request, tmp_path, monkeypatch):
    if request.param == "file":
        yield f"file://{tmp_path}/store/tiny/run-001"
        return
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    settings = {"key": "k", "secret": "s", "client_kwargs": {"endpoint_url": f"http://{host}:{port}"}}
    from fsspec.config import conf

    monkeypatch.setitem(conf, "s3", settings)
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem(**settings).mkdir("mirror")  # moto keeps the buckets of other tests in this process
    yield "s3://mirror/runs/tiny/run-001"
    server.stop()
    s3fs.S3FileSystem.clear_instance_cache()


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


@pytest.mark.filterwarnings("ignore")  # of botocore and s3fs
def test_a_checkpoint_goes_to_the_next_machine_and_the_result_to_the_driver(storage, tmp_path):
    first, second, driver = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    write(first / "members/m", checkpoint__pt="half")
    Mirror(storage, first, "m", "key").store_checkpoint()
    with mirrored(storage, second, "m", "key", pytest.fail):
        assert (second / "members/m" / CHECKPOINT).read_text() == "half"
        write(second / "members/m", **{name.replace(".", "__"): name for name in FINISHED})
    assert not (second / "members/m").exists()
    Mirror(storage, driver, "m", "key").fetch()
    assert {path.name: path.read_text() for path in (driver / "members/m").iterdir()} == {n: n for n in FINISHED}
    shutil.rmtree(driver)
    for name, key in (("other", "key"), ("m", "that of another run of this name")):
        Mirror(storage, driver, name, key).fetch()
        assert not (driver / "members" / name).exists()


def test_a_checkpoint_that_cannot_be_stored_is_said_once(tmp_path, monkeypatch):
    monkeypatch.setattr("compete.jobs.mirror.SECONDS", 0.001)
    warnings, tries = [], []

    def fail(_mirror) -> None:
        tries.append(1)
        raise StoreError("no permission")

    monkeypatch.setattr(Mirror, "store_checkpoint", fail)
    with mirrored(f"file://{tmp_path}/store/tiny/run-001", tmp_path / "run", "m", "key", warnings.append):
        while len(tries) < 3:
            time.sleep(0.001)
    assert warnings == ["m: its checkpoint could not be stored, which is tried again: no permission"]


def test_a_run_has_a_place_of_its_own_below_the_storage():
    assert run_storage("s3://bucket/runs/", Path("/data/submissions/tiny/run-003")) == "s3://bucket/runs/tiny/run-003"
    one, other = (scratch_folder(f"s3://bucket/tiny/run-00{n}") for n in (1, 2))
    assert one != other and one.endswith("bucket-tiny-run-001")
