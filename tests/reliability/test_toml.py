"""No TOML crashes `compete`: every mutation of a gallery TOML is read, or refused in plain words."""

from __future__ import annotations

import time
import tomllib
from pathlib import Path
from random import Random
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from compete.config.load import load_config
from compete.errors import ConfigError

GALLERY = sorted((Path(__file__).parents[2] / "competitions").glob("*.toml"))
EXAMPLES = 120
SECONDS: list[float] = []  # CPU seconds of each reading in this test
PROMISE = "Any TOML: read, or refused in plain words that name table and key (n: mutated competition files)"
NAMES = [
    "name",
    "lr",
    "epochs",
    "size",
    "random",
    "fixed",
    "plugins",
    "",
    "a.b",
    "ä",
    "\x7f",
    "__class__",
    "self",
    "options",
]
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(max_size=20), st.sampled_from(NAMES),
    st.dates(), st.datetimes(), st.times(), st.sampled_from([0, -1, 1e400, "3e-4", "../..", "/etc/passwd", "x" * 100_000]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(NAMES), st.text(max_size=5)), inner, max_size=4),
    ),
    max_leaves=8,
)


def places(data: Any, path: tuple = ()) -> list[tuple]:
    """Return the paths of all keys and positions, at any depth."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [place for key, item in items for place in ((*path, key), *places(item, (*path, key)))]


def parent_of(data: Any, place: tuple) -> Any:
    for key in place[:-1]:
        data = data[key]
    return data


def change(data: dict[str, Any], rng: Random, value: Any) -> None:
    """Change one thing: a value, its type, a key's name, its position or its nesting."""
    found = places(data)
    if not found:
        data[rng.choice(NAMES)] = value
        return
    place = rng.choice(found)
    inside, key = parent_of(data, place), place[-1]
    kind = rng.randrange(8)
    if kind == 0:
        inside[key] = value
    elif kind == 1:
        del inside[key]
    elif kind == 2:
        inside[key] = [inside[key]]
    elif kind == 3:
        inside[key] = {rng.choice(NAMES): inside[key]}
    elif kind == 4 and isinstance(inside, dict):
        name = str(key)
        inside[rng.choice([name[1:], name + "s", name.upper(), name[::-1], *NAMES])] = inside.pop(key)
    elif kind == 5:
        inside[key] = str(inside[key])
    elif kind == 6:
        elsewhere = parent_of(data, rng.choice(found))
        if isinstance(elsewhere, dict):
            elsewhere[rng.choice(NAMES)] = inside[key] if not isinstance(inside[key], dict | list) else value
    elif isinstance(inside, list):
        inside.append(value)
    else:
        inside[rng.choice(NAMES)] = value


def garble(text: str, rng: Random) -> bytes:
    """Damage the text itself: characters, lines, encoding, size."""
    lines = text.splitlines()
    kind = rng.randrange(9)
    if kind == 0:
        at = rng.randrange(len(text))
        return (text[:at] + rng.choice("\0\"'[]{}=#.\\\n\t\x1b\u2028\N{BOM}é") + text[at + rng.randrange(2) :]).encode()
    if kind == 1:
        return text[: rng.randrange(len(text))].encode()
    if kind == 2:
        return text.encode(rng.choice(["utf-16", "utf-8-sig", "utf-32", "cp037"]))
    if kind == 3:
        return text.replace("e", "é").encode("latin-1", "replace")
    if kind == 4:
        rng.shuffle(lines)
    if kind == 5:
        lines *= rng.randrange(2, 4)
    if kind == 6:
        lines.insert(
            rng.randrange(len(lines)), rng.choice(["[" * 5000, "a = " + "[" * 3000, "a." * 2000 + "b = 1", "[x]" * 3])
        )
    if kind == 7:
        return bytes(rng.randrange(256) for _ in range(rng.randrange(200)))
    if kind == 8:
        lines.append("# " + "x" * rng.choice([10, 1_000_000]))
    return "\n".join(lines).encode()


def without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): without_none(item) for key, item in value.items() if item is not None}
    return [without_none(item) for item in value if item is not None] if isinstance(value, list) else value


def read(path: Path, overrides: list[str]) -> str:
    """Read a TOML as `compete run` does; return its error message, if any. Fail on any other exception."""
    started = time.process_time()
    try:
        load_config(path, overrides)
    except ConfigError as error:
        assert error.problems and all(problem.strip() for problem in error.problems)
        return str(error)
    finally:
        SECONDS.append(time.process_time() - started)
    return ""


@pytest.fixture(autouse=True)
def seconds():
    """Durations are reported on the page but never asserted: a timed test fails on a busy machine."""
    SECONDS.clear()


@pytest.fixture(scope="module", autouse=True)
def in_an_empty_folder(tmp_path_factory):
    """Run where no file exists that a mutated TOML names; the first reading, which imports much, does not count."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("empty"))
        for path in GALLERY:
            load_config(path)
        yield


@pytest.mark.promise(PROMISE)
def test_changed_values_keys_and_nesting(tmp_path, count, fuzz):
    tried = []

    @fuzz(EXAMPLES)
    @given(st.sampled_from(GALLERY), st.randoms(use_true_random=False), st.lists(VALUES, min_size=1, max_size=3))
    def read_changed(path, rng, values):
        data = tomllib.loads(path.read_text())
        for value in values:
            change(data, rng, value)
        changed = tmp_path / "changed.toml"
        try:
            changed.write_text(tomli_w.dumps(without_none(data)), errors="surrogatepass")
        except (UnicodeEncodeError, ValueError):
            return  # TOML cannot express this
        tried.append(bool(read(changed, [])))

    read_changed()
    assert sum(tried) > len(tried) / 2
    count(len(tried), max(SECONDS))


@pytest.mark.promise(PROMISE)
def test_garbled_text(tmp_path, count, fuzz):
    tried = []

    @fuzz(EXAMPLES)
    @given(st.sampled_from(GALLERY), st.randoms(use_true_random=False))
    def read_garbled(path, rng):
        garbled = tmp_path / "garbled.toml"
        garbled.write_bytes(garble(path.read_text(), rng))
        message = read(garbled, [])
        tried.append(message)
        assert not message or "garbled.toml" in message

    read_garbled()
    count(len(tried), max(SECONDS))


@pytest.mark.promise("Any `--set`: read, or refused in plain words (n: overrides)")
def test_overrides(count, fuzz):
    keys = st.lists(
        st.sampled_from(["training", "transforms", "0", "99", "random", "model", "name", "plugins", "", " ", "é"]),
        max_size=4,
    )
    tried = []

    @fuzz(EXAMPLES)
    @given(
        st.sampled_from(GALLERY[:3]),
        st.lists(st.one_of(st.text(max_size=30), st.tuples(keys, VALUES)), min_size=1, max_size=3),
    )
    def read_overridden(path, overrides):
        texts = [o if isinstance(o, str) else f"{'.'.join(o[0])}={toml_text(o[1])}" for o in overrides]
        tried.append(read(path, texts))

    read_overridden()
    count(len(tried), max(SECONDS))


def toml_text(value: Any) -> str:
    try:
        return tomli_w.dumps({"x": without_none(value)}).partition("=")[2].strip()
    except (UnicodeEncodeError, ValueError, TypeError):
        return str(value)


@pytest.mark.promise(PROMISE)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe[\x00", "not UTF-8, at byte 0"),
        (b"a = " + b"[" * 100_000, "not valid TOML"),
        (b"x" * 10_000_001, "larger than 10,000,000 bytes"),
        (b"training = 3\n", "must be a table: [training]"),
        (b"[training]\nepochs = 1979-05-27\n", "[training] epochs = "),
    ],
)
def test_the_worst_cases(tmp_path, content, message):
    path = tmp_path / "worst.toml"
    path.write_bytes(content)
    assert message in read(path, [])
