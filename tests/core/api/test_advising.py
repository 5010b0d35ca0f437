"""`compete advise`: the advice for a TOML and for a folder, and lines that are valid as pasted."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from compete.api.advising import advice_lines
from compete.config.load import load_config
from compete.draft import write_toml
from compete.errors import CompeteError


def pasted(lines: list[str]) -> str:
    """What lies between the empty lines around [finetune]."""
    start = lines.index("[finetune]")
    return "\n".join(lines[start : lines.index("", start)])


@pytest.mark.parametrize("similar", [None, True, False])
def test_the_lines_are_valid_as_pasted_and_so_are_the_overrides(tiny, similar):
    lines = list(advice_lines(tiny / "tiny.toml", similar))
    text = (tiny / "tiny.toml").read_text()
    (tiny / "pasted.toml").write_text(f"{text}\n{pasted(lines)}\n")
    wanted = load_config(tiny / "pasted.toml").finetune
    overrides = shlex.split(lines[-1].partition(": ")[2])
    assert overrides[:3] == ["compete", "run", str(tiny / "tiny.toml")]
    found = load_config(tiny / "tiny.toml", overrides[4::2]).finetune
    assert found.model_copy(update={"freeze": wanted.freeze}) == wanted and found.head_only == wanted.head_only
    assert tomllib.loads(pasted(lines))["finetune"]
    again = list(advice_lines(tiny / "pasted.toml", similar))
    assert any("nothing to change" in line for line in again)


def test_a_folder_gets_the_advice_that_init_writes_for_it(tiny, monkeypatch):
    from compete.advice.facts import Weights

    monkeypatch.setattr("compete.advice.find_weights", lambda name, _: Weights(name, "cache"))
    draft = write_toml(tiny / "data", tiny / "draft.toml")
    said = tomllib.loads(pasted(list(advice_lines(tiny / "data", None))))
    assert tomllib.loads(draft.path.read_text())["finetune"] == said["finetune"]


def test_a_network_from_scratch_is_said_and_the_user_s_word_is_repeated(tiny):
    text = "\n".join(advice_lines(tiny / "tiny.toml", False))
    assert "starts from scratch" in text and "unlike ImageNet's photographs: as you say" in text
    assert re.search(r"\d+ training rows, 3 classes, \d+ images a class \(\d+ to \d+\)", text)


def test_what_cannot_be_read_is_refused_in_a_sentence(tiny):
    (tiny / "empty").mkdir()
    with pytest.raises(CompeteError, match=r"is empty|holds no image"):
        list(advice_lines(tiny / "empty", None))
    command = [sys.executable, "-m", "compete", "advise"]
    for arguments, message in ((["nowhere"], "no such file or folder"), (["tiny.toml", "--similar", "maybe"], "maybe")):
        done = subprocess.run([*command, *arguments], cwd=tiny, capture_output=True, text=True)
        assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
    assert not Path(tiny / "submissions").exists()
