"""What a TOML or the command line names is a regular file of bounded size; data lies below the root, or beside the TOML."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from compete.config.load import load_config
from compete.config.plugins import load_plugins
from compete.errors import ConfigError, DataError, PluginError, SubmissionError
from compete.files import safety
from compete.files.root import Files
from compete.files.safety import unusable_file
from compete.store import read_json
from compete.submission.csv_file import read_submission
from compete_plugins.datasets._tables import find_file

KINDS = {
    "device": "not a file but a device",
    "pipe": "not a file but a pipe",
    "socket": "not a file but a socket",
    "folder": "not a file but a folder",
    "process": "not a file but a window into the system",
    "link to a device": "not a file but a device",
    "empty": "the file is empty",
    "too long a name": "File name too long",
    "circle": "cannot be read",
}


@pytest.fixture(params=KINDS)
def special(request, tmp_path, monkeypatch) -> tuple[Path, str]:
    """A path that must not be read, and what it is called."""
    path = tmp_path / "special"
    match request.param:
        case "device":
            path = Path("/dev/zero")
        case "pipe":
            os.mkfifo(path)
        case "socket":
            monkeypatch.chdir(tmp_path)
            with socket.socket(socket.AF_UNIX) as made:
                made.bind("special")  # its whole path could be too long
        case "folder":
            path.mkdir()
        case "process":
            path = Path("/proc/self/environ")
        case "link to a device":
            path.symlink_to("/dev/urandom")
        case "empty":
            path.touch()
        case "too long a name":
            path = tmp_path / ("x" * 300)
        case "circle":
            path.symlink_to(path)
    return path, KINDS[request.param]


def test_nothing_is_read_but_files(special, tiny):
    path, message = special
    with pytest.raises(ConfigError, match=message):
        load_config(path)
    with pytest.raises(SubmissionError, match=message):
        read_submission(path)
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(tiny / "tiny.toml", [f'plugins=["{path}"]'])
    assert "plugins" in caught.value.problems[0]
    with pytest.raises(PluginError, match=message):
        load_plugins([path])
    for option in ("weights", "path"):
        model = {"weights": 'name="timm"', "path": 'name="file", factory="x"'}[option]
        with pytest.raises(ConfigError, match=message):
            load_config(tiny / "tiny.toml", [f'model={{{model}, {option}="{path}"}}'])


def test_sizes_are_bounded_before_anything_is_read(tmp_path, monkeypatch):
    path = tmp_path / "a.toml"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    with pytest.raises(ConfigError, match=r"a\.toml: larger than 10,000,000 bytes"):
        load_config(path)
    with path.open("wb") as file:
        file.truncate(3 << 30)
    with pytest.raises(SubmissionError, match=r"larger than 2,147,483,648 bytes"):
        read_submission(path)
    with pytest.raises(DataError, match="more than 2,147,483,648 bytes are not read at once"):
        Files(tmp_path).read("a.toml")
    assert unusable_file(path) == "" and unusable_file(path, 4 << 30) == ""
    assert Files(tmp_path).read("a.toml#5+10") == bytes(10)


CLASSES = "0\n1\n2\n"


@pytest.mark.parametrize("place", ["data/classes.txt", "classes.txt", "data/inside/link.txt"])
def test_a_class_file_lies_below_the_root_or_beside_the_toml(tiny, place):
    (tiny / "data/inside").mkdir()
    (tiny / "data/inside/real.txt").write_text(CLASSES)
    path = tiny / place
    if path.name == "link.txt":
        path.symlink_to("real.txt")
    else:
        path.write_text(CLASSES)
    load_config(tiny / "tiny.toml", [f'target={{name="label", classes="{place}"}}'])
    load_config(tiny / "tiny.toml", [f'target={{name="label", classes="{path}#column"}}'])


@pytest.mark.parametrize(
    "classes", ["/etc/passwd", "../outside.txt", "data/link.txt", "/etc/passwd#x", "data/../../outside.txt"]
)
def test_a_class_file_elsewhere_is_refused(tiny, classes):
    (tiny.parent / "outside.txt").write_text(CLASSES)
    (tiny / "data/link.txt").symlink_to(tiny.parent / "outside.txt")
    with pytest.raises(ConfigError) as caught:
        load_config(tiny / "tiny.toml", [f'target={{name="label", classes="{classes}"}}'])
    assert len(caught.value.problems) == 1
    assert f'[target] classes = "{classes}": leads outside: a data file lies below' in caught.value.problems[0]


def test_the_toml_of_a_run_finds_what_lay_beside_the_first_one(tiny):
    competitions, run = tiny / "competitions", tiny / "submissions/tiny/run-001"
    for folder in (competitions, run):
        folder.mkdir(parents=True)
        (folder / "tiny.toml").write_text((tiny / "tiny.toml").read_text())
    (competitions / "classes.txt").write_text(CLASSES)
    option = ['target={name="label", classes="competitions/classes.txt"}']
    load_config(competitions / "tiny.toml", option)
    with pytest.raises(ConfigError, match="leads outside"):
        load_config(run / "tiny.toml", option)
    (run / "environment.json").write_text('{"command": ["compete", "run", "competitions/tiny.toml"]}')
    load_config(run / "tiny.toml", option)


def test_a_list_of_classes_names_no_files(tiny):
    load_config(tiny / "tiny.toml", ['target={name="label", classes=["/etc/passwd", "../x"]}'])


def test_the_rule_is_written_in_one_place():
    assert "below the root, or beside the TOML" in (safety.__doc__ or "").replace("\n", " ")


def test_what_lies_below_the_root_and_is_no_file_is_named(tmp_path):
    (tmp_path / "train").mkdir()
    os.mkfifo(tmp_path / "train/a.png")
    (tmp_path / "sample.csv").mkdir()
    files = Files(tmp_path)
    with pytest.raises(DataError, match=r"no file 'train/a.png' below .*\. It is not a file but a pipe\.$"):
        files.read("train/a.png")
    with pytest.raises(DataError, match=r"no file 'sample.csv' below .*\. It is not a file but a folder\.$"):
        find_file(files, "sample.csv")


def test_a_pipe_in_place_of_a_state_file_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "run.json")
    assert read_json(tmp_path / "run.json") == {}
