"""What a platform's functions return and raise is safe to print and to store."""

from __future__ import annotations

from pathlib import Path

import pytest

from compete.leaderboard.platform import AccessError, PlatformError, Quota, Receipt, Status, UnreachableError, Uploader
from compete.leaderboard.setup import _opened

STEERING = "\x1b[2J\x1b]0;owned\x07\r\nerror: faked"
TEXT = f"no: my-token-123 {STEERING}"
SAFE = "no: ***  [2J ]0;owned   error: faked"


@pytest.fixture(autouse=True)
def token(monkeypatch):
    monkeypatch.setenv("SOME_TOKEN", "my-token-123")


def fail(error: Exception) -> None:
    raise error


def uploader(**functions: object) -> Uploader:
    return Uploader("Fake", "fish", **{"create": lambda *_: Receipt(TEXT, (TEXT,)), **functions})  # type: ignore[arg-type]


def test_answers_are_clean():
    asked = uploader(
        status=lambda _: Status("error", 0.5, None, TEXT), quota=lambda: Quota(1, TEXT), find=lambda _: Receipt("7"),
        download=lambda folder, _: folder / "a.zip",
    )  # fmt: skip
    with _opened(lambda: asked) as safe:
        assert safe.create(Path("a"), "m", {}) == Receipt(SAFE, (SAFE,))
        assert safe.status("7") == Status("error", 0.5, None, SAFE)
        assert safe.quota() == Quota(1, SAFE) and safe.find("m") == Receipt("7")
        assert safe.download(Path("d"), lambda _: None) == Path("d/a.zip")
        assert safe.check is None and safe.send is None


@pytest.mark.parametrize("kind", [PlatformError, AccessError, UnreachableError, ValueError])
def test_errors_are_clean(kind):
    with _opened(lambda: uploader(check=lambda: fail(kind(TEXT)))) as safe, pytest.raises(kind) as caught:
        safe.check()
    assert str(caught.value).startswith("no: *** ")
    assert not any(character in str(caught.value) for character in ("\x1b", "\x07", "\n", "my-token"))


def test_an_answer_without_end_is_cut():
    with _opened(lambda: uploader(create=lambda *_: Receipt("7", ("x" * 10_000_000,)))) as safe:
        assert len(safe.create(Path("a"), "m", {}).notes[0]) == 2000
