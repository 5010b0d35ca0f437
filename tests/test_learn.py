"""docs/learn.md: every row of the notes is there, every command works as typed, every TOML fragment is valid."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from compete.cli import app
from compete.config.load import load_config

PAGE = (Path(__file__).parents[1] / "docs/learn.md").read_text()
TABLES, WRONG, ADVICE = re.split(r"^## (?:What the notes|The seven tips).*$", PAGE, flags=re.M)
SHOWN = [*re.findall(r"`(compete [^`]+)`", PAGE), *re.findall(r"^\$ (compete .*?)(?:  #.*)?$", PAGE, re.M)]
COMMANDS = [line for line in dict.fromkeys(SHOWN) if len(line.split()) > 2 and " --" not in line[:10]]
FRAGMENTS = list(dict.fromkeys(re.findall(r"`(\[+\w+\]+ \w+ = [^`]+)`", PAGE)))
TINY = ("images.size=[24,24]", "folds.n=2", "checks.missing_class=warn", "training.workers=0")
SETTABLE = ("inspect", "doctor", "lr", "features")  # they take --set, and read the data


def rows(part: str) -> list[list[str]]:
    """Return the cells of the numbered rows."""
    lines = [line for line in part.splitlines() if re.match(r"\| \d+ \|", line)]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def test_every_row_of_the_notes_has_its_line():
    assert [int(cells[0]) for cells in rows(TABLES)] == list(range(1, 70))
    assert [int(cells[0]) for cells in rows(WRONG)] == list(range(1, 24))
    assert len(re.findall(r"^\| (?!advice|---)", ADVICE, re.M)) == 7 + 6
    assert all(len(cells) == 5 and cells[2] for cells in rows(TABLES)), "a row says nothing"


def test_there_is_something_to_try():
    assert len(COMMANDS) > 30 and len(FRAGMENTS) > 15


def test_the_cookbook_runs():
    exec(re.search(r"```python\n(.*?)```", PAGE, re.S)[1], {})


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_a_fragment_is_valid(fragment):
    brackets, table, keys = re.fullmatch(r"(\[+)(\w+)\]+ (.*)", fragment).groups()
    if brackets == "[[":
        overrides = [f"{table}=[{{{keys}}}]"]
    elif "name = " in keys:
        overrides = [f"{table}={{{keys}}}"]
    else:
        overrides = [f"{table}.{keys.replace(' = ', '=')}"]
    load_config(Path("mask"), overrides)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a small demo and one tiny run of it."""
    folder = tmp_path_factory.mktemp("learn")
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("settings.ini").write_text("[hyper_params]\nepoch = 10\nbatch_size = 64\nlr_rate = 1e-3\n")
        invoke("compete demo mask data/mask --set people=24 --set test_people=6 --set size=[32,40]")
        sets = [f"--set={value}" for value in (*TINY, "training.epochs=1", "model.width=4", "training.device=cpu")]
        invoke(shlex.join(["compete", "run", "mask", "--no-doctor", *sets]))
    return folder


def invoke(line: str, allowed: tuple[int, ...] = (0,)) -> str:
    done = CliRunner().invoke(app, shlex.split(line)[1:])
    assert done.exit_code in allowed, f"{line}: {done.output} {done.exception!r}"
    return done.output


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_works_as_typed(line, place, monkeypatch):
    monkeypatch.chdir(place)
    command, *words = shlex.split(line)[1:]
    if command in ("run", "ablate"):  # the fixture ran one
        load_config(Path(words[0]), words[2::2])
        assert words[1::2] == ["--set"] * len(words[2::2])
    elif command == "demo":
        pytest.skip("the fixture drew a smaller one")
    elif command in SETTABLE and not words[0].startswith("submissions"):
        invoke(f"{line} {' '.join(f'--set {value}' for value in TINY)}", (0, 1) if command != "inspect" else (0,))
    else:
        invoke(line)
