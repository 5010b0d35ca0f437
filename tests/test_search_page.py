"""docs/search.md: its TOML can be searched, and its commands have these options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import typer

from compete.cli import app
from compete.config.load import load_config
from compete.search.space import read_space

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/search.md").read_text()


def test_its_space_suits_the_mask_competition(tmp_path):
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.S)
    path = tmp_path / "mask.toml"
    path.write_text((ROOT / "competitions/mask.toml").read_text() + "\n" + text)
    keys = [parameter.key for parameter in read_space(load_config(path))]
    assert keys == ["optimizer.lr", "training.batch_size", "images.size", "loss", "tta"]


def test_its_commands_are_read_as_they_are_written():
    commands = typer.main.get_command(app)
    lines = re.findall(r"^\$ compete (\w+) (.*)$", PAGE, re.M)
    assert len(lines) == 4
    for name, rest in lines:
        command = commands.get_command(None, name)
        assert command.make_context(name, shlex.split(rest)).params
