"""No network and no weights: what `init` writes depends on the files alone."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_weights(monkeypatch):
    """Let no weights be found, in whatever cache this machine has."""
    monkeypatch.setattr("compete.advice.weights.reachable_mb", lambda _: 0)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
