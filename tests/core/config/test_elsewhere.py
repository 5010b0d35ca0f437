"""What other frameworks call a collate function or a stream gets the sentence where it lives here."""

from __future__ import annotations

import pytest

from compete.config.load import load_config
from compete.config.settings import COLLATE, STREAMS
from compete.errors import ConfigError, PluginError, UserError
from compete.stages.prepare import read_tables

STREAM = """
from torch.utils.data import DataLoader, Dataset, IterableDataset
from compete import hookimpl

class Stream(IterableDataset):
    def __iter__(self):
        return iter(())

def stream(root): return Stream()
def loader(root): return DataLoader([1])
def samples(root): return ((image, 0) for image in ())

@hookimpl
def register_datasets(): return {"stream": stream, "loader": loader, "samples": samples}
"""
HOOK = """
from compete import hookimpl
@hookimpl
def NAME(): return {}
"""


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("training.collate_fn=pad", COLLATE),
        ("dataset.collate_fn=pad", COLLATE),
        ("collate.name=pad", COLLATE),
        ("dataloader.workers=3", STREAMS),
        ("dataset.iterable=true", STREAMS),
        ("training.streaming=true", STREAMS),
    ],
)
def test_a_toml_is_told_where_it_lives(tiny, override, sentence):
    with pytest.raises(ConfigError) as caught:
        load_config(tiny / "tiny.toml", [override])
    (problem,) = caught.value.problems
    assert sentence[1:] in problem


@pytest.mark.parametrize(
    ("hook", "sentence"),
    [("register_collates", COLLATE), ("register_collate_fn", COLLATE), ("register_iterable_datasets", STREAMS)],
)
def test_a_plugin_s_hook_is_told_where_it_lives(tiny, hook, sentence):
    (tiny / "other.py").write_text(HOOK.replace("NAME", hook))
    with pytest.raises(ConfigError) as caught:
        load_config(tiny / "tiny.toml", ['plugins=["tiny_plugin.py", "other.py"]'])
    assert f"unknown hook '{hook}'" in str(caught.value) and sentence[1:] in str(caught.value)


@pytest.mark.parametrize(("name", "kind"), [("stream", "Stream"), ("loader", "DataLoader"), ("samples", "generator")])
def test_a_dataset_that_streams_is_told_why_not(tiny, name, kind):
    (tiny / "other.py").write_text(STREAM)
    sets = ['plugins=["tiny_plugin.py", "other.py"]', f"dataset.name={name}"]
    with pytest.raises(PluginError) as caught:
        read_tables(load_config(tiny / "tiny.toml", sets))
    assert str(caught.value) == f"plugin other.py: the dataset '{name}' returned {kind}: {STREAMS}."


def test_other_names_still_get_the_nearest(tiny):
    with pytest.raises(ConfigError, match="Did you mean 'epochs'"):
        load_config(tiny / "tiny.toml", ["training.epoch=1"])


def test_python_gives_no_torch_dataset_to_a_run():
    import compete

    with pytest.raises(UserError, match="list: give a TOML, a dict or a folder"):
        compete.validate([1, 2])
