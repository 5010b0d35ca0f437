"""A component's signature is the schema of its TOML table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, get_args, get_origin

import pytest
from pydantic import Field

from compete.config.load import load_config
from compete.config.options import bind, list_options, options_model
from compete.config.plugins import load_plugins
from compete.config.registry import Component, component
from compete.config.settings import CORE_TABLES
from compete.errors import ConfigError, PluginError


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
        ({"gamma": "3e-4"}, '[loss] gamma = "3e-4": must be a number >= 0. Write gamma = 0.0003.'),
        ({"gamma": True}, "[loss] gamma = true: must be a number >= 0."),
        ({"gamma": -1}, "[loss] gamma = -1: must be a number >= 0."),
        ({"size": [1, "2"]}, '[loss] size = [1, "2"]: must be a list of 2 integers, but size.1 is "2".'),
        ({"size": [1]}, "[loss] size = [1]: must be a list of 2 integers."),
        ({"size": 1}, "[loss] size = 1: must be a list of 2 integers. Write size = [1, 1]."),
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


def numbers_in(annotation, metadata=()):
    """Yield (type, limits) of every number in a type; class names may be integers of any size."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from numbers_in(inner[0], (*metadata, *(i for f in inner[1:] for i in getattr(f, "metadata", [f]))))
    elif annotation in (int, float):
        yield annotation, {name for item in metadata for name in ("ge", "gt", "le", "lt") if hasattr(item, name)}
    elif origin is not Literal and str not in inner:
        for part in inner:
            yield from numbers_in(part)


def all_options():
    registry = load_plugins().registry
    for kind, components in ((kind, registry[kind]) for kind in registry if kind != "readers"):  # theirs are [images]
        for each in components.values():
            yield from ((f"{kind} {each.name}: {o}", f) for o, f in options_model(each).model_fields.items())
    for table, model in CORE_TABLES.items():
        yield from ((f"[{table}] {key}", field) for key, field in model.model_fields.items())


def test_every_number_of_every_option_has_limits_on_both_sides():
    """A new option without them would take 10 ** 30 epochs, or a rate of 1e-300 that trains nothing."""
    found = [(where, *number) for where, f in all_options() for number in numbers_in(f.annotation, f.metadata)]
    assert len(found) > 120
    assert [where for where, _, limits in found if not (limits & {"ge", "gt"} and limits & {"le", "lt"})] == []


@pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
@pytest.mark.parametrize(
    ("override", "where"),
    [
        ("optimizer.lr={}", "[optimizer] lr = {}: must be finite"),
        ("optimizer.betas=[0.9, {}]", "[optimizer] betas = [0.9, {}]: must be finite, but betas.1 is"),
        ("images.std=[{}, 1, 1]", "[images] std = [{}, 1, 1]: must be finite, but std.0 is"),
        (
            'optimizer={{name="torch", optimizer="NAdam", lr=1e-3, arguments={{eps={}}}}}',
            "[optimizer] arguments.eps = ",
        ),
        ('postprocess=[{{name="clip", low={}}}]', "[[postprocess]] low = {}: must be finite"),
        ("training.checkpoint_minutes={}", "[training] checkpoint_minutes = {}: must be finite"),
    ],
)
def test_infinity_and_nan_are_refused_with_table_and_key(tiny, override, where, value):
    with pytest.raises(ConfigError) as refused:
        load_config(tiny / "tiny.toml", [override.format(value)])
    in_a_list = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}[value]
    assert where.replace("[0.9, {}]", f"[0.9, {in_a_list}]").replace("[{},", f"[{in_a_list},").format(value) in str(
        refused.value
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.eps=1e-300", "[optimizer] eps = 1e-300: must be a number, 1e-15 <= x <= 1."),
        ("optimizer.lr=1e30", "[optimizer] lr = 1e+30: must be a number, 1e-09 <= x <= 100."),
        ('batch_transforms=[{name="mixup", alpha=1e-300}]', "[[batch_transforms]] alpha = 1e-300: must be a number, 0.001"),
        ("images.std=[0, 0, 0]", "[images] std = [0, 0, 0]: must be a list of numbers, 1e-06 <= x <= 1e+06, but std.0 is 0"),
        ("model={name='resnet9', width=99999999999999999999}", "must be an integer, 1 <= x <= 1024."),
        ('sampler={name="weighted", rows=10000000000000}', "must be an integer, 1 <= x <= 100000000."),
    ],
)  # fmt: skip
def test_numbers_beyond_all_sense_are_refused(tiny, override, message):
    with pytest.raises(ConfigError) as refused:
        load_config(tiny / "tiny.toml", [override])
    assert message in str(refused.value)
