"""Runs on images that are not here: the results of local files, bounded memory, and every fault in words."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image as Picture

import compete
from compete.api.result import Result
from compete.config.load import check_config, load_config
from compete.config.plugins import load_plugins
from compete.config.settings import Images
from compete.data.decoder import Decoder
from compete.data.images import ImagesByRow, open_image_set
from compete.data.loaders import EpochBatches, ImageDataset, make_loader, prediction_batches, read_batches
from compete.errors import ConfigError, DataError, StoreError, UserError
from compete.files.places import tars
from compete.files.places.store import PARALLEL
from compete.files.root import FOLLOW_LINKS, Files
from compete.stages.runner import run_competition
from compete.toml.read import read_toml
from compete.urls import stores
from store_server import StoreServer, serve

FAST = ("training.epochs=1", "training.workers=0")
SHARDS = ("dataset.image=train-{0..2}.tar/{id}.png", "dataset.test_image=test.tar/{id}.png")
DATASET = """name = "csv"
image = "train/{id}.png"
test_image = "test/{id}.png"
drop = ["image"]
group = "group"
sample = "sample.csv"
"""


def run(folder: Path, *overrides: str, **options: object) -> Result:
    return Result.of(run_competition(load_config(folder / "tiny.toml", [*FAST, *overrides]), **options))


@pytest.fixture
def streamed(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StoreServer]:
    """The tiny competition as a table, its files and tar shards served on loopback from another folder."""
    monkeypatch.setattr(stores, "FIRST_WAIT_S", 0.01)
    toml = tiny / "tiny.toml"
    toml.write_text(toml.read_text().replace('name = "tiny"\n\n[folds]', DATASET + "\n[folds]"))
    sample = pd.read_csv("data/sample.csv", dtype=str).assign(label="a")
    sample.to_csv("data/sample.csv", index=False)
    files = sorted((tiny / "data/train").iterdir())
    for number in range(3):
        pack(tiny / f"data/train-{number}.tar", files[number::3])
    pack(tiny / "data/test.tar", sorted((tiny / "data/test").iterdir()))
    with serve(tiny / "data") as server:
        yield server


def pack(tar: Path, files: list[Path]) -> None:
    with tarfile.open(tar, "w") as archive:
        for file in files:
            archive.add(file, arcname=file.name)


def at(server: StoreServer) -> str:
    return f"competition.root={server.url}"


def outputs(result: Result) -> tuple[bytes, object]:
    return (result.folder / "submission.csv").read_bytes(), result.scores.cv


def test_a_run_gives_the_same_results_wherever_its_images_are(tiny, streamed):
    expected = outputs(run(tiny))
    served = {file.read_bytes() for file in (tiny / "data").rglob("*.*g") if file.is_file()}
    for overrides in ((), SHARDS, ("images.cache=false",), (*SHARDS, "images.cache=false", "training.workers=2")):
        assert outputs(run(tiny, at(streamed), *overrides, fresh=True)) == expected
    kept = [file for file in (tiny / ".compete").rglob("*") if file.is_file()]
    assert kept and not [file for file in kept if file.read_bytes() in served]  # no copy of an image


def test_tar_shards_are_known_by_content_on_a_disk_and_in_a_store(tiny, streamed):
    here = run(tiny, *SHARDS)
    there = run(tiny, *SHARDS, at(streamed))
    assert there.folder == here.folder  # the same data: nothing is trained again


def test_with_a_cache_each_image_is_fetched_once(tiny, streamed):
    run(tiny, at(streamed), "training.epochs=3")
    first = {path: count for path, count in streamed.asked.items() if path.endswith(".png") and path.startswith("GET")}
    tried = set(sorted(first, key=lambda path: -first[path])[:15])  # some are tried before all are read
    assert len(first) == 31 and all(count == 1 for path, count in first.items() if path not in tried)
    assert max(first.values()) <= 3
    streamed.asked.clear()
    run(tiny, at(streamed), "training.epochs=3", fresh=True)
    assert sum(count for path, count in streamed.asked.items() if path.startswith("GET") and ".png" in path) <= 16


def test_missing_and_damaged_images_read_as_those_of_a_disk_do(tiny, streamed):
    (tiny / "data/train/p03_1.png").write_bytes(b"<html>")
    found = []
    for overrides in ((), (at(streamed),), (at(streamed), "images.cache=false")):
        with pytest.raises(DataError) as error:
            run(tiny, *overrides)
        found.append(str(error.value))
    assert found[0] == found[1] == found[2] and "train/p03_1.png" in found[0]
    (tiny / "data/train/p03_1.png").unlink()
    for overrides in ((), (at(streamed),)):
        with pytest.raises(DataError, match=r"1 of 24 train.csv rows have no image .* Missing: train/p03_1.png"):
            run(tiny, *overrides)
    kept = run(tiny, at(streamed), "dataset.missing_images=skip")
    assert kept.scores.cv.mean > 0


def test_a_changed_image_is_other_data(tiny, streamed):
    first = run(tiny, at(streamed))
    assert run(tiny, at(streamed)).folder == first.folder
    Picture.fromarray(np.full((8, 8, 3), 200, np.uint8)).save(tiny / "data/train/p03_1.png")
    assert run(tiny, at(streamed)).folder != first.folder


def test_a_store_that_fails_in_training_stops_the_run_which_resumes(tiny, streamed):
    options = (at(streamed), "images.cache=false", "training.epochs=3", "training.only_folds=[0]")
    expected = outputs(run(tiny, *options))
    streamed.answered = 0
    run(tiny, *options, fresh=True)
    streamed.answered, streamed.most_answers = 0, streamed.answered - 30  # in the last epoch of three
    with pytest.raises(StoreError, match=r"p\d\d_\d.png: the store cannot be read"):
        run(tiny, *options, "competition.name=again")
    streamed.most_answers = None
    done = run(tiny, *options, "competition.name=again")
    assert outputs(done) == expected and done.folder.name == "run-001"


@pytest.mark.parametrize(
    ("root", "message"),
    [
        ("s33://bucket", "unknown scheme 's33://'. Did you mean 's3://'?"),
        ("https://me:secret@host/data", "https://host/data.*a user or password in a URL"),
        ("https://host/data?token=secret", "a query or fragment"),
    ],
)
def test_a_wrong_url_is_found_by_validate(tiny, root, message):
    with pytest.raises(ConfigError, match=message) as error:
        load_config(tiny / "tiny.toml", [f"competition.root={root}", "dataset.name=folder"])
    assert "secret" not in str(error.value)


def test_a_dataset_that_reads_folders_only_says_so(tiny):
    with pytest.raises(
        ConfigError, match=r'name = "tiny" reads folders of a disk. Those that read a URL: coco, csv, folder'
    ):
        load_config(tiny / "tiny.toml", ["competition.root=s3://bucket/data"])


def test_tables_stay_on_the_disk_while_images_are_in_a_store(tiny, streamed, monkeypatch):
    expected = outputs(run(tiny))
    here = tiny / "here"
    here.mkdir()
    for name in ("train.csv", "sample.csv"):
        (here / name).write_bytes((tiny / "data" / name).read_bytes())
    for name in ("train", "test"):
        (here / f"{name}.url").write_text(f"{streamed.url}/{name}\n")
    with pytest.raises(DataError, match=f"export {FOLLOW_LINKS}=1"):
        run(tiny, "competition.root=here", fresh=True)
    monkeypatch.setenv(FOLLOW_LINKS, "1")
    assert outputs(run(tiny, "competition.root=here", fresh=True)) == expected


def test_predict_reads_a_store(tiny, streamed):
    done = run(tiny)
    expected = done.predict("data/test")
    pd.testing.assert_frame_equal(done.predict(f"{streamed.url}/test.tar"), expected)
    assert done.predict(f"{streamed.url}/test/t0.png").index.tolist() == ["t0"]
    with pytest.raises(DataError, match="lists no folders"):
        done.predict(f"{streamed.url}/test")
    with pytest.raises(UserError, match=r"`compete init` reads a folder of this machine"):
        compete.init("s3://bucket/data")


def drawn(folder: Path, count: int, side: int) -> list[str]:
    pixels = np.random.default_rng(0).integers(0, 255, (side // 8, side // 8, 3), np.uint8)
    for number in range(count):
        Picture.fromarray(np.roll(pixels, number, 0)).resize((side, side)).save(folder / f"{number}.jpg")
    return [f"{number}.jpg" for number in range(count)]


def images_of(files: Files, paths: list[str], side: int) -> ImageDataset:
    settings = Images(size=(side, side), cache=False)
    decoder = Decoder(files, {"jpg": load_plugins().registry["readers"]["jpg"].factory}, settings)
    table = pd.DataFrame({"id": paths, "image": paths})
    return ImageDataset(open_image_set(table, decoder, "", lambda *_: None).images)


def batches_of(count: int, size: int) -> EpochBatches:
    batches = EpochBatches()
    batches.batches = prediction_batches(np.arange(count), ImagesByRow(np.arange(count), count), size)
    return batches


@pytest.mark.parametrize("workers", [0, 2])
def test_no_more_images_are_in_flight_than_the_page_states(tmp_path, workers):
    size, paths = 4, drawn(tmp_path, 64, 16)
    with serve(tmp_path) as server:
        files = Files(server.url, tmp_path / "cache")
        files.present(paths)
        loader = make_loader(images_of(files, paths, 16), batches_of(64, size), workers, pin_memory=False)
        ahead, yielded = [], 0
        for batch in read_batches(loader):
            yielded += len(batch.rows)
            time.sleep(0.1)  # time enough to run ahead
            ahead.append(
                sum(count for path, count in server.asked.items() if path.startswith("GET") and path.endswith(".jpg"))
                - yielded
            )
        assert yielded == 64 and max(ahead) <= 2 * workers * size
        assert (max(ahead) > 0) == (workers > 0) and server.most_at_once > 1


PEAK = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_streaming import batches_of, images_of
from compete.data.loaders import make_loader, read_batches
from compete.files.root import Files

paths = [f"{number % 20}.jpg" for number in range(120)]
files = Files(sys.argv[1], Path(sys.argv[2]))
dataset = images_of(files, paths, 1000)
for number, batch in enumerate(read_batches(make_loader(dataset, batches_of(120, 8), 0, pin_memory=False))):
    if number in (5, 14):
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_the_memory_of_a_process_does_not_grow_with_the_images(tmp_path):
    drawn(tmp_path, 20, 1000)
    with serve(tmp_path) as server:
        command = [sys.executable, "-c", PEAK, server.url, str(tmp_path / "cache"), str(Path(__file__).parent)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    early, late = map(int, done.stdout.split())  # in MiB, after 48 and 120 images of 2.9 MiB
    assert late - early < 100  # a batch is 23; all images that were read in between, 206


def test_s3_is_read_through_fsspecs_own_configuration(tiny, streamed, monkeypatch):
    import boto3
    from fsspec.config import conf
    from moto import server as moto

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key-for-the-test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-for-the-test")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        url = "http://{}:{}".format(*server.get_host_and_port())
        monkeypatch.setitem(conf, "s3", {"endpoint_url": url})
        client = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
        client.create_bucket(Bucket="bucket")
        for file in (tiny / "data").rglob("*.*"):
            client.put_object(Bucket="bucket", Key=f"data/{file.relative_to(tiny / 'data')}", Body=file.read_bytes())
        expected = outputs(run(tiny))
        root = "competition.root=s3://bucket/data"
        assert outputs(run(tiny, root, "training.workers=1", "images.cache=false", fresh=True)) == expected
        files = Files("s3://bucket/data")
        assert files.read("train-{0..2}.tar/p00_0.png") == files.read("train/p00_0.png")
        with pytest.raises(DataError, match=r"^s3://none/data: no such bucket or folder"):
            run(tiny, "competition.root=s3://none/data")
        assert files.marks(["train/p00_0.png"])[0].startswith("md5:")
    finally:
        server.stop()


PAGE = (Path(__file__).parents[1] / "docs/streaming.md").read_text()


def test_the_page_is_valid_and_its_snippet_writes_the_shards_it_names(tiny, streamed):
    written = read_toml(tiny / "tiny.toml")[0]
    first, shards = (tomllib.loads(text) for text in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL))
    for block in (first, {**first, **shards}):
        assert check_config({**written, **block}).competition.root == "s3://bucket/leaves"
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    expected = outputs(run(tiny))
    exec(compile(snippet, "docs/streaming.md", "exec"))
    images = "dataset.image=" + shards["dataset"]["image"].replace("099", "003").replace("jpg", "png")
    tests = "dataset.test_image=" + shards["dataset"]["test_image"].replace("jpg", "png")
    assert outputs(run(tiny, at(streamed), images, tests, fresh=True)) == expected
    settings = re.findall(r"^\$ export FSSPEC_S3='(.*)'$", PAGE, re.MULTILINE)
    assert len(settings) == 2 and all(json.loads(text) for text in settings)


def test_the_page_states_the_numbers_of_the_code():
    assert f"fetch {PARALLEL} images at once" in PAGE and f"tried {stores.TRIES} times" in PAGE
    assert f"blocks\nof {tars.BLOCK_BYTES >> 20} MiB" in PAGE
    for scheme, package in stores.PACKAGES.items():
        assert f"pip install {package}`" in PAGE or scheme not in ("s3", "gs", "https")


def test_an_ending_that_only_a_listing_could_tell_is_asked_for(tiny, streamed):
    with pytest.raises(DataError, match=r"write the ending instead of '\.\*'"):
        run(tiny, at(streamed), "dataset.image=train/{id}.*")
