"""`compete weights`: what is fetched, what is here, what is copied, and what cannot be had."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from compete.catalog.weights import weights_lines
from compete.config.load import Variant, check_config
from compete.config.options import BoundComponent
from compete.config.registry import Component, Weights, component
from compete.errors import CompeteError, UserError

DATA = {
    "competition": {"name": "x", "root": "no/such/folder"},
    "dataset": {"name": "folder"},
    "metric": {"name": "accuracy"},
    "model": {"name": "resnet9"},
}


def bound(kind: str, *needed: Weights) -> BoundComponent:
    @component(weights=lambda **_: needed)
    def factory(*_: object) -> None: ...

    return BoundComponent(Component(kind, "mine", factory, "test"), {})


def config_of(model: tuple[Weights, ...], head: tuple[Weights, ...] = (), overrides: tuple[str, ...] = ()):
    config = check_config(DATA, path=Path("my.toml"))
    components = {**config.components, "models": (bound("models", *model),), "heads": (bound("heads", *head),)}
    return replace(config, components=components, overrides=overrides)


def remote(name: str, place: Path, data: bytes = b"data") -> Weights:
    def deliver(_progress: object) -> Path:
        place.write_bytes(data)
        return place

    here = place if place.exists() else None
    return Weights(name, "https://hub/" + name, f"{name}.pth", here, lambda: len(data), deliver)


def lines(config, to: Path | None = None) -> list[str]:
    return list(weights_lines(config, to, lambda *_: None))


def test_all_that_a_toml_needs_is_fetched_once_heads_too(tmp_path):
    def config():
        needed = remote("body", tmp_path / "b", b"b" * 1_500_000)
        return config_of((needed,), (remote("head", tmp_path / "h"),))

    assert lines(config()) == [
        "body: fetching 1.5 MB from https://hub/body",
        f"body: fetched, kept in {tmp_path / 'b'}",
        "head: fetching 0.0 MB from https://hub/head",
        f"head: fetched, kept in {tmp_path / 'h'}",
    ]
    assert lines(config()) == [
        f"body: already here, 1.5 MB: {tmp_path / 'b'}",
        f"head: already here, 0.0 MB: {tmp_path / 'h'}",
    ]


def test_copies_for_a_notebook_say_how_they_are_used(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = config_of((remote("body", tmp_path / "b"),), (remote("head", tmp_path / "h"),), ("images.size=[9, 9]",))
    *_, last = lines(config, Path("off line"))
    assert last == (
        'without a network, take off line along: compete run my.toml --set "images.size=[9, 9]" --set '
        '"model.weights=off line/body.pth" --set "head.weights=off line/head.pth"'
    )
    assert Path("off line/body.pth").read_bytes() == b"data"
    assert "off line/body.pth: already here" in lines(config, Path("off line"))
    with pytest.raises(CompeteError, match=r"--to .*body.pth.?: a file, not a folder"):
        lines(config, Path("off line/body.pth"))
    Path("off line/body.pth").write_bytes(b"mine")
    with pytest.raises(CompeteError, match=r"off line/body.pth: another file has this name"):
        lines(config, Path("off line"))
    assert Path("off line/body.pth").read_bytes() == b"mine"


def test_what_cannot_be_had_is_named_after_what_can(tmp_path):
    def refused() -> int:
        raise OSError("[Errno -2] Name or service not known")

    gone = [Weights(f"gone{n}", "https://hub", "g.pth", None, refused) for n in (1, 2)]
    found = []
    with pytest.raises(CompeteError) as raised:
        found += weights_lines(config_of((gone[0], remote("body", tmp_path / "b"), gone[1])), None, lambda *_: None)
    assert (tmp_path / "b").exists()
    assert str(raised.value).splitlines() == [
        f"gone{n}: cannot be fetched from https://hub: Name or service not known" for n in (1, 2)
    ]


def test_a_damaged_file_is_named(tmp_path):
    file = tmp_path / "w.pth"
    file.write_bytes(b"data")
    good = Weights("w", "s", "w.pth", file, digest=sha256(b"data").hexdigest()[:8])
    assert lines(config_of((good,))) == [f"w: already here, 0.0 MB: {file}"]
    file.write_bytes(b"dita")
    with pytest.raises(CompeteError, match=r"w.pth: damaged: its SHA-256 is wrong. Remove it"):
        lines(config_of((good,)))


def test_a_toml_without_trained_weights_says_so():
    assert lines(check_config(DATA, path=Path("my.toml"))) == [
        'my.toml: [model] name = "resnet9" asks for no trained weights: nothing to fetch'
    ]
    config = config_of(())
    silent = replace(config.one("models"), component=Component("models", "own", lambda outputs, channels: None, "test"))
    config = replace(config, components={**config.components, "models": (silent,)})
    (line,) = lines(config)
    assert line.endswith('name = "own" does not say which trained weights it needs; it may fetch some when it is built')


def test_errors_of_the_user_keep_their_status(tmp_path):
    assert issubclass(UserError, CompeteError)


def test_the_weights_of_every_variant_are_fetched_once(tmp_path):
    each = [(remote("small", tmp_path / "s"),), (remote("large", tmp_path / "l"),), (remote("small", tmp_path / "s"),)]
    variants = tuple(Variant(str(n), {}, config_of(needed)) for n, needed in enumerate(each))
    base = replace(config_of((remote("unused", tmp_path / "u"),)), variants=variants)
    found = lines(base, tmp_path / "to")
    assert [line.split(":")[0] for line in found if "fetching" in line] == ["small", "large"]
    assert "set in each of [[variants]] what it starts from" in found[-1] and not (tmp_path / "u").exists()
