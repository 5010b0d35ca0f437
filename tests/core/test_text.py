"""Wording that several parts share."""

from __future__ import annotations

from io import BytesIO, TextIOWrapper

import pytest

from compete.text import duration, echo, without_secrets


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.13, "4.1s"), (59.96, "1m00s"), (125, "2m05s"), (3599.7, "1h00m"), (12000, "3h20m")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_what_is_printed_cannot_steer_a_terminal(capsys):
    echo("\x1b]0;owned\x07 [bold]한글[/bold] \u202e \ud800")
    assert capsys.readouterr().out == "\\x1b]0;owned\\x07 [bold]한글[/bold] \\u202e \\ud800\n"


def test_an_encoding_without_the_letters_loses_letters_only(monkeypatch):
    stream = TextIOWrapper(BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    echo("run-001 ─ 한글")
    assert stream.buffer.getvalue() == b"run-001 ? ??\n"


def test_secrets_are_masked_and_answers_are_one_line(monkeypatch):
    monkeypatch.setenv("DACON_TOKEN", "s3cret-0123456789")
    monkeypatch.setenv("SSH_KEY", "/home/me/key")
    answer = "no: s3cret-0123456789 hf_abcdefghijklmnop Bearer eyJ0.abc-def== given-one\x1b[2J\nerror: x /home/me/key"
    assert without_secrets(answer, ["given-one", ""]) == "no: *** *** Bearer *** *** [2J error: x /home/me/key"
