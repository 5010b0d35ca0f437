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


@pytest.fixture
def trained(tiny):
    """A TOML with a pretrained network; nothing is fetched to advise."""
    text = (tiny / "tiny.toml").read_text()
    model = 'name = "timm"\nbackbone = "resnet10t"\npretrained = true'
    (tiny / "tiny.toml").write_text(text.replace('name = "brightness"', model))
    return tiny


@pytest.mark.parametrize("similar", [None, True, False])
def test_the_lines_are_valid_as_pasted_and_so_are_the_overrides(trained, similar):
    tiny = trained
    lines = list(advice_lines(tiny / "tiny.toml", similar))
    text = (tiny / "tiny.toml").read_text()
    (tiny / "pasted.toml").write_text(f"{text}\n{pasted(lines)}\n")
    wanted = load_config(tiny / "pasted.toml").finetune
    overrides = shlex.split(lines[-1].partition(": ")[2])
    assert overrides[:3] == ["compete", "run", str(tiny / "tiny.toml")]
    given = load_config(tiny / "tiny.toml", overrides[4::2]).finetune
    assert (given.freeze, given.backbone_lr_ratio) == (wanted.freeze or "none", wanted.backbone_lr_ratio)
    assert tomllib.loads(pasted(lines))["finetune"]
    again = list(advice_lines(tiny / "pasted.toml", similar))
    assert any("nothing to change" in line for line in again)


def test_a_folder_gets_the_advice_that_init_writes_for_it(tiny, monkeypatch):
    from compete.advice.facts import Weights

    monkeypatch.setattr("compete.advice.find_weights", lambda _timm, name, _ask: Weights(name, "cache"))
    draft = write_toml(tiny / "data", tiny / "draft.toml")
    said = tomllib.loads(pasted(list(advice_lines(tiny / "data", None))))
    assert tomllib.loads(draft.path.read_text())["finetune"] == said["finetune"]


def test_a_network_from_scratch_is_said_and_the_user_s_word_is_repeated(tiny):
    text = "\n".join(advice_lines(tiny / "tiny.toml", False))
    assert "starts from scratch" in text and "unlike ImageNet's photographs: as you say" in text
    assert "[finetune]" not in text and "compete run" not in text  # a frozen network from scratch learns nothing
    assert re.search(r"\d+ training rows, 3 classes, \d+ images a class \(\d+ to \d+\)", text)


def test_the_marked_row_of_the_table_says_what_the_lines_to_paste_do(trained):
    lines = list(advice_lines(trained / "tiny.toml", True))
    [marked] = [line for line in lines if line.startswith("->")]
    assert "backbone frozen" in marked and 'freeze = "backbone"' in lines


def test_a_folder_s_missing_toml_is_said_with_the_command_that_writes_it(tiny, monkeypatch):
    monkeypatch.chdir(tiny)
    assert "data.toml is not there yet: `compete init data` writes it." in list(advice_lines(Path("data"), None))


def test_what_cannot_be_read_is_refused_in_a_sentence(tiny):
    (tiny / "empty").mkdir()
    with pytest.raises(CompeteError, match=r"is empty|holds no image"):
        list(advice_lines(tiny / "empty", None))
    command = [sys.executable, "-m", "compete", "advise"]
    for arguments, message in ((["nowhere"], "nowhere: no such file"), (["tiny.toml", "--similar", "maybe"], "maybe")):
        done = subprocess.run([*command, *arguments], cwd=tiny, capture_output=True, text=True)
        assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
    assert not Path(tiny / "submissions").exists()
