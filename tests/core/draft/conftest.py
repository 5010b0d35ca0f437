"""No network and no weights: what `init` writes depends on the files alone."""

from __future__ import annotations

import pytest

from compete.advice.facts import Weights


@pytest.fixture(autouse=True)
def no_weights(monkeypatch):
    """Let no weights be found, in whatever cache this machine has."""
    monkeypatch.setattr("compete.advice.find_weights", lambda _timm, backbone, _ask: Weights(backbone))
