"""Fixtures around the Kaggle stand-in: its environment, and platforms opened against it."""

from __future__ import annotations

import io
import os
import zipfile
from contextlib import contextmanager

import pytest

from compete_plugins.uploads._kaggle import kaggle
from kaggle_server import Competition, KaggleServer


def zip_bytes() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("train.csv", "id,label\n1,0\n")
        archive.writestr("images/1.raw", os.urandom(3_200_000))
    return data.getvalue()


@pytest.fixture(scope="module")
def archive() -> bytes:
    return zip_bytes()


@pytest.fixture(scope="module")
def running():
    with KaggleServer() as server:
        yield server


@pytest.fixture
def server(running, archive, monkeypatch, tmp_path):
    running.reset(
        Competition("digits", archive=archive),
        Competition("digit-sounds", entered=False),
        Competition("cats-and-dogs"),
    )
    point_here(monkeypatch, running.environment(tmp_path / "home", KAGGLE_API_TOKEN="good-token"))
    yield running
    assert running.leaks == []


def point_here(monkeypatch, environment):
    """Replace the whole environment: the child of the platform inherits it."""
    for name in list(os.environ):
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def open_kaggle(server):
    opened = []

    def open_one(competition="digits", timeout_seconds=60.0):
        opened.append(kaggle(competition=competition, timeout_seconds=timeout_seconds))
        return opened[-1]

    yield open_one
    for uploader in opened:
        uploader.close()


@contextmanager
def impatient(uploader, seconds=1.0):
    """For a question that gets no answer: do not wait long for it. Starting and recovering may take their time."""
    client = uploader.check.__self__
    patience, client._timeout = client._timeout, seconds
    try:
        yield
    finally:
        client._timeout = patience


@pytest.fixture(scope="module")
def shared():
    uploader = kaggle(competition="digits", timeout_seconds=60.0)
    yield uploader
    uploader.close()


@pytest.fixture
def uploader(server, shared):
    """A platform for the tests to which it does not matter that its child is an old one."""
    return shared


@pytest.fixture(scope="module")
def csv_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("csv") / "submission.csv"
    path.write_bytes(b"id,label\n" + b"1,0\n" * 750_000)
    return path
