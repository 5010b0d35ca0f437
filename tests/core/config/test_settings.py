"""The core's own tables: rules for a submission, and names that were changed."""

from __future__ import annotations

import pytest

from compete.config.load import load_config
from compete.config.settings import CORE_TABLES, RENAMED, Checks
from compete.errors import ConfigError


def test_empty_values_are_not_checked():
    rules = Checks().submission_rules()
    assert rules["allowed"] is None and rules["separator"] is None
    rules = Checks(allowed=["rust", 7], separator=" ", may_be_empty=True).submission_rules()
    assert (rules["allowed"], rules["separator"], rules["may_be_empty"]) == (["rust", 7], " ", True)


def test_renamed_keys_are_gone_and_their_new_names_exist():
    for old, new in RENAMED.items():
        table, _, key = old.partition("] ")
        if table[1:] in CORE_TABLES:
            fields = CORE_TABLES[table[1:]].model_fields
            assert new.split(" = ")[0] in fields
            assert " = " in old or key not in fields


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("images.fit=squash", '[images] fit = "squash": was renamed. Use resize = "stretch".'),
        ("images.fit=pad", "[images] fit: was renamed. Use resize."),
        ("images.resize=squash", '[images] resize = "squash": was renamed. Use resize = "stretch".'),
        ("training.accumulate=2", "[training] accumulate: was renamed. Use accumulation_steps."),
        ("training.clip_norm=1.0", "[training] clip_norm: was renamed. Use max_grad_norm."),
    ],
)
def test_an_old_name_is_answered_with_the_new_one(tiny, override, message):
    with pytest.raises(ConfigError) as caught:
        load_config(tiny / "tiny.toml", [override])
    assert caught.value.problems == [f"--set {override}: {message}"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "images.background=pink",
            'images.background=pink: [images] background = "pink": must be "white", "black", "none"',
        ),
        ('images.background="#12345"', 'or a colour such as "#80a0ff".'),
        ("images.value_range=[5,5]", "[images] value_range = [5, 5]: the first value must be below the second"),
        ("images.value_range=[0,1e300]", "-1e+30 <= x <= 1e+30"),
        ("images.value_range=[1]", "must be a list of numbers, -1e+30 <= x <= 1e+30, length 2."),
        ("images.layout=cwh", 'must be "auto", "hwc" or "chw". Did you mean \'chw\'?'),
    ],
)
def test_wrong_pixels_are_refused_when_the_toml_is_read(tiny, override, message):
    with pytest.raises(ConfigError) as caught:
        load_config(tiny / "tiny.toml", [override])
    assert message in caught.value.problems[0], caught.value.problems


def test_colours_and_ranges_are_taken(tiny):
    sets = ["images.background=#80a0FF", "images.value_range=[-1000,400.5]", "images.layout=chw"]
    images = load_config(tiny / "tiny.toml", sets).images
    assert (images.background, images.value_range, images.layout) == ("#80a0FF", [-1000, 400.5], "chw")
