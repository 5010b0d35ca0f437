"""URLs of stores: what is told without a request, what is retried, and that no message holds a secret."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from compete.errors import DataError, StoreError
from compete.urls import stores
from compete.urls.stores import at_first, explained, is_url, masked, open_store, place_of, retried, url_problems

URL = "s3://bucket/data"


@pytest.mark.parametrize("text", ["data", "/data", "C:\\data", "C:/data", "a:b", "", "//host/share"])
def test_a_path_is_no_url(text):
    assert not is_url(text)


def test_a_place_is_a_path_or_a_store():
    assert place_of("data/x") == Path("data/x")
    assert place_of("file:///data/a%20b") == Path("/data/a b")
    assert place_of("S3://bucket/data/") == URL


def test_a_masked_url_holds_no_secret():
    assert masked("https://me:secret@host/a/b.jpg?X-Amz-Signature=secret#secret") == "https://host/a/b.jpg"
    assert masked(URL) == URL


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("s33://bucket", "Did you mean 's3://'?"),
        ("s3://key:secret@bucket/data", "user or password"),
        ("https://host/data?token=secret", "query or fragment"),
        ("s3://bucket/../other", "'..'"),
        ("s3://", "no bucket"),
        ("simplecache::s3://bucket", "chained"),
        ("reference://bucket", "unknown scheme"),
    ],
)
def test_a_wrong_url_is_refused_in_words(url, part):
    with pytest.raises(DataError) as error:
        open_store(url)
    assert part in str(error.value)
    assert "secret" not in str(error.value)
    assert not list(url_problems(URL))


def test_a_missing_package_is_named_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(DataError, match=r"^gs://b/data: reading gs:// needs gcsfs: pip install gcsfs$"):
        open_store("gs://b/data")


def test_a_store_opens_with_the_path_in_it():
    filesystem, path = open_store("memory://folder/data/")
    assert isinstance(filesystem, MemoryFileSystem)
    assert path == "/folder/data"


class Answer(Exception):  # noqa: N818 - as aiohttp's ClientResponseError carries its status
    def __init__(self, status: int) -> None:
        super().__init__(f"status {status} of https://me:secret@host/a?token=secret")
        self.status = status


class NoCredentialsError(Exception):
    """Called as botocore's."""


@pytest.mark.parametrize(
    ("error", "kind", "part"),
    [
        (FileNotFoundError("x"), DataError, "no such bucket"),
        (Answer(404), DataError, "no such bucket"),
        (Answer(403), DataError, "no permission"),
        (PermissionError("x"), DataError, "no permission"),
        (Answer(400), DataError, "refuses"),
        (Answer(429), StoreError, "https://host/a"),
        (Answer(503), StoreError, "cannot be read"),
        (TimeoutError(), StoreError, "in time"),
        (ConnectionResetError("gone"), StoreError, "gone"),
        (NoCredentialsError("x"), DataError, "no credentials for s3://"),
    ],
)
def test_every_failure_is_one_sentence_without_secrets(error, kind, part):
    found = explained(error, URL)
    assert type(found) is kind
    assert part in str(found)
    assert str(found).startswith(URL)
    assert "secret" not in str(found)


def test_what_may_pass_is_tried_again_a_bounded_number_of_times(monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(stores.time, "sleep", waits.append)
    answers = [TimeoutError(), Answer(503), "found"]

    def call() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert retried(call, URL) == "found"
    assert waits == [0.5, 1.0]
    answers[:] = [Answer(503)] * 10
    with pytest.raises(StoreError):
        retried(call, URL)
    assert len(answers) == 10 - stores.TRIES


def test_a_definite_answer_is_not_asked_for_again():
    answers = [Answer(403), FileNotFoundError("x")]

    def call() -> None:
        raise answers.pop(0)

    with pytest.raises(DataError, match="no permission"):
        retried(call, URL)
    with pytest.raises(FileNotFoundError):
        retried(call, URL)


def test_at_first_every_failure_is_the_users(monkeypatch):
    monkeypatch.setattr(stores.time, "sleep", lambda _: None)

    def fail() -> None:
        raise TimeoutError

    with pytest.raises(DataError, match="does not answer in time"):
        at_first(fail, URL)
