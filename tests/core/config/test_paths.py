"""Every path that a TOML names may start with `~` or hold an environment variable."""

from __future__ import annotations

from pathlib import Path

import pytest

from compete.config.load import load_config
from compete.errors import ConfigError


@pytest.fixture
def home(tiny, monkeypatch):
    """A home folder with a plugin file and weights in it."""
    monkeypatch.setenv("HOME", str(tiny))
    monkeypatch.setenv("DISK", str(tiny))
    (tiny / "weights.pth").write_bytes(b"weights")
    (tiny / "tiny.toml").write_text((tiny / "tiny.toml").read_text().replace("tiny_plugin.py", "~/tiny_plugin.py"))
    return tiny


def test_root_cache_plugins_and_a_component_s_files(home):
    overrides = [
        "competition.root=~/data",
        "images.cache_dir=$DISK/cache",
        "model.name=timm",
        "model.weights=${DISK}/weights.pth",
    ]
    config = load_config(Path("tiny.toml"), overrides)
    assert config.competition.root == f"{home}/data"
    assert config.images.cache_dir == f"{home}/cache"
    assert config.plugin_files == (home / "tiny_plugin.py",)
    assert config.one("models").options["weights"] == f"{home}/weights.pth"
    assert config.one("models").files == (home / "weights.pth",)  # whose content counts


def test_variables_that_are_not_set_are_all_named(home):
    text = (home / "tiny.toml").read_text().replace('"data"', '"$NOWHERE/data"').replace("~/tiny", "$NO/tiny")
    (home / "tiny.toml").write_text(text)
    with pytest.raises(ConfigError) as refused:
        load_config(Path("tiny.toml"))
    assert 'plugins "$NO/tiny_plugin.py": the environment variable $NO is not set' in str(refused.value)
    assert '[competition] root = "$NOWHERE/data": the environment variable $NOWHERE is not set' in str(refused.value)
