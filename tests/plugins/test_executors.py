"""Where members are trained."""

from __future__ import annotations

import pytest

from compete import ConfigError, Member, MemberResult
from compete_plugins.executors import register_executors


def test_local_trains_each_member_once_and_in_order():
    members = [Member(fold, seed) for seed in (0, 1) for fold in (0, 1)]
    trained = []

    def train(member):
        trained.append(member)
        return MemberResult(member, score=len(trained), best_epoch=1)

    results = register_executors()["local"](members, train)
    assert trained == members
    assert [(result.member, result.score) for result in results] == list(zip(members, [1, 2, 3, 4], strict=True))


def test_local_stops_at_a_failure():
    def train(member):
        raise ValueError(member.name)

    with pytest.raises(ValueError, match="fold0-seed7"):
        register_executors()["local"]([Member(0, 7), Member(1, 7)], train)


def test_gpus_are_shared_out_as_the_environment_names_them(monkeypatch):
    from compete_plugins.executors._processes import _devices

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7,9")
    assert _devices("cuda", 1) == ["4", "5", "6", "7", "9"]
    assert _devices("cuda", 2) == ["4,5", "6,7"]
    assert (_devices("cpu", 1), _devices("mps", 1)) == ([], [""])
    with pytest.raises(ConfigError, match=r"\[training\] devices = 6: this machine has 5 GPUs"):
        _devices("cuda", 6)
