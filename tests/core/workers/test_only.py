"""Which members `--only` takes, and what it refuses."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from compete.errors import ConfigError
from compete.types import Member
from compete.workers.only import read_only

CONFIG = SimpleNamespace(variants=[SimpleNamespace(name="small"), SimpleNamespace(name="large")])
MEMBERS = [Member(fold, seed) for seed in (42, 43) for fold in (0, 1, 2)]


def test_folds_and_seeds_choose_together_and_several_add_up():
    only = read_only(["fold=0,2", "fold=1", "seed=43", "variant=small"], CONFIG)
    assert [member for member in MEMBERS if only.takes(member)] == MEMBERS[3:]
    assert only.variants == {"small"}
    assert [m for m in MEMBERS if read_only(["fold=2"], CONFIG).takes(m)] == [MEMBERS[2], MEMBERS[5]]


def test_every_problem_is_named_at_once():
    with pytest.raises(ConfigError) as caught:
        read_only(["sed=1", "fold=a,1", "variant=smal", "fold"], CONFIG)
    assert caught.value.problems == [
        "--only sed=1: unknown key 'sed'. Did you mean 'seed'? Available: fold, seed, variant. "
        "Write --only fold=0, seed=42 or variant=NAME.",
        "--only fold=a,1: 'a' must be an integer, such as fold=0.",
        "--only variant=smal: unknown variant 'smal'. Did you mean 'small'? Available: large, small.",
        "--only fold: '' must be an integer, such as fold=0.",
    ]
    with pytest.raises(ConfigError, match="the TOML has no"):
        read_only(["variant=small"], SimpleNamespace(variants=[]))
    with pytest.raises(ConfigError) as caught:
        read_only(["fold=0,7", "seed=1"], CONFIG).check(MEMBERS)
    assert caught.value.problems == [
        "--only fold=7: no member has it. There are: 0, 1, 2",
        "--only seed=1: no member has it. There are: 42, 43",
    ]
