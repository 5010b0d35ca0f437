"""A component's signature is the schema of its TOML table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import pytest
from pydantic import Field

from compete.config.options import bind, list_options
from compete.config.registry import Component, component
from compete.errors import PluginError


def focal(
    targets: object,
    *,
    gamma: Annotated[float, Field(ge=0)] = 2.0,
    class_weights: Literal["none", "balanced"] = "none",
    size: tuple[int, int] = (1, 2),
) -> tuple[object, float]:
    """Focal loss."""
    return targets, gamma


def registered(factory=focal):
    return Component("losses", "focal", factory, "a_plugin")


def problems(table, factory=focal):
    return [str(problem) for problem in bind(registered(factory), table, "[loss]")[1]]


def test_options_are_filled_in_and_the_rest_is_left_to_the_runner():
    bound, found = bind(registered(), {"gamma": 1}, "[loss]")
    assert not found
    assert bound.build("targets") == ("targets", 1.0)
    assert bound.options == {"gamma": 1.0, "class_weights": "none", "size": (1, 2)}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"gama": 1}, "[loss] gama: unknown option. Did you mean 'gamma'? Options: class_weights, gamma, size."),
        ({"gamma": "3e-4"}, '[loss] gamma = "3e-4": must be a number >= 0.'),
        ({"gamma": True}, "[loss] gamma = true: must be a number >= 0."),
        ({"gamma": -1}, "[loss] gamma = -1: must be a number >= 0."),
        ({"size": [1, "2"]}, '[loss] size = [1, "2"]: must be a list of 2 integers, but size.1 is "2".'),
        ({"size": [1]}, "[loss] size = [1]: must be a list of 2 integers."),
        ({"size": 1}, "[loss] size = 1: must be a list of 2 integers."),
        (
            {"class_weights": "balancd"},
            '[loss] class_weights = "balancd": must be "none" or "balanced". Did you mean \'balanced\'?',
        ),
    ],
)
def test_messages(table, message):
    assert problems(table) == [message]


def test_all_problems_come_at_once():
    assert len(problems({"gama": 1, "class_weights": 3, "size": [1]})) == 3


def test_a_toml_array_is_a_tuple():
    assert bind(registered(), {"size": [3, 4]}, "[loss]")[0].options["size"] == (3, 4)


def test_a_required_option():
    def needs(*, path: str) -> str:
        return path

    assert problems({}, needs) == ["[loss] path: is required and missing."]


def test_a_component_without_options_says_so():
    assert problems({"a": 1}, lambda: None) == ["[loss] a: unknown option. It has no options."]


def test_a_check_sees_the_values():
    def check(*, backbone: str) -> Iterator[str]:
        if backbone != "resnet18":
            yield f"unknown backbone '{backbone}'"

    @component(check=check)
    def model(outputs: int, *, backbone: str) -> str:
        return backbone

    assert problems({"backbone": "resnet81"}, model) == ["[loss]: unknown backbone 'resnet81'"]
    assert problems({"backbone": "resnet18"}, model) == []


def test_an_option_without_a_type_is_the_plugin_s_fault():
    def untyped(*, gamma=2.0):
        return gamma

    for use in (list_options, lambda untyped: bind(untyped, {}, "[loss]")):
        with pytest.raises(PluginError, match="a_plugin: losses component 'focal': option 'gamma' needs a type"):
            use(registered(untyped))


def test_options_are_listed_with_types_and_defaults():
    listed = {option.name: (option.type, option.default) for option in list_options(registered())}
    assert listed["gamma"] == ("number >= 0", "2.0")
    assert listed["size"] == ("list of 2 integers", "[1, 2]")
    assert listed["class_weights"] == ('"none" or "balanced"', '"none"')


def test_types_are_listed_alike_when_a_plugin_evaluates_its_annotations():
    def evaluated(*, share=0.5):
        return share

    evaluated.__annotations__ = {"share": Annotated[float, Field(gt=0, le=1)]}
    assert list_options(registered(evaluated))[0].type == "number, 0 < x <= 1"


@pytest.mark.parametrize(
    ("check", "message"),
    [(lambda **_: None, "its check raised"), (lambda **_: "text", "its check must yield strings"),
     (lambda **_: {}["lost"], r"its check raised KeyError\('lost'\) at .*test_options"), (lambda **_: [1], "must yield")],
)  # fmt: skip
def test_a_check_that_fails_is_the_plugin_s_mistake(check, message):
    @component(check=check)
    def mine(*, size: int = 1) -> None: ...

    with pytest.raises(PluginError, match=message):
        bind(Component("losses", "mine", mine, "mine.py"), {}, "[loss]")
