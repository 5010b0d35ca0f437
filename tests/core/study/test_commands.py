"""`compete inspect`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from compete.errors import DataError, UserError
from compete.study.commands import inspect


def test_the_command_prints_and_writes_tables(tiny, capsys):
    inspect(tiny / "tiny.toml", depth=1)
    out = capsys.readouterr().out
    assert "network Brightness" in out and "stem Sequential" in out and "0 Conv2d" not in out
    assert "3 deeper modules are left out" in out
    inspect(tiny / "tiny.toml", parameters=True, csv=tiny / "p.csv")
    assert pd.read_csv(tiny / "p.csv")["parameters"].sum() == 135
    with pytest.raises(UserError, match="need a TOML"):
        inspect(tiny, parameters=True)


def test_a_gallery_name_is_a_toml(tiny):
    with pytest.raises(DataError, match="no such folder: data/mask"):
        inspect(Path("mask"), parameters=True)


def test_variants_are_left_out_and_it_is_said(tiny, capsys):
    path = tiny / "several.toml"
    variants = '[[variants]]\nname = "a"\n[[variants]]\nname = "b"\nmodel.dropout = 0.5\n'
    path.write_text((tiny / "tiny.toml").read_text() + variants)
    inspect(path, depth=1)
    assert "note: [[variants]] are left out" in capsys.readouterr().out
    inspect(tiny / "tiny.toml", depth=1)
    assert "[[variants]]" not in capsys.readouterr().out
