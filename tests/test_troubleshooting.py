"""Every message of docs/troubleshooting.md, produced by a user's own mistake and compared with the page."""

from __future__ import annotations

import os
import re
import socket
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compete.config.load import load_config
from compete.data.loaders import loader_processes
from compete.draft import write_toml
from compete.errors import CompeteError
from compete.files.root import Files
from compete.model.device import choose_device
from compete.model.memory import BatchSplitter
from compete.session import RunOptions
from compete.stages.prepare import read_tables
from compete.stages.run_folder import check_format, read_state
from compete.stages.runner import run_competition
from compete.store import folder_lock, write_text

PAGE = (Path(__file__).parents[1] / "docs/troubleshooting.md").read_text()
SHOWN = re.findall(r"^\| (`.+?) \|", PAGE, re.M)
QUICK = ("training.epochs=1", "folds.n=2", "training.only_folds=[0]")
TOML = Path("tiny.toml")


def run(*overrides: str, name: str | None = None, fresh: bool = False):
    return run_competition(load_config(TOML, [*QUICK, *overrides]), name, fresh, options=RunOptions(doctor=False))


def truncated_zip() -> None:
    with zipfile.ZipFile("data/more.zip", "w") as archive:
        archive.writestr("a.png", bytes(range(256)) * 40)
    data = Path("data/more.zip").read_bytes()
    Path("data/more.zip").write_bytes(data[: len(data) // 2])
    Files(Path("data")).read("more.zip/a.png")


def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_args: object, **_options: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    monkeypatch.setenv("TORCH_HOME", str(Path.cwd()))
    run("model.name=torchvision", "model.backbone=shufflenet_v2_x0_5", "model.pretrained=true")


def fill_memory(rows: int) -> str:
    said: list[str] = []

    def work(_count: int) -> None:
        if rows == 1 or not said:
            raise RuntimeError("CUDA out of memory")

    BatchSplitter(said.append).fit(work, rows)
    return said[0]


def kill_a_loader() -> None:
    with loader_processes():
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")


def without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    choose_device("cuda")


def elsewhere(*overrides: str) -> None:
    Path("other").mkdir()
    os.chdir("other")
    read_tables(load_config(Path("../tiny.toml"), ['plugins=["../tiny_plugin.py"]', *overrides]))


def folder_of(*files: str, colour: bool = False) -> Path:
    """Draw images, and write all other files."""
    for name in files:
        path = Path("photos", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".png"):
            Image.fromarray(np.full((8, 8, 3), (9, 90, 200), np.uint8)).save(path)
        else:
            path.write_bytes(b"x")
    return Path("photos")


def inside_the_data() -> None:
    os.chdir("data")
    write_toml(Path())


def outside_link() -> None:
    Path("data/link.png").symlink_to(Path("/etc/hostname"))
    Files(Path("data")).read("link.png")


def broken_toml() -> None:
    Path("broken.toml").write_text("epochs: 3\n")
    load_config(Path("broken.toml"))


def table(train: str, *options: str) -> None:
    """Read a table of two classes beside images of both."""
    folder = folder_of("1.png", "2.png")
    (folder / "train.csv").write_text(train)
    settings = {
        "dataset.name": "csv",
        "dataset.image": "{id}.png",
        "dataset.sample": "none",
        "competition.root": "photos",
    }
    config = load_config(TOML, [f"{key}={value}" for key, value in settings.items()] + list(options))
    tables = read_tables(config)
    labels = config.one("targets").build(tables.train).labels(tables.train)
    config.one("folds").build(tables.train, labels, 0)


def two_owners() -> None:
    with folder_lock(Path()), folder_lock(Path()):
        pass


def other_settings() -> str:
    run()
    return "\n".join(run("optimizer.lr=0.01").session.notes)


def other_settings_of_one_name() -> None:
    run(name="mine")
    run("optimizer.lr=0.01", name="mine")


def other_format() -> None:
    folder = run().folder
    path = folder / "run.json"
    path.write_text(re.sub(r'"format": \d+', '"format": 1', path.read_text()))
    check_format(folder, read_state(folder))


def unreadable_test_image() -> str:
    Path("data/test/t2.png").write_bytes(b"no image")
    return "\n".join(run("images.unreadable=skip").session.warnings)


def unreadable_image() -> None:
    Path("data/train/p00_0.png").write_bytes(b"no image")
    run()


def no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compete.train.trainer.joint_loss", lambda *_: lambda logits, _: logits.sum() * float("nan"))
    run()


def plain_images(value: int | None) -> str:
    for path in Path("data/train").glob("*.png"):
        pixels = np.full((8, 8, 3), value or 0, np.uint8)
        pixels[0] = value if value is not None else 9
        Image.fromarray(pixels).save(path)
    return "\n".join(run("images.cache=false").session.warnings)


def class_file_elsewhere() -> None:
    Path("data/classes.txt").write_text("a\nb\nc\n")
    load_config(TOML, ['target={name="label", classes="/etc/hostname"}'])


def name_twice() -> None:
    with warnings.catch_warnings(), zipfile.ZipFile("data/more.zip", "w") as archive:
        warnings.simplefilter("ignore")  # Python's own, of this very fault
        for text in ("one", "two"):
            archive.writestr("a.png", text)
    Files(Path("data")).read("more.zip/a.png")


def ambiguous_array() -> None:
    for path in [*Path("data/train").glob("*.png"), *Path("data/test").glob("*.png")]:
        np.save(path.with_suffix(".npy"), np.zeros((3, 8, 3), np.float32))
        path.with_suffix(".npy").rename(path)
    run("images.reader=npy")


def write_below_a_file() -> None:
    write_text(TOML / "a.txt", "")


PRODUCED = {
    "no such folder: ...": lambda _: read_tables(load_config(Path("leaf-classification"))),
    "put the data at ...": lambda _: read_tables(load_config(Path("leaf-classification"))),
    "no such file.": lambda _: load_config(Path("zzz")),
    "... of the gallery?": lambda _: load_config(Path("competitions/masc.toml")),
    "is relative to the folder where you run compete": lambda _: elsewhere(),
    "must be the folder of the data": lambda _: elsewhere("competition.root=dta"),
    "this is inside the competition's folder": lambda _: inside_the_data(),
    "a file. Name the folder that holds": lambda _: write_toml(folder_of("train.csv") / "train.csv"),
    "an archive, which is read as it is in a folder": lambda _: write_toml(folder_of("a.zip") / "a.zip"),
    "nothing gives labels": lambda _: write_toml(folder_of("cat/1.png", "cat/2.png")),
    "not valid TOML": lambda _: broken_toml(),
    "unknown option here; it belongs in": lambda _: load_config(TOML, ["training.lr=0.1"]),
    "If the column 'group' should not keep rows together": lambda _: table("id,label,group\n1,a,x\n2,b,x\n"),
    "but [images] channels = 1": lambda _: run("images.channels=1", "model.name=oracle"),
    "such links are refused": lambda _: outside_link(),
    "which no reader reads": lambda _: write_toml(folder_of("cat/1.heic", "dog/2.heic")),
    "save its sheet as CSV": lambda _: write_toml(folder_of("1.png", "2.png", "train.xlsx")),
    "is a note of Excel": lambda _: table("sep=;\nid;label\n1;a\n2;b\n"),
    "They end in": lambda _: table("id,label\n1,a\n2,b\n", "dataset.image={id}"),
    "Label these rows, or remove them": lambda _: table("id,label\n1,a\n2,\n"),
    "the environment variable ... is not set": lambda _: load_config(TOML, ["competition.root=$NO_SUCH_DISK/a"]),
    "unknown ... '...'.": lambda _: load_config(TOML, ["metric.name=macro_f2"]),
    "unknown timm backbone '...'": lambda _: load_config(TOML, ["model.name=timm", "model.backbone=resnet5O"]),
    "are in more than one fold": lambda _: run("folds.name=kfold"),
    "use fewer folds (n = ...) or stratified ones": lambda _: run("folds.n=6"),
    "the network cannot take images of shape ...": lambda _: run(
        "model.name=timm", "model.backbone=vit_tiny_patch16_224", "images.size=[8,8]"
    ),
    "its outputs are probabilities, and the losses want logits": lambda _: run("model.name=softmaxed"),
    "are not on this machine and cannot be fetched": offline,
    "cannot be read:": lambda _: unreadable_image(),
    "does not tell which axis holds the channels": lambda _: ambiguous_array(),
    "images whose pixels all have one value": lambda _: plain_images(40),
    "use a 16th of the range": lambda _: plain_images(None),
    "leads outside: a data file lies below": lambda _: class_file_elsewhere(),
    "is there twice, with different contents": lambda _: name_twice(),
    "Download it again.": lambda _: truncated_zip(),
    "torch finds no CUDA device": without_a_gpu,
    "out of memory: splitting batches of": lambda _: fill_memory(8),
    "out of memory with a single image": lambda _: fill_memory(1),
    "a loader process was killed": lambda _: kill_a_loader(),
    "became NaN or infinite": no_number,
    "cannot write ...": lambda _: write_below_a_file(),
    "is in use by": lambda _: two_owners(),
    "changed since ...": lambda _: other_settings(),
    "has a run of another configuration": lambda _: other_settings_of_one_name(),
    "was written in run format": lambda _: other_format(),
    "no readable image and got the mean prediction": lambda _: unreadable_test_image(),
}


def test_every_message_of_the_page_is_produced_below():
    assert len(SHOWN) >= 20
    assert {cell.split("`")[1] for cell in SHOWN} == PRODUCED.keys()


@pytest.mark.parametrize("cell", SHOWN)
def test_the_message_is_as_the_page_shows_it(tiny, monkeypatch, cell):
    try:
        message = PRODUCED[cell.split("`")[1]](monkeypatch)
    except CompeteError as error:
        message = str(error)
    parts = [part.strip() for text in cell.split("`")[1::2] for part in text.split("...")]
    at = 0
    for part in parts:
        assert part in message[at:], message
        at = message.index(part, at) + len(part)
