"""`compete new`: copies that run, and plugins of every kind that load, validate and pass their own test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from compete.catalog.new_files import copy_toml, explanation, kind_of, write_plugin
from compete.config.load import load_config
from compete.config.plugins import load_plugins
from compete.config.registry import find, kinds, singular
from compete.errors import UserError
from compete.text import format_list
from compete.toml.gallery import gallery
from compete.toml.slots import SLOTS


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def naming(kind: str, name: str) -> list[str]:
    """Return the overrides that put a component into the mask competition's TOML, as `compete new` says."""
    listed = f'plugins=["{name}.py"]'
    if kind == "readers":
        return [listed, f"images.reader={name}"]
    table = SLOTS[kind].table
    return [listed, f'{table}=[{{name="{name}"}}]' if SLOTS[kind].repeats else f"{table}.name={name}"]


def test_every_kind_loads_validates_and_passes_its_own_test(here):
    for kind in kinds():
        name = f"my_{singular(kind)}"
        lines = write_plugin(singular(kind), None)
        assert lines[0].startswith(f"{name}.py: a ")
        component = find(load_plugins([Path(f"{name}.py")]).registry, kind, name)
        assert component.summary, kind
        if kind == "demos":
            assert f"compete demo {name}" in lines[-1]
            continue
        config = load_config(Path("mask"), naming(kind, name))
        assert kind == "readers" or name in [bound.name for bound in config.many(kind)]
        assert f'"{name}"' in lines[-1]
    # The tests as the user would run them; `-p no:cacheprovider` leaves no folder behind.
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list(here.glob("test_*.py"))) == len(kinds())


def test_the_contract_is_the_hook_s_own():
    write_plugin("loss", Path("focus.py"))
    text = Path("focus.py").read_text()
    assert "`(targets: tensor) -> (logits, targets) -> scalar tensor`" in text
    assert 'return {"focus": focus}' in text and "my_component" not in text + Path("test_focus.py").read_text()


@pytest.mark.parametrize("given", ["loss", "losses", "[loss]"])
def test_a_kind_by_any_of_its_names(given):
    assert kind_of(given) == "losses"


@pytest.mark.parametrize("name", ["my-loss.py", "class.py", "2nd.py"])
def test_a_name_that_cannot_be_imported_is_refused(here, name):
    with pytest.raises(UserError, match="must be a Python name"):
        write_plugin("loss", Path(name))
    assert not list(here.iterdir())


def test_an_unknown_kind_names_the_nearest():
    with pytest.raises(UserError, match="Did you mean 'metric'"):
        write_plugin("metrik", None)


@pytest.mark.parametrize("existing", ["my_loss.py", "test_my_loss.py"])
def test_a_plugin_overwrites_neither_file(here, existing):
    Path(existing).write_text("mine")
    with pytest.raises(UserError, match=f"{existing} is there already"):
        write_plugin("loss", None)
    assert [path.read_text() for path in here.iterdir()] == ["mine"]


def test_a_copy_is_the_gallery_s_and_overwrites_nothing():
    assert copy_toml("mask", None)[-1] == "next: edit it, then compete run mask.toml"
    assert Path("mask.toml").read_text() == gallery()["mask"].read_text()
    Path("mask.toml").write_text("mine")
    with pytest.raises(UserError, match="is there already"):
        copy_toml("mask.toml", None)
    copy_toml("mask", Path("folder/mine"))
    assert Path("mask.toml").read_text() == "mine" and Path("folder/mine.toml").is_file()


def test_an_unknown_competition_names_the_nearest():
    with pytest.raises(UserError, match="Did you mean 'cassava-leaf-disease-classification'"):
        copy_toml("casava-leaf-disease", None)


def test_the_explanation_names_every_kind():
    assert all(singular(kind) in " ".join(explanation()) for kind in kinds())
    assert "more" not in format_list(kinds(), most=40)
