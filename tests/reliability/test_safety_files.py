"""A competition's folder is data: its archives and links lead nowhere else, and nothing in it is run."""

from __future__ import annotations

import csv
import gzip
import io
import lzma
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from html.parser import HTMLParser
from pathlib import Path

import pytest

from compete.errors import DataError
from compete.files.root import Files

OUTSIDE = "Archives with absolute paths, `..` or links: refused, or the link is left out; nothing is written outside"
BOMBS = "Archives and images that unpack to far more than they are: refused"
TEMPLATES = "Path templates, cells and links cannot leave the data root"
FORMULAS = "Cells that look like spreadsheet formulas stay text"
REPORT = "The report page escapes labels, ids and file names (n: pages and browsers)"
CSV = '[dataset]\nname = "csv"\nimage = "{image}"\ntest_image = "test/{id}.png"\nsample = "sample.csv"'


@pytest.fixture
def tables(tiny) -> Path:
    """The tiny competition, read by the bundled dataset `csv`."""
    toml = (tiny / "tiny.toml").read_text().replace('[dataset]\nname = "tiny"', CSV)
    (tiny / "tiny.toml").write_text(toml.replace("epochs = 2", "epochs = 1"))
    return tiny


def change_cells(path: Path, change) -> None:
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([rows[0], *(change(number, row) for number, row in enumerate(rows[1:]))])


def zipped(members: dict[str, bytes], path: Path, link: str = "") -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o120777 if name == link else 0o100644) << 16
            archive.writestr(info, data)


def tarred(members: dict[str, bytes], path: Path, link: str = "", kind: bytes = tarfile.SYMTYPE) -> None:
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            if name == link:
                info.type, info.linkname, data = kind, data.decode(), b""
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def hard_linked(members: dict[str, bytes], path: Path, link: str = "") -> None:
    tarred(members, path, link, tarfile.LNKTYPE)


PACKINGS = {"zip": zipped, "tar": tarred, "tar.gz": tarred}


@pytest.mark.promise(OUTSIDE)
@pytest.mark.parametrize("name", ["../evil.png", "/tmp/evil.png", "a/../../evil.png", "..\\evil.png", "C:\\evil.png"])
@pytest.mark.parametrize("packing", PACKINGS)
def test_members_that_lead_outside(tables, compete, packing, name):
    folder = tables / "data/train"
    members = {path.name: path.read_bytes() for path in folder.iterdir()}
    shutil.rmtree(folder)
    PACKINGS[packing]({**members, name: b"evil"}, tables / f"data/train.{packing}")
    status, text = compete("run", "tiny.toml")
    assert status == 2 and "evil.png' leads outside the archive; such an archive is refused" in text, text
    assert not [path for path in tables.parent.rglob("*") if path.is_file() and path.read_bytes() == b"evil"]


@pytest.mark.promise(OUTSIDE)
@pytest.mark.parametrize("packing", ["zip", "tar", "tar.gz", "hard.tar"])
def test_links_in_archives(tables, compete, packing):
    """The link leads to a real image: nobody would notice if it was followed."""
    folder = tables / "data/train"
    members = {path.name: path.read_bytes() for path in folder.iterdir()}
    shutil.copy(folder / "p00_0.png", tables / "secret.png")
    shutil.rmtree(folder)
    members["p00_0.png"] = str(tables / "secret.png").encode()
    pack = hard_linked if packing == "hard.tar" else PACKINGS[packing]
    pack(members, tables / f"data/train.{packing.removeprefix('hard.')}", link="p00_0.png")
    status, text = compete("run", "tiny.toml")
    assert status == 2 and "train/p00_0.png" in text and ("no image" in text or "cannot be read" in text), text


@pytest.mark.promise(OUTSIDE)
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_links_in_folders(tables, compete, kind):
    folder = tables / "data/train"
    if kind == "folder":
        folder.rename(tables / "elsewhere")
        folder.symlink_to(tables / "elsewhere")
    else:
        (folder / "p00_0.png").rename(tables / "elsewhere.png")
        (folder / "p00_0.png").symlink_to(tables / "elsewhere.png")
    status, text = compete("run", "tiny.toml")
    assert status == 2 and "outside" in text and "train" in text, text


@pytest.mark.promise(BOMBS)
@pytest.mark.parametrize("name", ["train.csv.gz", "train.csv.xz", "train.tar.gz", "train.zip", "train.7z"])
def test_archives_that_are_bombs(tmp_path, name):
    data, root = bytes(20_000_000), tmp_path / "data"
    root.mkdir()
    if name.endswith(".csv.gz"):
        (root / name).write_bytes(gzip.compress(data))
    elif name.endswith(".csv.xz"):
        (root / name).write_bytes(lzma.compress(data))
    elif name.endswith(".7z"):
        py7zr = pytest.importorskip("py7zr")
        with py7zr.SevenZipFile(root / name, "w") as archive:
            archive.writestr(data, "train.csv")
    else:
        (tarred if "tar" in name else zipped)({"train.csv": data}, root / name)
    files = Files(root, tmp_path / "cache", most_bytes=100_000)
    with pytest.raises(DataError, match=rf"{name}: .*(refused as a decompression bomb|more than 100000 are refused)"):
        files.read(f"{name}/train.csv")
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] if (tmp_path / "cache").exists() else []
    assert not left


@pytest.mark.promise(BOMBS)
def test_an_image_that_is_a_bomb(tables, compete):
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 200_000, 200_000, 8, 2, 0, 0, 0)
    pixels = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100_000))) + chunk(b"IEND", b"")
    (tables / "data/train/p00_0.png").write_bytes(b"\x89PNG\r\n\x1a\n" + pixels)
    status, text = compete("run", "tiny.toml")
    assert status == 2 and "train/p00_0.png" in text, text


@pytest.mark.promise(TEMPLATES)
@pytest.mark.parametrize(
    "cell", ["../secret.png", "/etc/hostname", "train/../../secret.png", "C:/x.png", "..\\secret.png"]
)
@pytest.mark.parametrize("where", ["cell", "template"])
def test_paths_cannot_leave_the_root(tables, compete, where, cell):
    shutil.copy(tables / "data/train/p00_0.png", tables / "secret.png")
    if where == "cell":
        change_cells(tables / "data/train.csv", lambda number, row: [row[0], cell, *row[2:]] if number == 4 else row)
        status, text = compete("run", "tiny.toml")
    else:
        status, text = compete("run", "tiny.toml", "--set", f"dataset.image='{cell}'")
    assert status == 2 and "image = " in text, text
    assert "leads outside the root" in text or ("\\" in cell and "no image" in text), text


@pytest.mark.promise(FORMULAS)
def test_formulas_are_data(tables, compete):
    """Both as labels and ids that are read, and as cells that are written."""
    labels = {"a": "=1+1", "b": '@SUM("A1")', "c": "-2+3"}
    ids = {"t0": '=HYPERLINK("http://x")', "t1": "+1", "t2": "@t", "t3": "007"}
    change_cells(tables / "data/train.csv", lambda _, row: [row[0], row[1], labels[row[2]], row[3]])
    change_cells(tables / "data/sample.csv", lambda _, row: [ids.get(row[0], row[0]), row[1]])
    for old, new in ids.items():
        if "/" not in new:
            (tables / f"data/test/{old}.png").rename(tables / f"data/test/{new}.png")
    (tables / 'data/test/=HYPERLINK("http:/').mkdir(parents=True)
    (tables / "data/test/t0.png").rename(tables / 'data/test/=HYPERLINK("http:/x").png')
    status, text = compete("run", "tiny.toml")
    assert status == 0, text
    with (tables / "submissions/tiny/run-001/submission.csv").open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    assert [row[0] for row in rows] == [*ids.values(), "t4", "t5", "t6"]
    assert {row[1] for row in rows} <= set(labels.values())
    status, text = compete("validate", "tiny.toml", "--submission", "submissions/tiny/run-001/submission.csv")
    assert status == 0 and "matches the sample submission" in text


SCRIPT = "document.documentElement.setAttribute('data-run','1')"
LABELS = {
    "a": f"<script>{SCRIPT}</script>",
    "b": f'"><img src=x onerror="{SCRIPT}">',
    "c": "</style></pre></svg>'\"&<b>c",
}
NAME = f'p <img src=x onerror="{SCRIPT}">.png'


class Tags(HTMLParser):
    """Collects a page's tags and attributes, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes += attributes

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def hostile_report(tmp_path_factory, write_tiny) -> Path:
    """The report of a run with HTML in its labels, ids, file names and title."""
    folder = tmp_path_factory.mktemp("hostile")
    write_tiny(folder)
    toml = (folder / "tiny.toml").read_text().replace('[dataset]\nname = "tiny"', CSV)
    toml = toml.replace('root = "data"', f"root = \"data\"\ntitle = '''{LABELS['a']}'''")
    (folder / "tiny.toml").write_text(toml.replace("epochs = 2", "epochs = 1").replace("[8, 8]", '[8, 8]\nunreadable = "skip"'))  # fmt: skip
    (folder / "data/train/p00_0.png").unlink()
    (folder / "data/train" / NAME).write_text("not an image")
    change_cells(folder / "data/train.csv", lambda _, row: [*row[:2], LABELS[row[2]], row[3]])
    first = [LABELS["b"], f"train/{NAME}"]
    change_cells(folder / "data/train.csv", lambda number, row: [*first, *row[2:]] if number == 0 else row)
    command = (sys.executable, "-c", "from compete.cli import main; main()", "run", "tiny.toml")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "submissions/tiny/run-001/report.html"


@pytest.mark.promise(REPORT)
def test_the_report_contains_no_element_from_data(hostile_report):
    page = Tags()
    page.feed(hostile_report.read_text())
    assert not {"script", "img", "b", "iframe", "object"} & page.tags
    assert not [
        (name, value) for name, value in page.attributes if name.startswith("on") or "javascript:" in (value or "")
    ]
    assert all(label in page.text for label in LABELS.values()) and NAME in page.text


@pytest.mark.promise(REPORT)
def test_a_browser_runs_nothing_from_data(hostile_report):
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium here")
    flags = ["--headless", "--disable-gpu", "--no-sandbox", "--virtual-time-budget=2000", "--dump-dom"]

    def seen(path: Path) -> str:
        home = {**os.environ, "HOME": str(path.parent)}
        done = subprocess.run([browser, *flags, path.as_uri()], capture_output=True, text=True, env=home)
        if "<html" not in done.stdout:
            pytest.skip(f"{browser} shows no page here")
        return done.stdout

    bad = hostile_report.with_name("bad.html")
    bad.write_text(f"<html><body>{LABELS['a']}{LABELS['b']}</body></html>")
    assert "data-run" in seen(bad).partition(">")[0]  # the browser shows what ran
    assert "data-run" not in seen(hostile_report).partition("<head")[0]
