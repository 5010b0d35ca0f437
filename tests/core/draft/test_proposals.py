"""`compete init` asks every dataset plugin: a third party's dataset is found, and what it does wrong is named."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from compete.cli import app
from compete.config.plugins import load_plugins
from compete.config.registry import Component
from compete.draft import write_toml
from compete.draft.proposals import find_source
from compete.errors import DataError, UserError
from compete.files.proposals import Basis, Choice, Excerpt, Proposal
from compete.files.scan import scan_folder
from compete.hookspecs import hookimpl
from miniatures.drawing import image, put

PLUGIN = '''
"""Images listed line by line, each with its label, its flock and its part."""

from pathlib import Path

import pandas as pd

from compete import Basis, Choice, DataError, Files, Proposal, Scan, Tables, hookimpl


def listing(root: Path, *, file: str) -> Tables:
    """Read a listing."""
    lines = Files(root).read(file).decode().splitlines()
    rows = pd.DataFrame([line.split("|") for line in lines], columns=["id", "label", "group", "part"])
    rows.insert(1, "image", rows["id"])
    train, test = (rows[rows["part"] == part].drop(columns="part").reset_index(drop=True) for part in ("train", "test"))
    test = test.drop(columns=["label", "group"])
    return Tables(train, test, test[["id"]].assign(label="0.5"))


@hookimpl
def register_datasets():
    return {"listing": listing}


@hookimpl
def propose_dataset(scan: Scan) -> Proposal | None:
    names = [name for name in scan.others if name.endswith(".lst")]
    if len(names) > 1:
        raise DataError(f"several listings: {names}")
    return Proposal("listing", (Choice("file", names[0], "the only listing"),), BASIS) if names else None
'''
JPEG = image(7)
LINES = [f"{n}.jpg|{'ab'[n % 2]}|flock {n // 4}|{'train' if n < 24 else 'test'}" for n in range(32)]
LISTED = {"birds.lst": "\n".join(LINES).encode(), **{f"{n}.jpg": JPEG for n in range(32)}}


@pytest.fixture
def plugin(tmp_path, monkeypatch) -> Path:
    """A plugin file with a dataset of its own, in the working directory."""
    monkeypatch.chdir(tmp_path)
    file = Path("listing.py")
    file.write_text(PLUGIN.replace("BASIS", '"lines list the images", Basis.TABLE'))
    return file


def test_a_plugin_s_dataset_is_found_and_its_toml_runs(plugin):
    put(Path("data/birds"), LISTED)
    done = CliRunner().invoke(app, ["init", "data/birds", "--plugin", str(plugin)])
    assert done.exit_code == 0, done.output
    assert "next: compete run birds.toml" in done.output and "rehearsed without training: 24 training" in done.output
    text = Path("birds.toml").read_text()
    assert '# lines list the images\nname = "listing"\n# the only listing\nfile = "birds.lst"\n' in text
    data = tomllib.loads(text)
    assert data["plugins"] == ["listing.py"]
    assert data["target"] == {"name": "binary", "column": "label", "positive": "b"}
    assert "6 groups stay whole" in text


def test_a_dataset_that_nearly_reads_a_folder_says_why_where_no_other_does(plugin):
    put(Path("data/birds"), LISTED | {"more.lst": b""})
    with pytest.raises(UserError, match=r"several listings: \['birds.lst', 'more.lst'\]"):
        write_toml(Path("data/birds"), plugin_files=[plugin])


def propose(tmp_path: Path, *answers: object, files: dict[str, bytes] = LISTED):
    """Choose among what plugins answer, each registered as a module of its own."""
    put(tmp_path / "birds", files)
    plugins = load_plugins()
    for number, answer in enumerate(answers):
        plugins.registry["datasets"][f"d{number}"] = Component("datasets", f"d{number}", read, "test")
        plugins.manager.register(Answering(answer), f"plugin {number}")
    return find_source(scan_folder(tmp_path / "birds", tmp_path / "cache"), plugins)


def read(root: Path, *, group: str = "", file: str = "") -> None:
    """Read nothing: these proposals bring their rows."""


class Answering:
    """A plugin that proposes one thing, or raises it."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    @hookimpl
    def propose_dataset(self, scan: object) -> object:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def rows_of(number: int, rows: int = 9, basis: Basis = Basis.TABLE) -> Proposal:
    frame = pd.DataFrame({"id": ["a"], "label": ["x"]})
    file = Choice("file", "a.lst")
    return Proposal(f"d{number}", (file,), "a list", basis, rows, Excerpt(frame, frame[["id"]], frame))


def test_the_surest_proposal_is_chosen_then_the_one_with_most_rows(tmp_path):
    source = propose(tmp_path, rows_of(0, 9, Basis.NAMES), [rows_of(1, 4), rows_of(2, 7)], None, DataError("not mine"))
    assert (source.dataset, source.rows, source.free) == ("d2", 7, {"group"})
    assert (source.why, source.todo) == ("a list; 'd1' would read 4 rows", ())


def test_equally_good_proposals_are_left_to_the_user(tmp_path):
    source = propose(tmp_path, rows_of(0), rows_of(1))
    assert source.todo == (
        "[dataset] name: 'd1' was chosen; 'd0' would read as many rows (9). Keep the one that fits.",
    )


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("csv", "plugin plugin 0: propose_dataset must return a Proposal, a list of them or None, not str"),
        (ValueError("oh"), r"plugin plugin 0: propose_dataset raised ValueError\('oh'\)"),
        (Proposal("cvs"), "unknown dataset 'cvs'. Did you mean 'csv'"),
        (Proposal("csv"), r"\[dataset\] image"),
    ],
)
def test_an_author_s_mistake_is_named(tmp_path, answer, message):
    with pytest.raises(UserError, match=message):
        propose(tmp_path, answer)


def test_a_folder_that_nobody_knows_is_refused_with_every_reason(tmp_path):
    with pytest.raises(DataError) as refused:
        propose(tmp_path, DataError("its listing is empty"), files={"a.png": JPEG})
    assert refused.value.problems[0] == "its listing is empty" and "nothing gives labels" in refused.value.problems[-1]


def test_a_proposal_that_counts_no_rows_is_counted(plugin, tmp_path):
    """The plugin's own proposal reads 24 rows and does not say so; another claims three."""
    put(tmp_path / "data/birds", LISTED)
    source = plugin.read_text().replace('"listing"', '"short"')
    Path("short.py").write_text(source.replace("Basis.TABLE)", "Basis.TABLE, rows=3)"))
    write_toml(Path("data/birds"), plugin_files=[plugin, Path("short.py")])
    text = Path("birds.toml").read_text()
    assert 'name = "listing"' in text and "'short' would read 3 rows" in text
