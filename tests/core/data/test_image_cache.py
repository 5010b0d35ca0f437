"""The decode-once cache: built again when its file or its state is not what was written, and never believed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from compete.config.settings import Images
from compete.data.decoder import FLAT, Decoder
from compete.data.image_cache import MOST_NAMED, check_images, open_cache
from compete.files.root import Files
from compete_plugins.readers import image

COUNT = 7


@pytest.fixture
def paths(tmp_path):
    for number in range(COUNT):
        Image.new("L", (6, 4), 10 * number).save(tmp_path / f"{number}.png")
    return [f"{number}.png" for number in range(COUNT)]


def opened(folder, paths):
    decoder = Decoder(Files(folder), {"jpg": image}, Images(size=(4, 6)))
    return open_cache(folder / "cache", "key", paths, decoder, lambda *_: None)


def header(change):
    def damage(data, marks):
        content = data.read_bytes()
        changed = content.replace(*change)
        assert changed != content
        data.write_bytes(changed)

    return damage


def state(**values):
    def damage(data, marks):
        marks.write_text(json.dumps({**json.loads(marks.read_text()), **values}))

    return damage


def cut(data, marks):
    data.write_bytes(data.read_bytes()[:-3])


def longer(data, marks):
    data.write_bytes(data.read_bytes() + b"123")


def shorter_header(data, marks):
    content = bytearray(data.read_bytes())
    content[8:10] = (int.from_bytes(content[8:10], "little") - 16).to_bytes(2, "little")
    data.write_bytes(content)


def overwritten(data, marks):
    data.write_bytes(b"X" * data.stat().st_size)


def pickled(data, marks):
    np.save(data, np.array([{}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize("damage", [
    cut, longer, shorter_header, overwritten, pickled,
    lambda data, marks: data.write_bytes(b""),
    header((b"|u1", b"|i1")), header((b"|u1", b"|O1")), header((b"False", b"True ")), header((b"(7, 4, 6, 3)", b"(7, 6, 4, 3)")),
    header((b"(7, 4, 6, 3)", b"(7, 4, 6, 4)")), header((b"(7, 4, 6, 3)", b"(7, 4, 6, -3")), header((b"NUMPY", b"NUMPX")),
    header((b"{'descr", b"['descr")), header((b"\x93NUMPY\x01", b"\x93NUMPY\x09")),
    state(done=-1), state(done=8), state(done="7"), state(done=None), state(done=True), state(dtype="float16"),
    state(dtype="nonsense"), state(unreadable=[]), state(unreadable={"7": "x"}), state(unreadable={"a": "x"}),
    state(unreadable={"1": 5}), state(notes={"x": 1}), state(notes=None),
    lambda data, marks: marks.write_text("[1, 2"),
    lambda data, marks: marks.write_bytes(b"\xff\x00"),
])  # fmt: skip
def test_a_damaged_cache_is_built_again(tmp_path, paths, damage):
    expected = np.array(opened(tmp_path, paths).pixels)
    damage(tmp_path / "cache/key.npy", tmp_path / "cache/key.json")
    again = opened(tmp_path, paths)
    assert again.damaged and not again.unreadable
    np.testing.assert_array_equal(again.pixels, expected)
    assert not opened(tmp_path, paths).damaged


def test_a_sound_cache_is_not_decoded_again(tmp_path, paths):
    first = opened(tmp_path, paths)
    for path in paths:
        (tmp_path / path).unlink()
    again = opened(tmp_path, paths)
    np.testing.assert_array_equal(again.pixels, first.pixels)
    assert (again.damaged, again.notes) == (False, first.notes)
    assert first.notes == {FLAT: {"count": COUNT, "first": paths[:MOST_NAMED]}}


def test_what_a_kill_left_half_written_is_removed_and_other_caches_are_left_alone(tmp_path, paths):
    opened(tmp_path, paths)
    mine, others = tmp_path / "cache/.key.json.5203.tmp", tmp_path / "cache/.other.json.5203.tmp"
    for file in (mine, others):
        file.write_text("{")
    opened(tmp_path, paths)
    assert not mine.exists() and others.exists()


def test_a_build_without_a_state_begins_again_and_a_part_is_completed(tmp_path, paths):
    expected = np.array(opened(tmp_path, paths).pixels)
    marks = tmp_path / "cache/key.json"
    marks.unlink()
    again = opened(tmp_path, paths)
    assert not again.damaged and (again.pixels == expected).all()
    part = json.loads(marks.read_text()) | {"done": 3, "notes": {FLAT: {"count": 3, "first": paths[:3]}}}
    marks.write_text(json.dumps(part))
    again = opened(tmp_path, paths)
    assert not again.damaged and (again.pixels == expected).all() and again.notes[FLAT]["count"] == COUNT


def test_without_a_cache_images_are_checked_once_and_unreadable_ones_at_each_start(tmp_path, paths):
    read: list[str] = []

    class Counted(Files):
        def read(self, path):
            read.append(path)
            return super().read(path)

    decoder = Decoder(Counted(tmp_path), {"jpg": image}, Images(size=(4, 6)))

    def check():
        read.clear()
        return check_images(tmp_path / "cache", "key", paths, decoder, lambda *_: None)

    good = (tmp_path / "2.png").read_bytes()
    (tmp_path / "2.png").write_bytes(b"")
    assert check()[0] == {2: "2.png: the file is empty."} and sorted(read) == paths
    assert check()[0] == {2: "2.png: the file is empty."} and read == ["2.png"]
    (tmp_path / "2.png").write_bytes(good)
    unreadable, notes = check()
    assert (unreadable, read, notes[FLAT]["count"]) == ({}, ["2.png"], COUNT)
    assert check() == ({}, notes) and read == []
    (tmp_path / "cache/key.checked.json").write_text('{"done": 99}')
    assert check() == ({}, notes | {FLAT: {"count": COUNT, "first": paths[:MOST_NAMED]}}) and sorted(read) == paths
