"""Wording that several parts share."""

from __future__ import annotations

from io import BytesIO, TextIOWrapper

import pytest

from compete.text import duration, echo, nearest, signal_name, without_secrets


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


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("efficientnet_bo", "efficientnet_b0"),
        ("efficientnetb4", "efficientnet_b4"),
        ("efficentnet_b3", "efficientnet_b3"),
        ("effnet_b0", "efficientnet_b0"),
        ("efficientnet", "efficientnet_b0"),
        ("efficientnet_v2_s", "efficientnetv2_s"),
        ("tf_effcientnetv2_s", "tf_efficientnetv2_s"),
        ("resnet5O", "resnet50"),
        ("resent50", "resnet50"),
        ("resnet_50", "resnet50"),
        ("ResNet-18", "resnet18"),
        ("reset18", "resnet18"),
        ("resnetl8", "resnet18"),
        ("resnet", "resnet18"),
        ("wide_resnet50", "wide_resnet50_2"),
        ("convnext-tiny", "convnext_tiny"),
        ("convnxt_tiny", "convnext_tiny"),
        ("densnet121", "densenet121"),
        ("vgg16bn", "vgg16_bn"),
        ("incepton_v3", "inception_v3"),
        ("seresnext50", "seresnext50_32x4d"),
        ("swin_tiny", "swin_tiny_patch4_window7_224"),
        ("deit_small", "deit_small_patch16_224"),
        ("vit_smal_patch16_224", "vit_small_patch16_224"),
        ("xceptoin41", "xception41"),
    ],
)
def test_the_nearest_backbone_is_the_one_that_people_mean(written, meant):
    import timm

    assert nearest(written, timm.list_models()) == meant
    assert nearest(written, timm.list_models()[::-1]) == meant  # the library's order does not matter


def test_the_nearest_name_keeps_most_of_what_was_written():
    assert nearest("00003.jpg", ["0000.jpg", "0003.jpg", "0004.jpg"]) == "0003.jpg"
    assert nearest("x", ["label", "image"]) is None


def test_a_signal_without_a_name_has_its_number():
    assert (signal_name(9), signal_name(40)) == ("SIGKILL", "signal 40")
