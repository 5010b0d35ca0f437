"""Components, and the traits that they declare."""

from __future__ import annotations

import pytest

from compete.config.plugins import load_plugins
from compete.config.registry import Component, Traits, component
from compete.errors import PluginError

PLUGIN = """
from compete import component, hookimpl

@component({declared})
def mine({options}):
    "Mine."

@hookimpl
def register_{kind}():
    return {{"mine": mine}}
"""


def load(tmp_path, kind, declared, options=""):
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN.format(kind=kind, declared=declared, options=options))
    return load_plugins([file]).registry[kind]["mine"]


def test_a_component_without_a_declaration_has_no_traits():
    assert Component("losses", "mine", lambda: None, "test").traits == Traits()


@pytest.mark.parametrize(
    ("kind", "trait"),
    [
        ("ensembles", "row_by_row"),
        ("postprocessors", "needs_classes"),
        ("submissions", "own_ids"),
        ("losses", "needs_cosines"),
        ("heads", "gives_cosines"),
    ],
)
def test_a_trait_is_declared_for_its_kind_only(tmp_path, kind, trait):
    assert load(tmp_path, kind, f"{trait}=True").traits == Traits(**{trait: True})
    message = f"^plugin mine.py: metrics component 'mine': the trait '{trait}' is for {kind} only$"
    with pytest.raises(PluginError, match=message):
        load(tmp_path, "metrics", f"{trait}=True")


def test_an_unknown_trait_is_refused_with_the_nearest_one_when_the_plugin_loads(tmp_path):
    message = r"mine.py .* could not be imported: TypeError.* at .*mine.py:4: .*trait 'row_by_rows'.*Did you mean 'row_by_row'\?"
    with pytest.raises(PluginError, match=message):
        load(tmp_path, "ensembles", "row_by_rows=True")


def test_options_without_weights_must_be_the_model_s_own(tmp_path):
    declared = "without_weights={'pretrained': False}"
    assert load(tmp_path, "models", declared, "*, pretrained: bool").traits.without_weights == {"pretrained": False}
    with pytest.raises(PluginError, match=r"without_weights: .*option 'pretrained'.*Did you mean 'pretrain'\?"):
        load(tmp_path, "models", declared, "*, pretrain: bool")


def test_a_second_declaration_would_undo_the_first():
    with pytest.raises(TypeError, match="the traits of mine are declared twice"):

        @component(row_by_row=True)
        @component(needs_classes=True)
        def mine() -> None: ...


@pytest.mark.parametrize("traits", [{"row_by_row": "no"}, {"own_ids": 1}, {"check": "abc"}])
def test_a_trait_of_another_type_is_refused(traits):
    with pytest.raises(TypeError, match="must be True or False, and check a function"):
        component(**traits)
